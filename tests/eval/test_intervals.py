import math

import numpy as np
import pytest

from eval import intervals
from eval.fid import compute_frechet_distance, compute_moments
from eval.inception_score import compute_inception_score
from eval.intervals import (
    compute_jackknife_variance,
    compute_recall_of_halves,
    estimate_frechet_distance,
    estimate_inception_score,
    estimate_recall,
    estimate_share,
    make_estimate,
    make_groups,
)
from eval.precision_recall import compute_precision_recall
from records.errors import UserError


def make_softmax(rng, num, classes=10):
    logits = 3 * rng.normal(size=(num, classes))
    exponentials = np.exp(logits)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def test_groups_are_even_random_and_seeded():
    groups = make_groups(517, 0)
    assert set(np.bincount(groups)) == {10, 11} and len(np.bincount(groups)) == 50
    assert (groups == make_groups(517, 0)).all() and (groups != make_groups(517, 1)).any()
    assert sorted(make_groups(12, 0)) == list(range(12))
    with pytest.raises(UserError, match="intervals: got 9 images; at least 10 are needed"):
        make_groups(9, 0)


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(0).normal(size=50)
    without = (values.sum() - values) / 49
    assert compute_jackknife_variance(without) == pytest.approx(values.var(ddof=1) / 50)


@pytest.mark.parametrize(("num_groups", "quantile"), [(50, 2.00958), (20, 2.09302), (10, 2.26216)])
def test_the_quantile_is_students(num_groups, quantile):
    lower, upper = make_estimate(0.0, 1.0, num_groups, -9, 9)["interval"]
    assert upper == -lower == pytest.approx(quantile, abs=5e-3)


def test_intervals_stay_in_range_and_contain_the_value():
    assert make_estimate(0.1, 1.0, 50, 0.0, math.inf)["interval"][0] == 0
    assert make_estimate(-1e-13, 0.0, 50, 0.0, math.inf)["interval"] == [-1e-13, -1e-13]


def test_frechet_deletions_equal_direct_ones(monkeypatch):
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(203, 6)) + 50).astype(np.float32)
    mu, sigma = np.zeros(6), np.eye(6)
    groups = make_groups(203, 0)
    kept = {}
    monkeypatch.setattr(
        intervals, "compute_jackknife_variance", lambda values: kept.update(values=values) or 1.0
    )
    estimate = estimate_frechet_distance(features, mu, sigma, groups)
    direct = [
        compute_frechet_distance(*compute_moments(features[groups != group]), mu, sigma)
        for group in range(50)
    ]
    np.testing.assert_allclose(kept["values"], direct, rtol=1e-10)
    expected = compute_frechet_distance(*compute_moments(features), mu, sigma)
    assert estimate["value"] == expected


def test_score_deletions_equal_direct_ones(monkeypatch):
    softmax = make_softmax(np.random.default_rng(0), 300)
    groups = make_groups(300, 0)
    kept = {}
    monkeypatch.setattr(
        intervals, "compute_jackknife_variance", lambda values: kept.update(values=values) or 1.0
    )
    assert estimate_inception_score(softmax, groups)["value"] == compute_inception_score(softmax)
    direct = [compute_inception_score(softmax[groups != group]) for group in range(50)]
    np.testing.assert_allclose(kept["values"], direct, rtol=1e-10)


def test_scores_of_several_splits_have_an_interval():
    softmax = make_softmax(np.random.default_rng(0), 205)
    estimate = estimate_inception_score(softmax, make_groups(205, 0), split_size=100)
    assert estimate["value"] == compute_inception_score(softmax, 100)
    assert estimate["interval"][0] < estimate["value"] < estimate["interval"][1]


def test_a_split_that_is_one_group_is_left_out_when_it_is_deleted():
    softmax = make_softmax(np.random.default_rng(0), 101)
    estimate = estimate_inception_score(softmax, make_groups(101, 0), split_size=100)
    assert np.isfinite(estimate["std_error"])


@pytest.mark.parametrize(("hits", "num"), [(0, 10), (10, 10), (3, 10), (999, 1000)])
def test_wilson_contains_the_share(hits, num):
    estimate = estimate_share(np.arange(num) < hits)
    lower, upper = estimate["interval"]
    assert 0 <= lower <= estimate["value"] <= upper <= 1 and lower < upper


def test_wilson_is_known():
    lower, upper = estimate_share(np.arange(10) < 3)["interval"]
    assert (lower, upper) == (pytest.approx(0.1078, abs=1e-4), pytest.approx(0.6032, abs=1e-4))


@pytest.mark.parametrize("num", [10, 61])
def test_recall_of_halves_equals_recall_computed_of_each(num):
    rng = np.random.default_rng(num)
    reference, samples = rng.normal(size=(80, 3)), rng.normal(size=(num, 3))
    samples[: num // 3] = samples[0]  # duplicates; and half of ten is hardly more than k
    members, halves = compute_recall_of_halves(reference, samples, k=3, seed=1, num_splits=7)
    expected = compute_precision_recall(reference, samples).reference_in_samples
    np.testing.assert_array_equal(members, expected)
    rng = np.random.default_rng(1)
    for split in range(7):
        first = rng.permutation(np.arange(num) % 2 == 0)
        for half, recall in zip((first, ~first), halves[split], strict=True):
            assert recall == compute_precision_recall(reference, samples[half]).recall


def test_too_few_samples_for_halves():
    with pytest.raises(UserError, match="intervals: got 9 images; at least 10 are needed"):
        estimate_recall(np.zeros((20, 2)), np.zeros((9, 2)))


def test_frechet_intervals_cover():
    """Gaussian samples of known distance: mean shifted by 1, variance 1.44 against 1, in 4-D."""
    mu, sigma = np.zeros(4), np.eye(4)
    inside = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        features = 1.2 * rng.normal(size=(1000, 4)) + [1, 0, 0, 0]
        estimate = estimate_frechet_distance(features, mu, sigma, make_groups(1000, seed))
        lower, upper = estimate["interval"]
        assert lower <= estimate["value"] <= upper
        inside += lower <= 1 + 4 * 0.2**2 <= upper
    assert 90 <= inside <= 99


def test_recall_intervals_cover():
    """Samples narrower than the references; the truth is the mean over all draws."""
    estimates = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        reference, samples = rng.normal(size=(200, 4)), 0.8 * rng.normal(size=(150, 4))
        estimates.append(estimate_recall(reference, samples, seed=seed))
        lower, upper = estimates[-1]["interval"]
        assert lower <= estimates[-1]["value"] <= upper
    truth = np.mean([estimate["value"] for estimate in estimates])
    inside = sum(e["interval"][0] <= truth <= e["interval"][1] for e in estimates)
    assert 88 <= inside <= 100
