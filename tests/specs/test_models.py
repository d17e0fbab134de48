"""Specs of a scale's models are those that the workflow plans."""

import pytest

from specs.config import load_scale
from specs.models import find_training_images, make_dataset_specs, make_model_spec
from workflow.settings import ROOT, load_plan


@pytest.mark.parametrize("name", ["digits", "cifar10", "paper"])
def test_specs_are_those_of_the_plan(name):
    plan = load_plan({"scale": name})
    scale = load_scale(ROOT / "params" / "scales" / f"{name}.yaml")
    for model, entry in scale.models.items():
        assert make_model_spec(scale, model, entry, entry.seeds[0]) == plan.models[model]
        assert find_training_images(scale, entry) == plan.training_data(model)
    made = {}
    for task in scale.tasks:
        made |= make_dataset_specs(scale, task)
    assert made == plan.datasets
