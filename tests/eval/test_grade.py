import dataclasses

import numpy as np
import pytest

from eval import grade as grading
from eval.grade import RECIPE
from eval.metrics.inception_score import (
    compute_inception_score,
    compute_shuffled_scores,
    compute_split_scores,
)
from eval.metrics.registry import compute_metrics
from eval.networks.features import Features
from eval.reference import make_reference, make_reference_of_features
from records.errors import UserError
from records.files import sha256_file
from records.metrics import PAPER
from tests.eval.conftest import write_zip

PIPELINE = (*PAPER, "memorised")
GOLDEN = {
    "fid": (1.497111827708565, 0.2712151911438471),
    "sfid": (1.2386020456332183, 0.18581195201618175),
    "is": (1.3706776161151397, 0.028016771664899787),
    "precision": (0.6, 0.04898979485566356),
    "recall": (0.9583333333333334, 0.018337285245909586),
    "memorised": (0.36, 0.048),
}


def grade(*arguments, **options):
    return grading.grade(*arguments, **options).as_dict()


def grade_ceiling(*arguments, **options):
    return grading.grade_ceiling(*arguments, **options).as_dict()


def make_features(rng, num, scale=1.0):
    softmax = np.exp(rng.normal(size=(num, 5)))
    return Features(
        num,
        (scale * rng.normal(size=(num, 6))).astype(np.float32),
        (scale * rng.normal(size=(num, 9))).astype(np.float32),
        (softmax / softmax.sum(axis=1, keepdims=True)).astype(np.float32),
    )


def test_the_recipe_is_raised_when_numbers_move():
    """Golden values: whoever changes them raises RECIPE in eval/grade.py and here."""
    rng = np.random.default_rng(0)
    reference = make_reference_of_features(make_features(rng, 120), path="r", sha256="0")
    metrics = compute_metrics(reference, make_features(rng, 100, 1.3), metrics=PIPELINE)
    assert RECIPE == 2
    found = {name: (m["value"], m["std_error"]) for name, m in metrics.items()}
    assert found == {
        name: (pytest.approx(value, rel=1e-5), pytest.approx(error, rel=1e-5))
        for name, (value, error) in GOLDEN.items()
    }


def test_the_result_is_as_agreed(reference_path, samples_path, network):
    result = grade(
        reference_path,
        samples_path,
        network,
        name="noisy",
        digest="d",
        intervals=True,
        metrics=PIPELINE,
    )
    assert set(result) == {
        "format",
        "name",
        "digest",
        "metrics",
        "warnings",
        "counts",
        "protocol",
    }
    assert result["warnings"] == []
    assert (result["format"], result["name"], result["digest"]) == (1, "noisy", "d")
    assert result["counts"] == {
        "samples": 300,
        "reference": 1797,
        "reference_precision_recall": 1797,
    }
    assert set(result["metrics"]) == set(PIPELINE)
    for metric in result["metrics"].values():
        lower, upper = metric["interval"]
        assert lower <= metric["value"] <= upper and metric["std_error"] >= 0
    protocol = result["protocol"]
    assert protocol["samples"] == {
        "name": "noisy",
        "seed": 5,
        "path": str(samples_path),
        "sha256": sha256_file(samples_path),
    }
    assert protocol["reference"] == {
        "path": str(reference_path),
        "sha256": sha256_file(reference_path),
    }
    assert protocol["network"] == network.description
    assert (protocol["k"], protocol["inception_split_size"]) == (3, 5000)
    assert "git_commit" in protocol
    versions = protocol["versions"]
    assert {"numpy", "scipy", "torch"} <= set(versions)
    assert {"adm-tables", "adm-eval"} & set(versions)


