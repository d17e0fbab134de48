"""Model specs: those of a scale are the plan's, and one that contradicts itself is refused."""

import copy

import pytest

from records.errors import UserError
from specs.architecture import ClassifierArchitecture, UNetArchitecture
from specs.datasets import make_dataset_specs
from specs.models import AnyModelSpec, DenoiserSpec, GuideSpec
from specs.scale import find_training_images, make_model_spec
from specs.strict import validated
from tests.specs.scale_case import load_shipped
from workflow.settings import load_plan


@pytest.mark.parametrize("name", ["digits", "cifar10", "paper"])
def test_specs_are_those_of_the_plan(name):
    plan, scale = load_plan({"scale": name}), load_shipped(name)
    for model, entry in scale.models.items():
        assert make_model_spec(scale, model, entry, entry.seeds[0]) == plan.models[model]
        assert find_training_images(scale, entry) == plan.training_data(model)
    made = {}
    for task, entry in scale.tasks.items():
        made |= make_dataset_specs(task, entry)
    assert made == plan.datasets


def test_a_network_is_made_for_the_images_of_its_task():
    scale = load_shipped("digits")
    kinds = set()
    for name, model in scale.models.items():
        spec, task = make_model_spec(scale, name, model, 7), scale.tasks[model.task]
        shape = spec.architecture
        assert (shape.image_size_px, shape.in_channels) == (task.image_size_px, 1)
        assert (spec.name, spec.task, spec.training.seed) == (name, model.task, 7)
        classifies = model.kind == "classifier"
        assert isinstance(spec, GuideSpec if classifies else DenoiserSpec)
        assert isinstance(shape, ClassifierArchitecture if classifies else UNetArchitecture)
        labelled = classifies or model.class_conditional
        assert shape.num_classes == (task.num_classes if labelled else None)
        if not classifies:
            small = model.kind == "upsampler" and scale.tasks[model.low_res_task].image_size_px
            assert (shape.low_res_px or False) == small
            assert shape.out_channels == (1 if model.training.objective == "simple" else 2)
        kinds.add(model.kind)
    assert kinds == {"diffusion", "upsampler", "classifier"}


def test_an_own_model_that_cannot_be_built_is_refused():
    scale = load_shipped("digits")
    model = scale.models["imagenet_64"]
    shape = model.architecture.model_copy(update={"channel_mult": [1, 1, 1]})
    with pytest.raises(UserError, match=r"^model own: architecture: channel_mult has 3 levels"):
        make_model_spec(scale, "own", model.model_copy(update={"architecture": shape}), 0)


def change(spec, place, value):
    spec = copy.deepcopy(spec)
    inner = spec
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return spec


@pytest.mark.parametrize(
    ("name", "place", "value", "words"),
    [
        ("imagenet_64", ["architectur"], {}, "architectur: unknown key; did you mean 'architectu"),
        ("imagenet_64", ["kind"], "gan", "kind: got 'gan'; needed: diffusion, upsampler, classif"),
        ("imagenet_64", ["kind"], None, "kind: got None; needed: diffusion, upsampler, classif"),
        (
            "imagenet_64",
            ["kind"],
            "upsampler",
            "architecture: low_res_px is None for kind upsampler; an upsampler needs the size of "
            "the images it enlarges, a diffusion model has null",
        ),
        (
            "imagenet_256",
            ["architecture", "low_res_px"],
            4,
            "architecture: low_res_px is 4 for kind diffusion; an upsampler needs the size of the "
            "images it enlarges, a diffusion model has null",
        ),
        (
            "upsampler_64_256",
            ["architecture", "low_res_px"],
            None,
            "architecture: low_res_px is None for kind upsampler; an upsampler needs",
        ),
        (
            "imagenet_64",
            ["architecture", "num_groups"],
            7,
            "architecture: num_groups 7 for a width of 24 channels; every width of [24, 48]",
        ),
        ("imagenet_64", ["architecture", "pool"], "spatial", "architecture: pool: unknown key; th"),
        ("classifier_64", ["architecture", "pool"], "max", "architecture: pool: got 'max' (str)"),
        (
            "imagenet_64",
            ["training", "objective"],
            "simple",
            "architecture: out_channels: got 2; simple training with in_channels 1 needs 1",
        ),
        (
            "imagenet_64",
            ["training", "objective"],
            "cross_entropy",
            "training: objective: got cross_entropy for kind diffusion; cross_entropy is for",
        ),
        (
            "classifier_64",
            ["training", "objective"],
            "hybrid",
            "training: objective: got hybrid for kind classifier; cross_entropy is for",
        ),
        (
            "imagenet_64",
            ["training", "dataset", "classes"],
            ["cat"],
            "training: dataset: classes: 0: got 'cat' (str); Input should be a valid integer",
        ),
    ],
)
def test_a_spec_that_does_not_fit_is_refused(name, place, value, words):
    scale = load_shipped("digits")
    content = make_model_spec(scale, name, scale.models[name], 0).content()
    assert validated(AnyModelSpec, content, "x").content() == content
    with pytest.raises(UserError) as error:
        validated(AnyModelSpec, change(content, place, value), "x")
    assert str(error.value).startswith(f"x: {words}")


@pytest.mark.parametrize("key", ["kind", "architecture", "training", "recipe", "name", "task"])
def test_a_spec_that_lacks_a_key_is_refused(key):
    scale = load_shipped("digits")
    content = make_model_spec(scale, "x", scale.models["imagenet_64"], 0).content()
    del content[key]
    with pytest.raises(UserError, match=f"^x: {key}: missing; "):
        validated(AnyModelSpec, content, "x")
