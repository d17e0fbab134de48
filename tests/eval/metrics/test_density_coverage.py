import math

import numpy as np
import pytest

from eval.metrics.density_coverage import DensityCoverage, compute_density_coverage
from eval.metrics.intervals import Z, estimate_share
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


def test_the_variance_over_samples_counts_balls_that_hold_the_same():
    """Balls by their samples: {a} twice, {b}, {a, b} three times, none twice."""
    which = np.array([1, 1, 2, 3, 3, 3, 0, 0], dtype=np.uint64)
    num_inside = np.array([1, 1, 1, 2, 2, 2, 0, 0])
    found = DensityCoverage(np.zeros(10, dtype=np.int64), num_inside, which).estimate_coverage()
    share = estimate_share(num_inside > 0)
    assert found["value"] == share["value"] == 0.75
    # Two pairs of {a}, six of {a, b} against them: less than nothing.
    assert found["std_error"] == share["std_error"] == math.sqrt(0.75 * 0.25 / 8)
    num_inside[3:6] = 3  # as if they held a third sample
    found = DensityCoverage(np.zeros(10, dtype=np.int64), num_inside, which).estimate_coverage()
    variance = (2 + 6 - 3 * 2 / 10) / (8 * 7)
    assert found["std_error"] == pytest.approx(math.sqrt(0.75 * 0.25 / 8 + variance))
    low, high = (Z * math.sqrt(variance), share["interval"][1] - 0.75)
    assert found["interval"][0] == max(0.0, 0.75 - math.hypot(low, 0.75 - share["interval"][0]))
    assert found["interval"][1] == min(1.0, 0.75 + math.hypot(low, high))


@pytest.mark.parametrize(("num", "others", "scale"), [(100, 150, 0.6), (120, 60, 1.0)])
def test_intervals_of_coverage_hold_its_expectation(num, others, scale):
    rng, estimates = np.random.default_rng(0), []
    for _ in range(120):
        sets = rng.normal(size=(num, 3)), scale * rng.normal(size=(others, 3))
        found = compute_density_coverage(*(one.astype(np.float32) for one in sets))
        estimates.append(found.estimate_coverage())
    truth = np.mean([one["value"] for one in estimates])
    held = np.mean([one["interval"][0] <= truth <= one["interval"][1] for one in estimates])
    errors = np.sqrt(np.mean([one["std_error"] ** 2 for one in estimates]))
    assert 0.9 <= held <= 0.99
    assert errors == pytest.approx(np.std([one["value"] for one in estimates]), rel=0.2)
