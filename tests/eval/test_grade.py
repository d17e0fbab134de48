import dataclasses

import numpy as np
import pytest

from eval import grade as grading
from eval.grade import RECIPE
from eval.metrics.reference import Reference
from eval.metrics.registry import compute_metrics
from eval.networks.features import Features
from eval.reference import make_reference_of_features
from records.errors import UserError
from records.files import sha256_file
from records.metrics import PAPER
from tests.eval.conftest import write_zip

PIPELINE = (*PAPER, "memorised")
GOLDEN = {
    "fid": (1.497111827708565, 0.2584322291560666),
    "sfid": (1.2386020456332183, 0.17206149529862605),
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
    metrics, _ = compute_metrics(reference, make_features(rng, 100, 1.3), metrics=PIPELINE)
    assert RECIPE == 3
    found = {name: (m["value"], m["std_error"]) for name, m in metrics.items()}
    assert found == {
        name: (pytest.approx(value, rel=1e-5), pytest.approx(error, rel=1e-5))
        for name, (value, error) in GOLDEN.items()
    }


def test_float16_arithmetic_has_exact_values_beside_it(metrics_reference):
    arrays, expected = metrics_reference.arrays, metrics_reference.results["mixture"]
    reference, samples = (
        Features(len(arrays[f"mixture.{side}"]), pool=arrays[f"mixture.{side}"])
        for side in ("reference", "samples")
    )
    compared = Reference("r", "0", len(reference.pool), None, pool=reference.pool)
    for intervals in (True, False):
        found, _ = compute_metrics(
            compared,
            samples,
            metrics=["precision", "recall"],
            half_distances=True,
            intervals=intervals,
        )
        for name in ("precision", "recall"):
            published = expected[f"{name}_reference"]
            assert found[name]["value"] == pytest.approx(published, abs=0.003)
            assert found[name]["exact"] == pytest.approx(expected[f"{name}_exact"])
            assert found[name]["exact"] != found[name]["value"]
    exact, _ = compute_metrics(compared, samples, metrics=["precision", "recall"])
    assert exact["recall"]["value"] == found["recall"]["exact"]
    assert "exact" not in exact["precision"]


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


def test_values_by_class_are_the_shares_of_each_class(digits, network, tmp_path):
    images, labels = digits[0][..., None], digits[1]
    np.savez(tmp_path / "ref.npz", images[:400], labels[:400])
    changed = images[400:700].copy()
    ones = labels[400:700] == 1
    changed[ones] = 255 - changed[ones]
    np.savez(tmp_path / "a.npz", changed, labels[400:700])
    options = {"name": "a", "metrics": ["precision", "recall"], "by_class": True, "shuffle": True}
    found = grade(tmp_path / "ref.npz", tmp_path / "a.npz", network, **options)["metrics"]
    for metric, counts in (("precision", labels[400:700]), ("recall", labels[:400])):
        by_class = found[metric]["by_class"]
        assert [one["num_images"] for one in by_class.values()] == np.bincount(counts).tolist()
        whole = sum(one["value"] * one["num_images"] for one in by_class.values()) / len(counts)
        assert whole == pytest.approx(found[metric]["value"])
        assert min(by_class, key=lambda label: by_class[label]["value"]) == "1"
    result = grading.grade(tmp_path / "ref.npz", tmp_path / "a.npz", network, **options)
    least = found["recall"]["by_class"]["1"]["value"]
    assert result.describe_metrics()[1].endswith(f"(least: {least:.6g}, of class 1)")
    plain = grade(tmp_path / "ref.npz", tmp_path / "a.npz", network, name="a", metrics=["recall"])
    assert "by_class" not in plain["metrics"]["recall"]


@pytest.mark.parametrize("side", ["ref", "a"])
def test_values_by_class_need_labels(digits, network, tmp_path, side):
    images, labels = digits[0][:50, ..., None], digits[1][:50]
    for name in ("ref", "a"):
        arrays = [images] if name == side else [images, labels]
        np.savez(tmp_path / f"{name}.npz", *arrays)
    words = f"{side}.npz: values by class need a label for each image; it has none; leave"
    with pytest.raises(UserError, match=words):
        grade(tmp_path / "ref.npz", tmp_path / "a.npz", network, name="a", by_class=True)
    np.savez(tmp_path / "a.npz", images, labels[:3])
    with pytest.raises(UserError, match=r"a.npz: values by class need .*arr_1: labels are int64"):
        grade(tmp_path / "ref.npz", tmp_path / "a.npz", network, name="a", by_class=True)