def test_values_are_the_same_without_intervals_in_other_batches_and_orders(
    reference_path, samples_path, network, tmp_path
):
    with np.load(samples_path) as arrays:
        images = arrays["arr_0"]
    shuffled = tmp_path / "shuffled.npz"
    np.savez(shuffled, images[np.random.default_rng(0).permutation(len(images))])
    expected = grade(reference_path, samples_path, network, name="a", intervals=True)["metrics"]
    plain = grade(reference_path, samples_path, network, name="a")["metrics"]
    for name, metric in plain.items():
        assert metric["value"] == expected[name]["value"]
        assert metric["std_error"] is None and metric["interval"] is None
    other = grade(reference_path, shuffled, network, name="a", batch_size=7)["metrics"]
    for name in PAPER:
        assert other[name]["value"] == pytest.approx(expected[name]["value"], rel=1e-4)


def test_a_batch_against_itself(digits_zip, network):
    metrics = grade(digits_zip, digits_zip, network, name="a")["metrics"]
    assert abs(metrics["fid"]["value"]) < 1e-9 and abs(metrics["sfid"]["value"]) < 1e-7
    assert metrics["precision"]["value"] == metrics["recall"]["value"] == 1


def test_directions_on_digits(digits, reference_path, network, tmp_path):
    """A few digits with little noise: precise, little recall. Much noise: not precise."""
    rng = np.random.default_rng(0)
    images = digits[0][..., None].astype(np.int64)
    collapsed = images[:20].repeat(15, axis=0) + rng.integers(-4, 5, (300, 8, 8, 1))
    scattered = images[:300] + rng.integers(-250, 251, (300, 8, 8, 1))
    found = {}
    for name, batch in (("collapsed", collapsed), ("scattered", scattered)):
        np.savez(tmp_path / f"{name}.npz", np.clip(batch, 0, 255).astype(np.uint8))
        result = grade(reference_path, tmp_path / f"{name}.npz", network, name=name)
        found[name] = {key: metric["value"] for key, metric in result["metrics"].items()}
    assert found["collapsed"]["precision"] > 0.9 and found["collapsed"]["recall"] < 0.2
    assert found["scattered"]["precision"] < 0.5
    assert found["scattered"]["fid"] > found["collapsed"]["fid"] > 0


def test_the_ceiling_is_half_against_half(digits_zip, network):
    options = {"name": "real-digits", "digest": "d", "seed": 0, "metrics": PIPELINE}
    result = grade_ceiling(digits_zip, network, **options)
    assert result["name"] == "real-digits" and set(result["metrics"]) == set(PIPELINE)
    assert result["counts"] == {
        "samples": 898,
        "reference": 899,
        "reference_precision_recall": 899,
    }
    values = {name: metric["value"] for name, metric in result["metrics"].items()}
    assert values["precision"] > 0.85 and values["recall"] > 0.85
    assert 0.4 < values["memorised"] < 0.6
    assert result == grade_ceiling(digits_zip, network, **options)
    other = grade_ceiling(digits_zip, network, name="real-digits", seed=1)
    assert other["metrics"]["fid"]["value"] != values["fid"]


def test_the_ceiling_of_a_large_set_takes_some_of_its_images(digits, digits_zip, network, tmp_path):
    seen = []

    def run(images):
        seen.append(len(images))
        return network.run(images)

    counted = dataclasses.replace(network, run=run)
    result = grade_ceiling(digits_zip, counted, name="real-a", num_images=100, batch_size=64)
    assert result["counts"] == {"samples": 100, "reference": 100, "reference_precision_recall": 100}
    assert seen == [64, 64, 64, 8]
    assert result["protocol"]["samples"]["source"] == "real images, as many others of the data set"
    drawn = np.random.default_rng(0).permutation(1797)
    for name, rows in (("samples", drawn[:100]), ("others", drawn[100:200])):
        np.savez(tmp_path / f"{name}.npz", digits[0][np.sort(rows)][..., None])
    by_hand = grade(tmp_path / "others.npz", tmp_path / "samples.npz", network, name="real-a")
    for name, metric in by_hand["metrics"].items():
        assert result["metrics"][name]["value"] == pytest.approx(metric["value"], rel=1e-4)
    whole = grade_ceiling(digits_zip, network, name="real-a", num_images=899)
    assert whole == grade_ceiling(digits_zip, network, name="real-a")
    less = grade_ceiling(digits_zip, network, name="real-a", num_images=898)
    assert less["counts"]["samples"] == less["counts"]["reference"] == 898


