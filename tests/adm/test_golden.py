"""Numbers that a recipe stands for: when code moves them, the recipe in params/ must be raised.

If a test here fails and the move is meant: raise `recipe` of the models (training) or of `sampling`
in every scale, note it under "Numbers" in CHANGELOG.md, and write the new values below.
"""

import pytest

from adm.digits import make_digits
from adm.shards import write_samples
from adm.state import read_spec
from adm.training import train
from records.batches import read_batch
from records.events import read_events
from records.files import spec_digest
from workflow.settings import load_plan

RECIPES = {"models": 1, "sampling": 1}
TRAINED = {  # loss and norm of the gradient in the first three iterations
    "imagenet_256": [1.0374290, 4.2260146, 0.9306829, 3.7727883, 0.7585214, 3.5758505],
    "classifier_256": [2.3427677, 2.2144704, 2.3075032, 0.6873530, 2.2953482, 0.6755266],
    "upsampler_64_256": [1.0036542, 2.9388883, 0.9448045, 2.8815808, 0.8727679, 3.2062478],
}
LABELS = [6, 8, 6, 5, 9, 8, 8, 8]
SAMPLED = (127.5625, 97.1054)  # mean and standard deviation of 8 samples of the first of these


@pytest.fixture(scope="module")
def plan():
    return load_plan({})


@pytest.fixture(scope="module")
def weights(plan, tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    make_digits(folder / "data.zip")
    for name in TRAINED:
        train(
            plan.models[name],
            data_path=folder / "data.zip",
            state_dir=folder / name,
            out_path=folder / f"{name}.safetensors",
            mark="golden",
            iterations=3,
            events_path=folder / f"{name}.jsonl",
            log_every_iterations=1,
        )
    return folder


def test_recipes_are_those_of_the_stored_numbers(plan):
    assert {spec["recipe"] for spec in plan.models.values()} == {RECIPES["models"]}
    assert plan.scale.sampling.recipe == RECIPES["sampling"]


@pytest.mark.parametrize("name", TRAINED)
def test_training(weights, name):
    events = [one for one in read_events(weights / f"{name}.jsonl") if one["event"] == "progress"]
    got = [value for one in events for value in (one["loss"], one["grad_norm"])]
    assert got == pytest.approx(TRAINED[name], rel=1e-3), got


def test_sampling(weights, plan, tmp_path):
    path = weights / "imagenet_256.safetensors"
    about = read_spec(path)
    spec = {
        **plan.samples["t3_cond"],
        "num_images": 8,
        "model": {
            "name": "imagenet_256",
            "digest": spec_digest(about["spec"]),
            "mark": "golden",
            "iteration": 3,
        },
    }
    write_samples(
        spec,
        weights_path=path,
        classifier_path=None,
        low_res_path=None,
        out_path=tmp_path / "s.npz",
        start=0,
        stop=8,
        batch_size=8,
    )
    images, labels = read_batch(tmp_path / "s.npz")
    assert labels.tolist() == LABELS
    got = (float(images.mean()), float(images.std()))
    assert got == pytest.approx(SAMPLED, rel=5e-3), got
