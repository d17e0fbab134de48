"""Numbers that a recipe stands for: when code moves them, the recipe in params/ must be raised.

If a test here fails and the move is meant: raise `recipe` of the models (training) or of `sampling`
in every scale, note it under "Numbers" in CHANGELOG.md, and write the new values below.
"""

import pytest

from adm.datasets.digits import make_digits
from adm.sampling.shards import write_samples
from adm.training.loop import train
from adm.weights.files import read_header
from records.batches import read_batch
from records.events import EventLog, read_events
from records.manifest import read_manifest
from specs.sampling import BatchRef, WeightsAt
from workflow.settings import load_plan

RECIPES = {"models": 1, "dropout": 2, "sampling": 1}
TRAINED = {  # loss and norm of the gradient in the first three iterations
    "imagenet_256": [0.9689673, 3.2196736, 0.9166378, 2.9657886, 0.8330049, 3.1478517],
    "classifier_256": [2.3450351, 2.0716746, 2.3132341, 1.0736686, 2.2914996, 0.6014916],
    "upsampler_64_256": [1.0031688, 2.3536508, 0.9601328, 2.2515886, 0.9076633, 2.7681358],
    "imagenet_64": [0.9400007, 2.2694666, 0.9851464, 2.4809082, 0.8229939, 2.7163987],
}
LABELS = [6, 8, 6, 5, 9, 8, 8, 8]
SAMPLED = {  # mean and standard deviation of 8 samples
    "t3_cond": (127.0098, 99.1748),
    "t3_cond_guided_10": (138.6016, 104.3571),
    "t4_256_admg_25": (124.7715, 117.2155),
    "t5_256_adm_admu": (118.1855, 99.4612),
}


@pytest.fixture(scope="module")
def plan():
    return load_plan({})


@pytest.fixture(scope="module")
def weights(plan, tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    make_digits(folder / "data.zip")
    make_digits(folder / "small.zip", image_size_px=4)
    for name in TRAINED:
        train(
            plan.models[name],
            data_path=folder / ("small.zip" if name == "imagenet_64" else "data.zip"),
            state_dir=folder / name,
            out_path=folder / f"{name}.safetensors",
            mark="golden",
            iterations=3,
            events=EventLog(folder / f"{name}.jsonl"),
            log_every_iterations=1,
        )
    return folder


@pytest.mark.parametrize("scale", ["digits", "cifar10", "paper"])
def test_recipes_are_those_of_the_stored_numbers(scale):
    plan = load_plan({"scale": scale})
    for name, spec in plan.models.items():  # masks of dropout: tests/adm/networks/test_dropout.py
        drops = getattr(spec.architecture, "dropout", 0) > 0
        assert spec.recipe == RECIPES["dropout" if drops else "models"], name
    assert plan.scale.sampling.recipe == RECIPES["sampling"]


@pytest.mark.parametrize("name", TRAINED)
def test_training(weights, name):
    events = read_events(weights / f"{name}.jsonl")[0]
    events = [one for one in events if one["event"] == "progress"]
    got = [value for one in events for value in (one["loss"], one["grad_norm"])]
    assert got == pytest.approx(TRAINED[name], rel=1e-3), got


def names_weights(folder, name):
    """Return what a sample spec says of weights that lie in a folder."""
    digest = read_header(folder / f"{name}.safetensors").spec.digest
    return WeightsAt(name=name, digest=digest, mark="golden", iteration=3)


def draw(folder, spec, out, low_res=None):
    """Draw the first 8 samples of a planned batch with the weights in a folder."""
    classifier = spec.classifier
    changes = {"num_samples": 8, "model": names_weights(folder, spec.model.name)}
    if classifier:  # one of 3 iterations knows little: its gradients must count
        changes["classifier"] = names_weights(folder, classifier.name)
        changes["sampler"] = spec.sampler.model_copy(update={"guidance_scale": 500.0})
    if low_res is not None:
        digest = read_manifest(low_res)["digest"]
        changes["low_res"] = BatchRef(name=spec.low_res.name, digest=digest)
    write_samples(
        spec.model_copy(update=changes),
        weights_path=folder / f"{spec.model.name}.safetensors",
        classifier_path=classifier and folder / f"{classifier.name}.safetensors",
        low_res_path=low_res,
        out_path=out,
        start=0,
        stop=8,
        batch_size=8,
    )
    return read_batch(out)


@pytest.mark.parametrize("row", SAMPLED)
def test_sampling(weights, plan, tmp_path, row):
    low_res = None
    if plan.samples[row].low_res:
        low_res = tmp_path / "base.npz"
        draw(weights, plan.samples[plan.samples[row].low_res.name], low_res)
    images, labels = draw(weights, plan.samples[row], tmp_path / "s.npz", low_res)
    assert labels.tolist() == LABELS
    got = (float(images.mean()), float(images.std()))
    assert got == pytest.approx(SAMPLED[row], rel=5e-3), got
