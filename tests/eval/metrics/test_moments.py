import itertools

import numpy as np
import pytest

from eval.metrics.fid import compute_moments
from eval.metrics.moments import (
    BLOCK_ROWS,
    compute_mu_sigma,
    extend_moments,
    make_moments,
    merge_moments,
)
from records.errors import UserError


def make_features(num, dims, offset=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(num, dims)) * np.logspace(0, -3, dims) + offset).astype(np.float32)


def compute_two_pass(features):
    """In extended precision, so that the comparison has a right answer."""
    features = features.astype(np.longdouble)
    centred = features - features.mean(axis=0)
    return features.mean(axis=0), centred.T @ centred / (len(features) - 1)


def check(moments, features, rtol=1e-12):
    mu, sigma = compute_mu_sigma(moments)
    expected_mu, expected = compute_two_pass(features)
    spread = np.sqrt(np.diagonal(expected))
    assert moments.num_images == len(features) and mu.dtype == sigma.dtype == np.float64
    np.testing.assert_allclose(mu, expected_mu.astype(float), rtol=1e-14, atol=1e-14)
    assert (abs(sigma - expected) / np.outer(spread, spread)).max() < rtol
    assert (sigma == sigma.T).all()


@pytest.mark.parametrize("offset", [0.0, 1e3])
@pytest.mark.parametrize("dims", [5, 40])
@pytest.mark.parametrize("bounds", [(), (1,), (299,), (1, 2, 3), (64, 128, 192, 256), (150,)])
def test_batches_of_any_size_add_up(bounds, dims, offset):
    features = make_features(300, dims, offset)
    moments = None
    for batch in np.split(features, bounds):
        moments = extend_moments(moments, batch)
    check(moments, features, rtol=1e-10 if offset else 1e-12)


def test_shards_merge_in_any_order():
    features = make_features(200, 12, 1.0)
    shards = [make_moments(part) for part in np.split(features, (1, 50, 52))]
    kept = [part.scatter.copy() for part in shards]
    for first, second, third, fourth in itertools.permutations(shards):
        check(merge_moments(merge_moments(first, second), merge_moments(third, fourth)), features)
        check(merge_moments(merge_moments(merge_moments(fourth, first), third), second), features)
    for part, scatter in zip(shards, kept, strict=True):
        np.testing.assert_array_equal(part.scatter, scatter)


def test_more_rows_than_a_block():
    features = make_features(BLOCK_ROWS + 700, 6, 10.0)
    check(make_moments(features), features)


def test_a_spread_far_below_the_mean_survives():
    rng = np.random.default_rng(0)
    features = 1e8 + rng.normal(size=(1000, 4))
    check(make_moments(features), features, rtol=1e-10)


def test_the_one_call_form_is_the_same():
    features = make_features(30, 4)
    for ours, expected in zip(
        compute_moments(features), compute_mu_sigma(make_moments(features)), strict=True
    ):
        np.testing.assert_array_equal(ours, expected)


def test_one_row_is_a_start_and_no_covariance():
    moments = make_moments(make_features(1, 3))
    assert moments.num_images == 1 and not moments.scatter.any()
    with pytest.raises(UserError, match="got 1 row of features; a covariance needs 2 or more"):
        compute_mu_sigma(moments)


def test_other_dimensions_are_refused():
    first, second = make_moments(make_features(5, 3)), make_moments(make_features(5, 4))
    with pytest.raises(UserError, match="3 and 4 dimensions; only those of one network"):
        merge_moments(first, second)
    with pytest.raises(UserError, match="3 and 4 dimensions"):
        extend_moments(first, make_features(5, 4))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.array([[0.0], [np.nan]]), "moments: 1 of 2 rows of features hold NaN"),
        (np.zeros((2, 2), np.int64), "floating-point numbers"),
        (np.zeros((0, 2)), "moments: got 0 rows of features; one or more are needed"),
    ],
)
def test_what_are_no_features_is_refused(features, message):
    with pytest.raises(UserError, match=message):
        make_moments(features)
