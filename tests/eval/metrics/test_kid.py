import itertools

import numpy as np
import pytest

from eval.metrics.kid import compute_kid, compute_kid_of_subsets, estimate_kid
from records.errors import UserError


def kernel(x, y):
    return (x @ y / len(x) + 1) ** 3


def compute_by_hand(reference, samples):
    """The definition, pair by pair."""
    within = [
        np.mean([kernel(a, b) for a, b in itertools.permutations(part, 2)])
        for part in (samples, reference)
    ]
    return sum(within) - 2 * np.mean([kernel(a, b) for a in samples for b in reference])


def compute_variance_by_hand(reference, samples):
    """U^2 less the mean of h(x_1, x_2) h(x_3, x_4) over four different samples."""
    between = [np.mean([kernel(x, y) for y in reference]) for x in samples]
    within = np.mean([kernel(a, b) for a, b in itertools.permutations(reference, 2)])
    num = len(samples)
    h = {
        (i, j): kernel(samples[i], samples[j]) - between[i] - between[j] + within
        for i, j in itertools.permutations(range(num), 2)
    }
    fours = np.mean([h[i, j] * h[k, m] for i, j, k, m in itertools.permutations(range(num), 4)])
    degenerate = 2 * (np.mean(np.square(list(h.values()))) - fours) / (num * (num - 1))
    return max(np.mean(list(h.values())) ** 2 - fours, degenerate)


@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_value_and_variance_equal_the_definitions(monkeypatch, shift):
    monkeypatch.setattr("eval.metrics.kid.BLOCK_ROWS", 4)
    rng = np.random.default_rng(0)
    reference, samples = rng.normal(size=(7, 3)), rng.normal(size=(10, 3)) + shift
    estimate = estimate_kid(reference, samples)
    assert estimate["value"] == pytest.approx(compute_by_hand(reference, samples), rel=1e-12)
    expected = compute_variance_by_hand(reference, samples)
    assert estimate["std_error"] ** 2 == pytest.approx(expected, rel=1e-9)
    lower, upper = estimate["interval"]
    assert lower < estimate["value"] < upper


def test_unbiased_between_equal_distributions():
    values = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        values.append(compute_kid(rng.normal(size=(60, 8)), rng.normal(size=(40, 8))))
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 3 * error
    assert 0.2 < np.mean(np.array(values) > 0) < 0.8


def test_unequal_distributions_are_apart_and_single_precision_suffices():
    rng = np.random.default_rng(0)
    reference, samples = rng.normal(size=(300, 16)), 1.3 * rng.normal(size=(200, 16))
    value = compute_kid(reference, samples)
    assert value > 0.05
    single = compute_kid(reference.astype(np.float32), samples.astype(np.float32))
    assert single == pytest.approx(value, rel=1e-5)


def test_order_does_not_matter():
    rng = np.random.default_rng(0)
    reference, samples = rng.normal(size=(50, 4)), rng.normal(size=(30, 4))
    assert compute_kid(reference[::-1], samples[::-1]) == pytest.approx(
        compute_kid(reference, samples), abs=1e-12
    )


@pytest.mark.parametrize(
    ("reference", "samples", "message"),
    [
        (np.zeros((5, 2)), np.zeros((9, 2)), "KID: samples: got 9 images; at least 10 are needed"),
        (np.zeros((1, 2)), np.zeros((10, 2)), "KID: reference: got 1 image; at least 2 are needed"),
        (np.zeros((5, 3)), np.zeros((10, 2)), "have 3 dimensions, sample features 2; compute both"),
        (np.full((5, 2), np.nan), np.zeros((10, 2)), "KID: reference: 5 of 5 rows .* NaN"),
    ],
)
def test_bad_input_is_refused(reference, samples, message):
    with pytest.raises(UserError, match=message):
        estimate_kid(reference, samples)


def test_subsets_are_drawn_as_torch_fidelity_draws_them(monkeypatch):
    """The samples first, then the reference, by one generator of seed 2020."""
    monkeypatch.setattr("eval.metrics.kid.NUM_SUBSETS", 3)
    monkeypatch.setattr("eval.metrics.kid.SUBSET_SIZE", 12)
    rng = np.random.default_rng(0)
    reference, samples = rng.normal(size=(30, 4)), rng.normal(0.5, size=(20, 4))
    draws = np.random.RandomState(2020)
    expected = []
    for _ in range(3):
        some = samples[draws.choice(20, 12, replace=False)]
        others = reference[draws.choice(30, 12, replace=False)]
        expected.append(compute_by_hand(others, some))
    np.testing.assert_allclose(compute_kid_of_subsets(reference, samples), expected, rtol=1e-12)


def test_too_few_for_a_subset_are_told():
    features = np.zeros((999, 2))
    with pytest.raises(UserError, match="KID: samples: got 999 images; at least 1000 are needed"):
        compute_kid_of_subsets(np.zeros((1000, 2)), features)
