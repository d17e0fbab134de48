import numpy as np
import pytest

from eval.metrics.density_coverage import compute_density_coverage
from records.errors import UserError

RNG = np.random.default_rng(0)


def compute_by_hand(reference, samples):
    """The definition: radii to the fifth other reference point, then pair by pair."""
    own = np.linalg.norm(reference[:, None] - reference[None], axis=-1)
    radii = np.sort(own, axis=1)[:, 5]  # [0] is the point itself
    inside = np.linalg.norm(samples[:, None] - reference[None], axis=-1) <= radii
    return inside.sum(axis=1).mean() / 5, inside.any(axis=0).mean()


@pytest.mark.parametrize("shift", [0.0, 0.7, 100.0])
def test_both_equal_the_definition(shift):
    reference = RNG.normal(size=(80, 3)).astype(np.float32)
    samples = (RNG.normal(size=(60, 3)) + shift).astype(np.float32)
    found = compute_density_coverage(reference, samples)
    density, coverage = compute_by_hand(reference, samples)
    estimate = found.estimate_density()
    assert estimate["value"] == pytest.approx(density)
    assert found.covered.mean() == pytest.approx(coverage)
    low, high = estimate["interval"]
    assert 0 <= low <= density <= high
    assert (density == 0) == (shift == 100.0)


def test_equal_distributions_have_density_1_and_the_known_coverage():
    """Density 1, and coverage 1 - 2^-5 for equal counts (Naeem et al. 2020, equations 8 and 9)."""
    reference, samples = RNG.normal(size=(2, 2000, 4)).astype(np.float32)
    found = compute_density_coverage(reference, samples)
    assert found.estimate_density()["value"] == pytest.approx(1, abs=0.05)
    assert found.covered.mean() == pytest.approx(1 - 2**-5, abs=0.015)


def test_one_mode_is_dense_and_covers_little():
    reference = RNG.normal(size=(500, 2)).astype(np.float32)
    found = compute_density_coverage(reference, np.zeros((500, 2), np.float32))
    assert found.estimate_density()["value"] > 0.5 and found.covered.mean() < 0.05


@pytest.mark.parametrize(
    ("reference", "samples", "words"),
    [
        (np.zeros((5, 2)), np.zeros((9, 2)), "reference: got 5 images; at least 6 are needed"),
        (np.zeros((9, 2)), np.zeros((9, 3)), "reference features have 2 dimensions, sample f"),
        (np.zeros((9, 2)), np.full((9, 2), np.nan), "samples: 9 of 9 rows of features hold NaN"),
    ],
)
def test_what_cannot_be_is_told(reference, samples, words):
    with pytest.raises(UserError, match=words):
        compute_density_coverage(reference, samples)
