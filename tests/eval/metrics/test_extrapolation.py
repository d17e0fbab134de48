import numpy as np
import pytest

from eval.metrics.extrapolation import estimate_extrapolated_distance
from eval.metrics.fid import compute_frechet_distance, compute_moments
from records.errors import UserError

DIMS = 12


def draw(seed, num=400, scale=1.2):
    return (scale * np.random.default_rng(seed).normal(size=(num, DIMS))).astype(np.float32)


@pytest.mark.parametrize(("scale", "truth"), [(1.2, DIMS * 0.2**2), (1.0, 0.0)])
def test_the_bias_is_gone(scale, truth):
    mu, sigma = np.zeros(DIMS), np.eye(DIMS)
    values, plain = [], []
    for seed in range(60):
        features = draw(seed, scale=scale)
        values.append(estimate_extrapolated_distance(features, mu, sigma, seed=seed)["value"])
        plain.append(compute_frechet_distance(*compute_moments(features), mu, sigma))
    bias = np.mean(plain) - truth
    assert bias > 0.1
    assert abs(np.mean(values) - truth) < 0.1 * bias


def test_the_points_are_distances_at_three_counts_and_lie_above_the_intercept():
    features = draw(0, num=403)
    estimate = estimate_extrapolated_distance(features, np.zeros(DIMS), np.eye(DIMS))
    counts, distances = zip(*estimate["points"], strict=True)
    assert counts == (403, 201.5, 100.75)
    expected = compute_frechet_distance(*compute_moments(features), np.zeros(DIMS), np.eye(DIMS))
    assert distances[0] == pytest.approx(expected, rel=1e-12)
    assert estimate["value"] < distances[0] < distances[1] < distances[2]
    intercept = np.polyfit([1 / count for count in counts], distances, 1)[1]
    assert estimate["value"] == pytest.approx(intercept, rel=1e-3)
    lower, upper = estimate["interval"]
    assert lower < estimate["value"] < upper


def test_the_seed_deals_the_subsets():
    one, again, other = (
        estimate_extrapolated_distance(draw(0), np.zeros(DIMS), np.eye(DIMS), seed=seed)
        for seed in (0, 0, 1)
    )
    assert one == again != other


def test_too_few_samples():
    with pytest.raises(UserError, match="infinite samples: got 39 images; at least 40 are needed"):
        estimate_extrapolated_distance(draw(0, num=39), np.zeros(DIMS), np.eye(DIMS))
