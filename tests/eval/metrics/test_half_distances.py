import numpy as np
import pytest

from eval.metrics import half_distances
from eval.metrics.half_distances import compute_half_coverage, compute_half_radii
from eval.metrics.precision_recall import compute_precision_recall

NAMES = ["mixture", "fewer_samples_than_dims", "dead_dims", "float16_overflow", "few_points"]


@pytest.mark.parametrize("name", NAMES)
def test_the_authors_results(metrics_reference, name):
    """Devices add in other orders: the order of float16 steps is seen in a few statuses only."""
    arrays, expected = metrics_reference.arrays, metrics_reference.results[name]
    found = compute_precision_recall(
        arrays[f"{name}.reference"], arrays[f"{name}.samples"], half_distances=True
    )
    assert found.precision == pytest.approx(expected["precision_reference"], abs=0.003)
    assert found.recall == pytest.approx(expected["recall_reference"], abs=0.003)
    for key in ("radii_of_reference", "radii_of_samples"):
        stored = arrays[f"{name}.pr_reference.{key}"]
        np.testing.assert_allclose(getattr(found, key), stored, rtol=2e-6, atol=0.04)
    for ours, theirs in (
        (found.sample_in_reference, "sample_in_reference_manifold"),
        (found.reference_in_samples, "reference_in_sample_manifold"),
    ):
        differing = (ours != arrays[f"{name}.pr_reference.{theirs}"]).sum()
        assert differing <= 0.02 * len(ours)


def test_half_distances_are_nearer_to_the_authors_than_exact_ones(metrics_reference):
    """On the set where float16 matters most."""
    arrays, expected = metrics_reference.arrays, metrics_reference.results["mixture"]
    sets = arrays["mixture.reference"], arrays["mixture.samples"]
    halves, exact = (compute_precision_recall(*sets, half_distances=half) for half in (True, False))
    for name in ("precision", "recall"):
        published = expected[f"{name}_reference"]
        assert abs(getattr(halves, name) - published) < abs(getattr(exact, name) - published)


def test_distances_lie_on_the_float16_grid():
    points = np.array([[0.0], [1000.0], [1001.0]], dtype=np.float32) / 50
    # Squares 0, 400 and 400.8, rounded to 400.75 (steps of 1/4); 20 * 20.02 rounds to 400.25 there.
    radii = compute_half_radii(points, 1)
    assert (radii == radii.astype(np.float16)).all()
    assert radii[0] == 400
    assert abs(radii[1] - 0.02**2) > 1e-3


def test_the_k_th_element_counts_the_point_itself():
    points = np.array([[0.0], [1.0], [3.0], [7.0]], dtype=np.float32)
    np.testing.assert_array_equal(compute_half_radii(points, 2), [9, 4, 9, 36])


def test_what_overflows_is_taken_in_float32_with_its_whole_block(monkeypatch):
    """300^2 is beyond float16; the same numbers without the large one are rounded."""
    monkeypatch.setattr(half_distances, "SLAB_ROWS", 2)
    small = np.array([[1.0], [1.0003], [2.0], [3.0]], dtype=np.float32)
    large = np.append(small, np.float32([[300.0]]), axis=0)
    exact = (small[1, 0] - small[0, 0]) ** 2
    assert compute_half_radii(small, 1)[0] == 0
    assert compute_half_radii(large, 1)[0] == pytest.approx(exact, abs=2e-7)
    assert compute_half_radii(large, 1)[0] != 0 or exact < 2e-7
    np.testing.assert_allclose(compute_half_radii(large, 1)[4], 297.0**2, rtol=1e-6)
    # In blocks of their own the small numbers are rounded again.
    monkeypatch.setattr(half_distances, "BLOCK_ROWS", 4)
    assert compute_half_radii(large, 1)[0] == 0


def test_slabs_do_not_matter(monkeypatch, metrics_reference):
    reference = metrics_reference.arrays["mixture.reference"]
    samples = metrics_reference.arrays["mixture.samples"]
    expected = compute_precision_recall(reference, samples, half_distances=True)
    monkeypatch.setattr(half_distances, "SLAB_ROWS", 64)
    found = compute_precision_recall(reference, samples, half_distances=True)
    assert found.precision == pytest.approx(expected.precision, abs=0.003)
    assert found.recall == pytest.approx(expected.recall, abs=0.003)


def test_the_surface_is_inside():
    first = np.array([[0.0], [8.0]], dtype=np.float32)
    second = np.array([[2.0], [5.0]], dtype=np.float32)
    covered = compute_half_coverage(first, second, np.array([4.0, 8.9]), np.array([3.9, 9.0]))
    np.testing.assert_array_equal(covered[0], [False, True])
    np.testing.assert_array_equal(covered[1], [True, False])


def test_copies_are_at_a_coarse_distance_that_is_never_negative():
    points = np.random.default_rng(0).normal(size=(100, 64)).astype(np.float32)
    radii = compute_half_radii(np.concatenate([points, points]), 1)
    assert radii.min() == 0
    assert 0 < radii.max() < 0.2
