import numpy as np
import pytest
import torch

from eval.networks.load import load_network
from eval.networks.small import RECIPE, save_small_network
from eval.networks.small_training import train_small_network
from records.errors import UserError
from records.files import sha256_file
from tests.eval.conftest import QUICK_SPEC

GOLDEN = {
    "conv_1.weight": 7.963897,
    "conv_4.bias": 0.03621557,
    "output.weight": 3.155961,
    "output.bias": 0.01423785,
}


def test_two_runs_are_equal_byte_by_byte(digits, tmp_path):
    images, labels = digits[0][..., None], digits[1]
    spec = {**QUICK_SPEC, "iterations": 20}
    hashes = set()
    for run, num_threads in enumerate((1, 2)):
        before = torch.get_num_threads()
        torch.set_num_threads(num_threads)
        try:
            torch.manual_seed(run)
            save_small_network(tmp_path / f"{run}", *train_small_network(images, labels, spec))
            assert torch.get_num_threads() == num_threads
        finally:
            torch.set_num_threads(before)
        hashes.add(sha256_file(tmp_path / f"{run}"))
    assert len(hashes) == 1


def test_training_leaves_the_global_generator_alone(digits):
    before = torch.random.get_rng_state()
    train_small_network(digits[0][..., None], digits[1], {**QUICK_SPEC, "iterations": 2})
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_seed_matters(digits):
    weights = [
        train_small_network(
            digits[0][..., None], digits[1], {**QUICK_SPEC, "iterations": 1, "seed": s}
        )
        for s in (0, 1)
    ]
    assert not torch.equal(weights[0][0]["conv_1.weight"], weights[1][0]["conv_1.weight"])


def test_it_reads_held_out_digits(digits, tmp_path):
    """The recommended spec: held-out digits at full and at half resolution."""
    spec = {**QUICK_SPEC, "iterations": 1000}
    parameters, description = train_small_network(digits[0][..., None], digits[1], spec)
    assert description["held_out_accuracy"] > 0.97
    assert description["held_out_accuracy_half_resolution"] > 0.9
    assert description["counts"] == {"trained_on": 1438, "held_out": 359}
    path = tmp_path / "network.safetensors"
    save_small_network(path, parameters, description)
    network = load_network(path)
    assert network.description == {
        "name": "convnet-8px-32ch",
        "sha256": sha256_file(path),
        "recipe": 1,
        "backend": "torch",
        "device": "cpu",
        "precision": "float32",
    }


@pytest.mark.parametrize("labels", [None, np.zeros(60, np.int64)])
def test_labels_are_needed(labels):
    with pytest.raises(UserError, match=r"d.zip: has no labels or one class"):
        train_small_network(np.zeros((60, 8, 8, 1), np.uint8), labels, QUICK_SPEC, "d.zip")


def test_enough_images_are_needed():
    with pytest.raises(
        UserError, match=r"d.zip: 4 images with labels from 0; a classifier needs 50"
    ):
        train_small_network(
            np.zeros((4, 8, 8, 1), np.uint8), np.array([0, 1, 0, 1]), QUICK_SPEC, "d.zip"
        )


def test_the_recipe_is_raised_when_training_moves(digits):
    """Golden values after ten steps: whoever changes them raises the RECIPE of small networks."""
    spec = {**QUICK_SPEC, "iterations": 10}
    parameters, _ = train_small_network(digits[0][..., None], digits[1], spec)
    found = {name: float(parameters[name].double().norm()) for name in GOLDEN}
    assert RECIPE == 1
    assert found == {name: pytest.approx(value, rel=1e-4) for name, value in GOLDEN.items()}
