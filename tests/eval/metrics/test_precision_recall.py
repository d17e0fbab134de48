import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eval.metrics import distance_bounds, neighbours
from eval.metrics.precision_recall import compute_precision_recall
from records.errors import UserError


@pytest.mark.parametrize(
    "name", ["mixture", "fewer_samples_than_dims", "dead_dims", "float16_overflow", "few_points"]
)
def test_a_float64_brute_force_of_the_authors_definition(metrics_reference, name):
    arrays, expected = metrics_reference.arrays, metrics_reference.results[name]
    found = compute_precision_recall(arrays[f"{name}.reference"], arrays[f"{name}.samples"])
    assert found.precision == expected["precision_exact"]
    assert found.recall == expected["recall_exact"]
    stored = {key: arrays[f"{name}.pr_exact.{key}"] for key in ("radii_of_reference",)}
    for key in ("sample_in_reference", "reference_in_sample"):
        stored[key] = arrays[f"{name}.pr_exact.{key}_manifold"]
    np.testing.assert_array_equal(found.sample_in_reference, stored["sample_in_reference"])
    np.testing.assert_array_equal(found.reference_in_samples, stored["reference_in_sample"])
    np.testing.assert_allclose(found.radii_of_reference, stored["radii_of_reference"], rtol=1e-12)
    np.testing.assert_allclose(
        found.radii_of_samples, arrays[f"{name}.pr_exact.radii_of_samples"], rtol=1e-12
    )


def make_features(num_images, dims, seed, shift=0.0):
    """Rectified, correlated, in modes."""
    rng, shared = np.random.default_rng(seed), np.random.default_rng(99)
    loadings, modes = shared.normal(size=(16, dims)), 2 * shared.normal(size=(10, 16))
    factors = modes[rng.integers(10, size=num_images)] + rng.normal(size=(num_images, 16)) + shift
    features = factors @ loadings + 0.5 * rng.normal(size=(num_images, dims))
    return np.maximum(features, 0).astype(np.float32)


def compute_by_brute_force(reference, samples, k):
    def distances(first, second):
        return np.array([((row - second.astype(np.float64)) ** 2).sum(axis=1) for row in first])

    radii = [np.sort(distances(part, part), axis=1)[:, k] for part in (reference, samples)]
    between = distances(samples, reference)
    return (between <= radii[0]).any(axis=1), (between <= radii[1][:, None]).any(axis=0)


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("narrow", [False, True])
def test_realistic_features_by_either_screen(monkeypatch, k, narrow):
    monkeypatch.setattr(distance_bounds, "MIN_POINTS", 1 if narrow else 1 << 40)
    monkeypatch.setattr(distance_bounds, "PAIR_COST", 0)
    monkeypatch.setitem(neighbours.BLOCK_ROWS, "cpu", 128)
    reference, samples = make_features(300, 256, 1), make_features(500, 256, 2, shift=0.3)
    samples[7], samples[9], reference[4] = samples[8], reference[5], reference[5]
    expected = compute_by_brute_force(reference, samples, k)
    found = compute_precision_recall(reference, samples, k)
    np.testing.assert_array_equal(found.sample_in_reference, expected[0])
    np.testing.assert_array_equal(found.reference_in_samples, expected[1])
    assert found.precision == expected[0].mean()
    assert found.recall == expected[1].mean()


def test_block_sizes_do_not_matter(monkeypatch):
    reference, samples = make_features(300, 40, 1), make_features(250, 40, 2, shift=0.5)
    expected = compute_precision_recall(reference, samples)
    for block_rows in (32, 100, 257):
        monkeypatch.setitem(neighbours.BLOCK_ROWS, "cpu", block_rows)
        found = compute_precision_recall(reference, samples)
        for name, value in vars(expected).items():
            np.testing.assert_array_equal(getattr(found, name), value)


MEASURE_MEMORY = """
import threading, psutil
import numpy as np
from eval.metrics.precision_recall import compute_precision_recall

rng = np.random.default_rng(0)
scales = np.arange(1, 513, dtype=np.float32) ** -0.5
reference, samples = (
    scales * rng.standard_normal((n, 512), dtype=np.float32) for n in (3000, 6000)
)
compute_precision_recall(reference[:20], samples[:20])
process, done, peak = psutil.Process(), threading.Event(), [0]
before = process.memory_info().rss

def watch():
    while not done.wait(0.002):
        peak[0] = max(peak[0], process.memory_info().rss)

watcher = threading.Thread(target=watch)
watcher.start()
compute_precision_recall(reference, samples)
done.set()
watcher.join()
print((peak[0] - before) / 2**20)
"""


def test_memory_is_bounded_beyond_the_features():
    """18 MB of features; all distances of the samples alone would be 144 MB, in float32."""
    run = [sys.executable, "-c", MEASURE_MEMORY]
    folder = Path(__file__).parents[3]
    found = subprocess.run(run, cwd=folder, capture_output=True, text=True, check=True)
    assert 0 < float(found.stdout) < 128


def test_a_collapsed_generator_is_precise_and_a_scattered_one_recalls():
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(400, 4))
    collapsed = compute_precision_recall(reference, 0.05 * rng.normal(size=(300, 4)))
    scattered = compute_precision_recall(reference, 4 * rng.normal(size=(300, 4)))
    assert collapsed.precision > 0.95 and collapsed.recall < 0.05
    assert scattered.precision < 0.3 and scattered.recall > 0.6


def test_swapping_the_sets_swaps_the_numbers(metrics_reference):
    reference = metrics_reference.arrays["mixture.reference"]
    samples = metrics_reference.arrays["mixture.samples"]
    forth = compute_precision_recall(reference, samples)
    back = compute_precision_recall(samples, reference)
    assert (forth.precision, forth.recall) == (back.recall, back.precision)


def test_the_order_does_not_matter(metrics_reference):
    reference = metrics_reference.arrays["mixture.reference"]
    samples = metrics_reference.arrays["mixture.samples"]
    order = np.random.default_rng(0).permutation(len(samples))
    one, other = (compute_precision_recall(reference, s) for s in (samples, samples[order]))
    np.testing.assert_array_equal(one.sample_in_reference[order], other.sample_in_reference)
    np.testing.assert_array_equal(one.reference_in_samples, other.reference_in_samples)


def test_a_set_against_itself_is_perfect():
    points = np.random.default_rng(0).normal(size=(50, 3))
    found = compute_precision_recall(points, points)
    assert (found.precision, found.recall) == (1, 1)


def test_too_few_points_are_refused():
    with pytest.raises(UserError, match=r"samples: got 3 images; at least 4 .* 3 neighbours"):
        compute_precision_recall(np.zeros((4, 2)), np.zeros((3, 2)))


def test_other_dimensions_are_refused():
    with pytest.raises(UserError, match="reference features have 2 dimensions, sample features 3"):
        compute_precision_recall(np.zeros((4, 2)), np.zeros((4, 3)))


def test_nan_is_refused():
    with pytest.raises(UserError, match="reference: 4 of 4 rows"):
        compute_precision_recall(np.full((4, 2), np.nan), np.zeros((4, 2)))
