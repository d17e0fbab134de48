"""What is said of gradings whose values may be misread, and the options that mend them."""

import dataclasses

import numpy as np
import pytest

from eval.metrics.inception_score import (
    compute_inception_score,
    compute_shuffled_scores,
    compute_split_scores,
)
from eval.reference import make_reference
from records.errors import UserError
from records.metrics import PAPER
from tests.eval.test_grade import grade


@pytest.fixture
def split_size_50(monkeypatch):
    """Splits of 50 samples, as if that were what the authors take."""
    monkeypatch.setattr("eval.cautions.SPLIT_SIZE", 50)
    for function in (compute_inception_score, compute_split_scores):
        monkeypatch.setattr(function, "__defaults__", (50,))
    keywords = {**compute_shuffled_scores.__kwdefaults__, "split_size": 50}
    monkeypatch.setattr(compute_shuffled_scores, "__kwdefaults__", keywords)


def save_by_class(path, digits, num_images):
    images, labels = (part[:num_images] for part in digits)
    order = np.argsort(labels, kind="stable")
    np.savez(path, images[order][..., None], labels[order])
    return path


def test_a_random_order_is_graded_where_one_is_asked_for(
    reference_path, digits, network, tmp_path, split_size_50
):
    path = save_by_class(tmp_path / "a.npz", digits, 300)
    heard = []
    stored = grade(
        reference_path, path, network, name="a", metrics=["is", "fid"], warn=heard.append
    )
    assert heard == stored["warnings"]
    assert stored["warnings"][0].startswith(f"{path}: the samples come class by class, so each")
    value = stored["metrics"]["is"]["value"]
    assert stored["warnings"][1].startswith(f"the Inception Score is {value:.6g} in this order and")
    options = {"name": "a", "metrics": ["is", "fid"], "shuffle": True}
    shuffled = grade(reference_path, path, network, seed=3, **options)
    assert shuffled["warnings"] == []
    with np.load(path) as arrays:
        images = arrays["arr_0"][np.random.default_rng(3).permutation(300)]
    np.savez(tmp_path / "b.npz", images)
    by_hand = grade(reference_path, tmp_path / "b.npz", network, name="a", metrics=["is", "fid"])
    for name in ("is", "fid"):
        assert shuffled["metrics"][name]["value"] == pytest.approx(
            by_hand["metrics"][name]["value"], rel=1e-6
        )
    assert shuffled["metrics"]["is"]["value"] > 1.1 * value
    assert shuffled["protocol"]["samples"]["graded"] == {
        "num_images": 300,
        "of": 300,
        "order": "random",
        "seed": 3,
    }


def test_the_first_samples_or_random_ones_are_graded(
    reference_path, samples_path, network, tmp_path
):
    with np.load(samples_path) as arrays:
        images = arrays["arr_0"]
    for shuffle, rows in ((False, range(100)), (True, np.random.default_rng(0).permutation(300))):
        np.savez(tmp_path / "b.npz", images[list(rows)[:100]])
        by_hand = grade(reference_path, tmp_path / "b.npz", network, name="a", intervals=True)
        some = grade(
            reference_path,
            samples_path,
            network,
            name="a",
            intervals=True,
            num_images=100,
            shuffle=shuffle,
        )
        assert some["counts"]["samples"] == 100
        assert some["protocol"]["samples"]["graded"]["of"] == 300
        for name in PAPER:
            for key in ("value", "std_error"):
                assert some["metrics"][name][key] == pytest.approx(
                    by_hand["metrics"][name][key], rel=1e-4
                )
    words = r"noisy.npz: holds 300 images, --num-images \(num_images\) is 301; 300 or fewer are"
    with pytest.raises(UserError, match=words):
        grade(reference_path, samples_path, network, name="a", num_images=301)


def test_a_short_last_split_is_told(reference_path, samples_path, network, split_size_50):
    def find(num_images):
        result = grade(
            reference_path, samples_path, network, name="a", metrics=["is"], num_images=num_images
        )
        return [warning for warning in result["warnings"] if "last split" in warning]

    assert find(40) == find(50) == find(250) == []
    told = find(253)
    assert told[0] == (
        "the last split of the Inception Score has 3 samples and the weight of one of 50; give "
        "--num-images 250 (num_images=250) for whole splits"
    )
    assert told[1].endswith(" without it")


def test_features_of_other_weights_compare_with_no_published_value(
    reference_path, samples_path, network
):
    other = dataclasses.replace(network, name="inception-0123456789ab")
    (warning,) = grade(reference_path, samples_path, other, name="a", metrics=["is"])["warnings"]
    assert warning == (
        f"the features are of inception-0123456789ab (SHA-256 {network.sha256}), not of the "
        "published Inception: no published value compares"
    )


def test_labels_that_no_metric_reads_block_nothing(reference_path, digits, network, tmp_path):
    np.savez(tmp_path / "a.npz", digits[0][:50, ..., None], digits[1][:3])
    (warning,) = grade(reference_path, tmp_path / "a.npz", network, name="a")["warnings"]
    assert warning.startswith("labels are left aside, no metric reads them: ")
    heard = []
    make_reference(tmp_path / "a.npz", network, tmp_path / "b.npz", warn=heard.append)
    assert len(heard) == 1 and heard[0].startswith("no labels are stored: ")
    with np.load(tmp_path / "b.npz") as arrays:
        assert "arr_1" not in arrays.files


def test_a_count_unlike_the_published_one_is_said(reference_path, samples_path, network):
    inception = dataclasses.replace(network, name="inception-2015-12-05")
    (warning,) = grade(reference_path, samples_path, inception, name="a")["warnings"]
    assert warning.startswith("the published values are of 50,000 samples. FID and sFID of 300 and")
    result = grade(reference_path, samples_path, inception, name="a", metrics=["precision"])
    assert result["warnings"] == [] and list(result["metrics"]) == ["precision"]
