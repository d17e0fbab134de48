from dataclasses import replace

import numpy as np
import pytest

from eval.metrics import recall_interval
from eval.metrics.precision_recall import compute_precision_recall
from eval.metrics.recall_interval import (
    compute_manifolds_of_halves,
    compute_recall_contribution,
    estimate_recall,
)
from records.errors import UserError


@pytest.mark.parametrize("num", [10, 61])
def test_recall_of_halves_equals_recall_computed_of_each(num):
    rng = np.random.default_rng(num)
    reference, samples = rng.normal(size=(80, 3)), rng.normal(size=(num, 3))
    samples[: num // 3] = samples[0]  # duplicates; and half of ten is hardly more than k
    halves = compute_manifolds_of_halves(reference, samples, k=3, seed=1, num_splits=7)
    rng = np.random.default_rng(1)
    for split in range(7):
        first = rng.permutation(np.arange(num) % 2 == 0)
        parts = [compute_precision_recall(reference, samples[half]) for half in (first, ~first)]
        members = [part.reference_in_samples for part in parts]
        assert np.array_equal(halves[split], members)


def test_the_value_is_recall_and_known_members_are_taken():
    rng = np.random.default_rng(0)
    reference, samples = rng.normal(size=(80, 3)), rng.normal(size=(60, 3))
    manifolds = compute_precision_recall(reference, samples)
    estimate = estimate_recall(reference, samples)
    assert estimate["value"] == manifolds.recall
    lower, upper = estimate["interval"]
    assert 0 <= lower < estimate["value"] < upper <= 1
    members = manifolds.reference_in_samples
    one = compute_recall_contribution(reference, samples, members=members)
    assert estimate == estimate_recall(reference, samples, contribution=one)
    other = replace(one, each=~members)
    assert estimate_recall(reference, samples, contribution=other)["value"] == (~members).mean()


def test_of_very_many_samples_some_are_split(monkeypatch):
    rng = np.random.default_rng(0)
    reference, samples = rng.normal(size=(80, 3)), rng.normal(size=(60, 3))
    sizes = []
    original = recall_interval.compute_manifolds_of_halves
    monkeypatch.setattr(recall_interval, "MAX_SAMPLES", 40)
    monkeypatch.setattr(
        recall_interval,
        "compute_manifolds_of_halves",
        lambda reference, samples, **keys: (
            sizes.append(len(samples)) or original(reference, samples, **keys)
        ),
    )
    estimate = estimate_recall(reference, samples)
    assert (
        sizes == [40] and estimate["value"] == compute_precision_recall(reference, samples).recall
    )


def test_too_few_samples_for_halves():
    with pytest.raises(UserError, match="intervals: got 9 images; at least 10 are needed"):
        estimate_recall(np.zeros((20, 2)), np.zeros((9, 2)))