def test_too_few_samples_are_told(reference_path, network, digits, tmp_path):
    np.savez(tmp_path / "a.npz", digits[0][:3, :, :, None])
    with pytest.raises(UserError, match=r"a.npz: got 3 images; at least 4 are needed"):
        grade(reference_path, tmp_path / "a.npz", network, name="a")


def test_too_few_samples_for_intervals_are_told_first(reference_path, network, digits, tmp_path):
    np.savez(tmp_path / "a.npz", digits[0][:9, :, :, None])
    with pytest.raises(UserError, match=r"a.npz: got 9 images; at least 10 are needed \(intervals"):
        grade(reference_path, tmp_path / "a.npz", network, name="a", intervals=True)
    with pytest.raises(UserError, match=r"a.npz: got 9 images; at least 10 are needed \(.* KID"):
        grade(reference_path, tmp_path / "a.npz", network, name="a", metrics=["kid"])
    with pytest.raises(UserError, match=r"a.npz: got 9 images; at least 40 are needed \(quarters"):
        grade(reference_path, tmp_path / "a.npz", network, name="a", metrics=["fid_infinity"])


def test_a_count_unlike_the_published_one_is_said(reference_path, samples_path, network):
    inception = dataclasses.replace(network, name="inception-2015-12-05")
    (warning,) = grade(reference_path, samples_path, inception, name="a")["warnings"]
    assert warning.startswith("the published values are of 50,000 samples. FID and sFID of 300 and")
    result = grade(reference_path, samples_path, inception, name="a", metrics=["precision"])
    assert result["warnings"] == [] and list(result["metrics"]) == ["precision"]


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


def test_too_few_references_are_told(samples_path, network, digits, tmp_path):
    np.savez(tmp_path / "a.npz", digits[0][:3, :, :, None])
    with pytest.raises(UserError, match=r"a.npz: got 3 images; at least 4 are needed"):
        grade(tmp_path / "a.npz", samples_path, network, name="a")


def test_too_few_images_for_halves_are_told(network, digits, tmp_path):
    for num_images, half, needed in ((7, 3, 4), (15, 7, 10)):
        path = write_zip(tmp_path / f"{num_images}.zip", digits[0][:num_images])
        words = f"zip: one half: got {half} images; at least {needed} are needed"
        with pytest.raises(UserError, match=words):
            grade_ceiling(path, dataclasses.replace(network, run=None), name="real-a")


def test_other_sizes_are_told(reference_path, network, digits, tmp_path):
    np.savez(tmp_path / "a.npz", digits[0][:30, ::2, ::2, None])
    with pytest.raises(UserError, match=r"images are 4x4 px, those of .* 8x8 px"):
        grade(reference_path, tmp_path / "a.npz", network, name="a")


def test_a_broken_manifest_is_told_before_the_network_runs(reference_path, samples_path, network):
    def run(images):
        raise AssertionError("the samples went through the network")

    samples_path.with_suffix(".json").write_text("[NaN]")
    with pytest.raises(UserError, match=r"noisy.json: not a manifest of noisy.npz"):
        grade(reference_path, samples_path, dataclasses.replace(network, run=run), name="a")


def test_another_batchs_protocol_is_not_taken_for_the_samples_own(
    reference_path, samples_path, network
):
    def run(images):
        raise AssertionError("the samples went through the network")

    samples_path.with_suffix(".json").write_text('{"sha256": "0123", "seed": 1}')
    with pytest.raises(UserError, match=r"noisy.json: tells how a batch with SHA-256 0123"):
        grade(reference_path, samples_path, dataclasses.replace(network, run=run), name="a")


def test_the_folder_one_is_in_can_be_graded(reference_path, samples_path, network, monkeypatch):
    monkeypatch.chdir(samples_path.parent)
    result = grade(reference_path, ".", network, name="a", metrics=["is"])
    assert result["counts"]["samples"] == 300
