"""Networks made from specs: equal to the reference's, and refused when a spec does not fit."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from adm.networks.model import make_model
from records.errors import UserError

FOLDER = Path(__file__).parents[2] / "data" / "reference"
NETWORKS = json.loads((FOLDER / "unet.json").read_text())["models"]
CHECKPOINTS = json.loads((FOLDER / "state_dicts.json").read_text())["models"]


@pytest.fixture(scope="module")
def arrays():
    with np.load(FOLDER / "unet.npz", allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def make_spec(described, **extra):
    """Translate the reference's description of a network into a spec."""
    architecture = {
        "image_size_px": described["image_size"],
        "channels": described["base_channels"],
        "depth": described["depth_res_blocks_per_resolution"],
        "channel_mult": described["channel_multiples"],
        "attention_resolutions": described["attention_resolutions"],
        "heads": described["heads"],
        "head_channels": described["channels_per_head"],
        "biggan_updown": described["biggan_up_downsample"],
        "embedding": "adagn" if described["adaptive_group_norm_scale_shift"] else "addition",
        "qkv_order": described["attention_qkv_order"],
        "conv_resample": described.get("resample_with_conv", True),
        "dropout": described["dropout"],
    }
    if "pool" in described:
        architecture |= {"num_classes": described["classes"], "pool": described["pool"]}
        return {"kind": "classifier", "architecture": architecture | extra}
    low_res_px = described.get("small_size", 8 if described.get("low_res_conditioning") else None)
    architecture |= {
        "out_channels": described["out_channels"],
        "num_classes": described["class_conditional_classes"],
        "low_res_px": low_res_px,
    }
    if described["heads"]:  # with channels per head, the reference ignores it
        architecture["heads_upsample"] = described.get("heads_in_upsampling_half")
    kind = "diffusion" if low_res_px is None else "upsampler"
    return {"kind": kind, "architecture": architecture | extra}


def fill(model, formula):
    """Give a network the weights that the reference had: formulae over sorted names."""
    state = model.state_dict()
    for j, name in enumerate(sorted(state)):
        i = np.arange(state[name].numel(), dtype=np.int64)
        if formula == "sin":
            values = 0.05 * np.sin(0.3 * i + 1.7 * j + 0.5)
        else:
            k = (311 * i * i + 17 * i) % 1009
            values = 0.12 * np.sin(2 * np.pi * k / 1009 + 1.7 * j + 0.5)
        if state[name].ndim == 1 and name.endswith(".weight"):
            values += 1
        state[name] = torch.from_numpy(values).float().view(state[name].shape)
    model.load_state_dict(state)
    return model.eval()


def assert_near(found, expected):
    difference = np.abs(found.detach().numpy() - expected).max()
    assert difference <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_parameters_are_those_of_the_released_checkpoint(name):
    released = CHECKPOINTS[name]
    with torch.device("meta"):
        model = make_model(make_spec(released["architecture"]))
    found = [(key, list(value.shape)) for key, value in model.state_dict().items()]
    assert found == list(released["state_dict"].items())
    assert sum(value.numel() for value in model.parameters()) == released["total_params"]


@pytest.mark.parametrize("formula", ["sin", "chirp"])
@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_are_those_of_the_reference(name, formula, arrays):
    described = NETWORKS[name]
    model = make_model(make_spec(described["paper"]))
    shapes = [(key, list(value.shape)) for key, value in model.state_dict().items()]
    assert shapes == list(described["state_dict"].items())
    fill(model, formula)
    inputs = {key: torch.from_numpy(arrays[f"{name}.{key}"]) for key in ("x", "t")}
    y = torch.from_numpy(arrays[f"{name}.y"]) if f"{name}.y" in arrays else None
    if described["kind"] == "encoder":
        x = inputs["x"].requires_grad_()
        logits = model(x, inputs["t"])
        assert_near(logits, arrays[f"{name}.out.{formula}"])
        chosen = logits.log_softmax(dim=1)[torch.arange(len(y)), y].sum()
        assert_near(torch.autograd.grad(chosen, x)[0], arrays[f"{name}.grad.{formula}"])
        return
    prefix = f"{name}.out.{formula}"
    outputs = [key for key in arrays if key == prefix or key.startswith(f"{prefix}.")]
    assert len(outputs) == (3 if described["kind"] == "superres" else 1)
    for key in outputs:
        size = key.removeprefix(prefix).removeprefix(".low")
        low_res = torch.from_numpy(arrays[f"{name}.low_res_{size}"]) if size else None
        with torch.no_grad():
            assert_near(model(inputs["x"], inputs["t"], y, low_res), arrays[key])


