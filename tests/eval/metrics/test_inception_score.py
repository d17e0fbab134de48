import numpy as np
import pytest

from eval.metrics.inception_score import (
    compute_inception_score,
    compute_shuffled_scores,
    compute_split_scores,
)
from records.errors import UserError


@pytest.mark.parametrize("split_size", ["5000", "100", "43"])
def test_the_authors_numbers(metrics_reference, split_size):
    expected = metrics_reference.results["inception_score"]["scores"][split_size]
    score = compute_inception_score(
        metrics_reference.arrays["inception_score.softmax"], int(split_size)
    )
    assert score == pytest.approx(expected["reference"], rel=1e-5)
    assert score == pytest.approx(expected["exact_float64"], rel=1e-9)


def test_certain_and_balanced_scores_the_number_of_classes():
    assert compute_inception_score(np.eye(7).repeat(3, axis=0)) == pytest.approx(7)


def test_uninformative_scores_one():
    assert compute_inception_score(np.full((9, 4), 0.25, np.float32)) == pytest.approx(1)


def test_a_short_last_split_has_full_weight():
    softmax = np.concatenate([np.eye(2).repeat(5, axis=0), np.full((1, 2), 0.5)])
    assert compute_inception_score(softmax, 10) == pytest.approx((2 + 1) / 2)


def test_the_score_is_the_mean_of_its_splits():
    softmax = np.random.default_rng(0).dirichlet(np.ones(6), size=25)
    scores = compute_split_scores(softmax, 10)
    assert scores.dtype == np.float64 and scores.shape == (3,)
    assert compute_inception_score(softmax, 10) == scores.mean()
    assert scores[1] == compute_inception_score(softmax[10:20])


def test_nan_is_refused():
    with pytest.raises(UserError, match="Inception Score: 1 of 2 rows"):
        compute_inception_score(np.array([[np.nan, 0.5], [0.5, 0.5]]))


def test_scores_of_random_orders_are_those_of_shuffled_samples():
    rng = np.random.default_rng(0)
    softmax = rng.dirichlet(np.full(7, 0.2), size=53).astype(np.float32)
    scores = compute_shuffled_scores(softmax, num_orders=400, seed=1, split_size=10)
    by_hand = [
        compute_inception_score(softmax[rng.permutation(53)], split_size=10) for _ in range(400)
    ]
    assert scores.mean() == pytest.approx(np.mean(by_hand), abs=6 * np.std(by_hand) / 20)
    assert scores.std() == pytest.approx(np.std(by_hand), rel=0.2)
    whole = compute_shuffled_scores(softmax, num_orders=2, split_size=53)
    assert whole == pytest.approx(compute_inception_score(softmax), rel=1e-6)
