import numpy as np
import pytest

from eval.precision_recall import compute_precision_recall
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
    # The authors' float16 arithmetic is coarser.
    assert found.precision == pytest.approx(expected["precision_reference"], abs=0.03)
    assert found.recall == pytest.approx(expected["recall_reference"], abs=0.03)


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
