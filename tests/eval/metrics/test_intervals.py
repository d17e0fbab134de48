import math

import numpy as np
import pytest

from eval.metrics.fid import compute_frechet_distance, compute_moments
from eval.metrics.inception_score import compute_inception_score
from eval.metrics.intervals import (
    compute_frechet_contribution,
    estimate_frechet_distance,
    estimate_inception_score,
    estimate_share,
    make_estimate,
    sum_orders,
)
from eval.metrics.moments import make_moments
from records.errors import UserError


def make_softmax(rng, num, classes=10):
    logits = 3 * rng.normal(size=(num, classes))
    exponentials = np.exp(logits)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def make_covariance(dims, seed):
    factor = np.random.default_rng(seed).normal(size=(dims, 2 * dims))
    return factor @ factor.T / (2 * dims)


@pytest.mark.parametrize(("freedom", "quantile"), [(49, 2.00958), (19, 2.09302), (9, 2.26216)])
def test_the_quantile_is_students(freedom, quantile):
    estimate = make_estimate(0.0, 1.0, 0.0, freedom=freedom)
    lower, upper = estimate["interval"]
    assert upper == -lower == pytest.approx(quantile, abs=5e-3)
    assert estimate["std_error"] == 1


def test_the_second_order_is_counted_once_and_is_left_where_influence_vanishes():
    far = make_estimate(5.0, 1.0, 0.1, freedom=10**6)
    near = make_estimate(5.0, 0.15, 0.1, freedom=10**6)
    assert far["std_error"] ** 2 == pytest.approx(0.9)
    assert near["std_error"] ** 2 == pytest.approx(0.1)
    for estimate in (far, near):
        half = (estimate["interval"][1] - estimate["interval"][0]) / 2
        assert half == pytest.approx(1.959964 * estimate["std_error"], rel=1e-5)


@pytest.mark.parametrize("slope", [0.3, -0.3])
def test_interval_ends_are_contradicted_no_more_than_their_own_variance_allows(slope):
    estimate = make_estimate(5.0, 1.0, 0.01, slope=slope, freedom=10**6)
    for end in estimate["interval"]:
        assert (end - 5) ** 2 == pytest.approx(1.959964**2 * (0.99 + slope * (end - 5)), rel=1e-5)


def test_intervals_stay_in_range_and_contain_the_value():
    assert make_estimate(0.1, 1.0, 0.1, freedom=9, low=0.0)["interval"][0] == 0
    assert make_estimate(9.9, 1.0, 0.1, freedom=9, high=10.0)["interval"][1] == 10
    assert make_estimate(-1e-13, 0.0, 0.0, freedom=9, low=0.0)["interval"] == [-1e-13, -1e-13]


@pytest.mark.parametrize("rank", [20, 8])
def test_frechet_influence_is_what_leaving_out_a_sample_takes_away(rank):
    """Also of few samples for their dimensions, where the derivative alone is not."""
    rng, num = np.random.default_rng(0), 120
    features = rng.normal(size=(num, 20)) @ rng.normal(size=(20, 20)) + 1
    factor = make_covariance(20, 1)[:, :rank]
    mu, sigma = np.zeros(20), factor @ factor.T
    found = compute_frechet_contribution(features, make_moments(features), mu, sigma, seed=0).each
    every = compute_frechet_distance(*compute_moments(features), mu, sigma)
    moved = [
        compute_frechet_distance(*compute_moments(np.delete(features, i, axis=0)), mu, sigma)
        for i in range(num)
    ]
    influence = (num - 1) * (every - np.array(moved))
    differences = (found - found.mean()) - (influence - influence.mean())
    assert differences.std() < 0.02 * influence.std()


def test_frechet_second_order_is_the_curvature_in_pairs_of_samples():
    """Weight added to two samples moves the distance by 2 h more than the sum of each alone."""
    rng, num = np.random.default_rng(0), 60
    features = rng.normal(size=(num, 4)) @ rng.normal(size=(4, 4))
    mu, sigma = np.ones(4), make_covariance(4, 1)
    _, second_order = sum_orders(
        compute_frechet_contribution(features, make_moments(features), mu, sigma, seed=0)
    )

    def compute_distance(*places):
        weights = np.ones(num) / num
        for place in places:
            weights += 1e-4 * (np.eye(num)[place] - 1 / num)
        mean = weights @ features
        centred = features - mean
        return compute_frechet_distance(mean, (centred.T * weights) @ centred, mu, sigma)

    base, each = compute_distance(), [compute_distance(place) for place in range(num)]
    products = [
        (compute_distance(i, j) - each[i] - each[j] + base) / (2 * 1e-8)
        for i in range(num)
        for j in range(i)
    ]
    expected = 2 * np.mean(np.square(products)) / num**2
    assert second_order == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(("num", "dims"), [(300, 8), (30, 64), (12, 12)])
def test_frechet_values_are_the_metrics_own(num, dims):
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(num, dims)) + 3).astype(np.float32)
    mu, sigma = np.zeros(dims), make_covariance(dims, 0)
    estimate = estimate_frechet_distance(features, mu, sigma)
    assert estimate["value"] == compute_frechet_distance(*compute_moments(features), mu, sigma)
    lower, upper = estimate["interval"]
    assert 0 <= lower < estimate["value"] < upper
    assert estimate == estimate_frechet_distance(features, mu, sigma)


def test_samples_that_are_all_the_same_have_a_distance_without_spread():
    estimate = estimate_frechet_distance(np.ones((12, 3), np.float32), np.zeros(3), np.eye(3))
    assert estimate["value"] == pytest.approx(6) and estimate["interval"] == [6.0, 6.0]


def test_score_values_and_ranges():
    softmax = make_softmax(np.random.default_rng(0), 205)
    for split_size in (5000, 100, 5):
        estimate = estimate_inception_score(softmax, split_size)
        assert estimate["value"] == compute_inception_score(softmax, split_size)
        assert 1 <= estimate["interval"][0] < estimate["value"] < estimate["interval"][1] <= 10
    assert estimate_inception_score(np.eye(4).repeat(5, axis=0))["value"] == pytest.approx(4)


def test_score_variance_is_near_the_jackknifes():
    softmax = make_softmax(np.random.default_rng(0), 400)
    without = [compute_inception_score(np.delete(softmax, i, axis=0)) for i in range(400)]
    jackknife = np.sqrt(399 * np.var(without))
    assert estimate_inception_score(softmax)["std_error"] == pytest.approx(jackknife, rel=0.05)


@pytest.mark.parametrize(
    "estimate",
    [
        lambda: estimate_frechet_distance(np.zeros((9, 2)), np.zeros(2), np.eye(2)),
        lambda: estimate_inception_score(np.full((9, 2), 0.5)),
    ],
)
def test_too_few_samples(estimate):
    with pytest.raises(UserError, match="intervals: got 9 images; at least 10 are needed"):
        estimate()


@pytest.mark.parametrize(("hits", "num"), [(0, 10), (10, 10), (3, 10), (999, 1000)])
def test_wilson_contains_the_share(hits, num):
    estimate = estimate_share(np.arange(num) < hits)
    lower, upper = estimate["interval"]
    assert 0 <= lower <= estimate["value"] <= upper <= 1 and lower < upper


def test_wilson_is_known():
    lower, upper = estimate_share(np.arange(10) < 3)["interval"]
    assert (lower, upper) == (pytest.approx(0.1078, abs=1e-4), pytest.approx(0.6032, abs=1e-4))
    assert math.isclose(estimate_share(np.arange(10) < 3)["std_error"], math.sqrt(0.021))
