"""Weights that the workflow planned, from a published checkpoint."""

import json

import torch

from adm.imports import main
from adm.model import make_model
from adm.state import load_weights, read_spec
from records.files import spec_digest
from workflow.settings import load_plan

PLAN = load_plan({})


def write_case(folder, name):
    """Write a model's weights as a checkpoint, and its spec as the workflow plans it."""
    spec = PLAN.models[name]
    spec = {**spec, "training": {**spec["training"], "seed": None, "released": f"{name}.pt"}}
    model = make_model(spec)
    torch.save(model.state_dict(), folder / f"{name}.pt")
    (folder / f"{name}.json").write_text(json.dumps(spec))
    return spec, model


def run(folder, checkpoint, spec):
    return main(
        [str(folder / checkpoint), "--spec", str(folder / spec), "--mark", "final", "--iteration",
         "7", "--scale", "digits", "--out", str(folder / "out.safetensors")]
    )  # fmt: skip


def test_weights_carry_the_planned_spec(tmp_path):
    spec, model = write_case(tmp_path, "imagenet_64")
    assert run(tmp_path, "imagenet_64.pt", "imagenet_64.json") == 0
    found = read_spec(tmp_path / "out.safetensors")
    assert found["spec"] == spec and found["digest"] == spec_digest(spec)
    assert (found["mark"], found["iteration"]) == ("final", 7)
    other = make_model(spec)
    load_weights(tmp_path / "out.safetensors", other, expected_digest=spec_digest(spec))
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])


def test_a_checkpoint_of_another_model_is_refused(tmp_path, capsys):
    write_case(tmp_path, "imagenet_64")
    write_case(tmp_path, "upsampler_64_256")
    assert run(tmp_path, "upsampler_64_256.pt", "imagenet_64.json") == 2
    assert "not the weights of imagenet_64" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()
