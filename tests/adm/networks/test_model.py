"""Networks made from architectures: equal to the reference's, and by kind."""

import json

import numpy as np
import pytest
import torch

from adm.networks.model import make_network
from specs.architecture import ClassifierArchitecture, UNetArchitecture
from specs.strict import validated
from tests.adm.reference_networks import FOLDER, NETWORKS, fill, translate
from tests.adm.sample_specs import classifier_architecture, unet_architecture

CHECKPOINTS = json.loads((FOLDER / "state_dicts.json").read_text())["models"]


@pytest.fixture(scope="module")
def arrays():
    with np.load(FOLDER / "unet.npz", allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def assert_near(found, expected):
    difference = np.abs(found.detach().numpy() - expected).max()
    assert difference <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_parameters_are_those_of_the_released_checkpoint(name):
    released = CHECKPOINTS[name]
    with torch.device("meta"):
        model = make_network(translate(released["architecture"]))
    found = [(key, list(value.shape)) for key, value in model.state_dict().items()]
    assert found == list(released["state_dict"].items())
    assert sum(value.numel() for value in model.parameters()) == released["total_params"]


@pytest.mark.parametrize("formula", ["sin", "chirp"])
@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_are_those_of_the_reference(name, formula, arrays):
    described = NETWORKS[name]
    model = make_network(translate(described["paper"]))
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


@pytest.mark.parametrize(
    ("shape", "answer"),
    [
        (unet_architecture(), (2, 2, 8, 8)),
        (unet_architecture(low_res_px=4), (2, 2, 8, 8)),
        (classifier_architecture(), (2, 10)),
    ],
    ids=["diffusion", "upsampler", "classifier"],
)
def test_an_architecture_that_went_through_json_makes_its_network(shape, answer):
    kind = ClassifierArchitecture if len(answer) == 2 else UNetArchitecture
    again = validated(kind, json.loads(json.dumps(shape.content())), "test")
    assert again == shape
    inputs = {"x_t": torch.zeros(2, 1, 8, 8), "t": torch.zeros(2)}
    if kind is UNetArchitecture:
        inputs["y"] = torch.tensor([0, 9])
        if shape.low_res_px:
            inputs["low_res"] = torch.zeros(2, 1, 4, 4)
    assert make_network(again)(**inputs).shape == answer