def small_spec(kind="diffusion", **changes):
    architecture = {
        "image_size_px": 8,
        "channels": 16,
        "depth": 1,
        "channel_mult": [1, 2],
        "attention_resolutions": [4],
        "head_channels": 8,
        "biggan_updown": True,
        "num_groups": 8,
    }
    architecture |= {"num_classes": 10} if kind == "classifier" else {"out_channels": 6}
    if kind == "upsampler":
        architecture["low_res_px"] = 4
    return {
        "kind": kind,
        "recipe": 1,
        "name": "small",
        "task": "digits",
        "architecture": architecture | changes,
        "training": {"batch_size": 64},
    }


@pytest.mark.parametrize("kind", ["diffusion", "upsampler", "classifier"])
def test_a_spec_that_went_through_json_makes_its_network(kind):
    model = make_model(json.loads(json.dumps(small_spec(kind))))
    inputs = [torch.zeros(2, 3, 8, 8), torch.zeros(2)]
    low_res = {"low_res": torch.zeros(2, 3, 4, 4)} if kind == "upsampler" else {}
    shape = (2, 10) if kind == "classifier" else (2, 6, 8, 8)
    assert model(*inputs, **low_res).shape == shape


def drop(key):
    spec = small_spec()
    del spec[key]
    return spec


def drop_size():
    spec = small_spec()
    del spec["architecture"]["channels"], spec["architecture"]["depth"]
    return spec


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            small_spec(chanels=3),
            "model small: architecture of a diffusion: unknown key 'chanels'; remove it or correct "
            "it: did you mean 'channels'?",
        ),
        (
            small_spec(zzz=3),
            "unknown key 'zzz'; remove it or correct it: the keys are image_size_px, out_channels",
        ),
        (small_spec(pool="attention"), "architecture of a diffusion: unknown key 'pool'"),
        (
            small_spec() | {"architectur": {}},
            "model small: unknown key 'architectur'; remove it or correct it: did you mean "
            "'architecture'?",
        ),
        (drop("kind"), "model small: 'kind' is missing; give the spec that was written beside"),
        (drop("architecture"), "model small: 'architecture' is missing"),
        (
            small_spec() | {"kind": "gan"},
            "model small: kind is 'gan'; choose one of diffusion, upsampler, classifier",
        ),
        (drop_size(), "architecture of a diffusion lacks channels, depth; give a value for each"),
        (
            small_spec("upsampler", low_res_px=None),
            "an upsampler needs low_res_px, the size of the images it enlarges, and got None",
        ),
        (
            small_spec(low_res_px=4),
            "low_res_px is 4, which only an upsampler has; set it to null, or set kind to",
        ),
        (
            small_spec(num_groups=7),
            "model small: make_unet: a level has 16 channels (1 x 16), which num_groups 7 does not",
        ),
    ],
)
def test_a_spec_that_does_not_fit_is_refused(spec, message):
    with pytest.raises(UserError) as error:
        make_model(spec)
    assert message in str(error.value)


def test_a_spec_without_a_name_is_refused_too():
    with pytest.raises(UserError, match=r"^model spec: kind is None; choose one of"):
        make_model({"kind": None, "architecture": {}})
