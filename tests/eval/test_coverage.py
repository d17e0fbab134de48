"""Over many draws, 95 % intervals hold the expectation at this number of samples.

The fast cases have fewer draws and wider bounds; the slow ones demand 90 to 99 % of 200 draws.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from eval.metrics.extrapolation import estimate_extrapolated_distance
from eval.metrics.fid import compute_frechet_distance, compute_moments
from eval.metrics.intervals import (
    estimate_frechet_distance,
    estimate_inception_score,
    estimate_share,
)
from eval.metrics.kid import estimate_kid
from eval.metrics.precision_recall import compute_precision_recall
from eval.metrics.recall_interval import estimate_recall

Estimate = dict[str, Any]
NUM_DRAWS = 200


@dataclass(frozen=True)
class Gaussians:
    """Samples N(shift e_1, scale^2 D) against a fixed N(0, D), D = diag(1 / i^decay)."""

    dims: int
    num: int
    shift: float = 0.0
    scale: float = 1.0
    decay: float = 1.0

    @property
    def distance(self) -> float:
        """At infinitely many samples."""
        return self.shift**2 + (self.scale - 1) ** 2 * self.covariance.trace()

    @property
    def covariance(self) -> np.ndarray:
        return np.diag(np.arange(1, self.dims + 1.0) ** -self.decay)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        noise = rng.normal(size=(self.num, self.dims)) * np.sqrt(np.diagonal(self.covariance))
        return self.scale * noise + self.shift * np.eye(self.dims)[0]

    def estimate(self, seed: int, estimate: Callable[..., Estimate]) -> Estimate:
        features = self.draw(np.random.default_rng(seed))
        return estimate(features, np.zeros(self.dims), self.covariance, seed=seed)


def count_covered(estimates: list[Estimate], truth: float | None = None) -> int:
    """How many hold the truth, or the mean of all: their expectation, with an error of 7 %."""
    if truth is None:
        truth = float(np.mean([estimate["value"] for estimate in estimates]))
    for estimate in estimates:
        lower, upper = estimate["interval"]
        assert lower <= estimate["value"] <= upper
    return sum(e["interval"][0] <= truth <= e["interval"][1] for e in estimates)


def check_covered(estimates: list[Estimate], truth: float | None = None) -> None:
    covered = count_covered(estimates, truth) / len(estimates)
    assert 0.90 <= covered <= 0.99, covered


def compute_expected_distance(case: Gaussians) -> float:
    """The distance at this number of samples, from draws of its own."""
    mu, sigma = np.zeros(case.dims), case.covariance
    draws = (case.draw(np.random.default_rng(seed)) for seed in range(1000, 1600))
    return float(
        np.mean([compute_frechet_distance(*compute_moments(draw), mu, sigma) for draw in draws])
    )


FRECHET = {
    "far": Gaussians(64, 500, shift=1.0, scale=1.2),
    "between": Gaussians(16, 500, shift=0.3),
    "near": Gaussians(64, 500, shift=0.1, scale=1.02),
    "null": Gaussians(64, 500),
    "null, few directions": Gaussians(64, 500, decay=2.0),
    "fewer samples than dims, far": Gaussians(64, 40, shift=2.0),
    "fewer samples than dims, null": Gaussians(64, 40),
}


@pytest.mark.parametrize("name", ["far", "null"])
def test_frechet_quickly(name):
    case = Gaussians(16, 300, shift=1.0, scale=1.2) if name == "far" else Gaussians(64, 300)
    estimates = [case.estimate(seed, estimate_frechet_distance) for seed in range(100)]
    assert 88 <= count_covered(estimates) <= 99


def test_an_interval_that_is_too_narrow_or_too_wide_is_found():
    case = Gaussians(16, 300, shift=1.0, scale=1.2)
    estimates = [case.estimate(seed, estimate_frechet_distance) for seed in range(100)]
    for factor, wrong in ((0.7, range(88)), (1.6, range(100, 101))):
        scaled = [
            {
                "value": e["value"],
                "interval": [e["value"] + factor * (end - e["value"]) for end in e["interval"]],
            }
            for e in estimates
        ]
        assert count_covered(scaled) in wrong


@pytest.mark.slow
@pytest.mark.parametrize("name", FRECHET)
def test_frechet_distance(name):
    case = FRECHET[name]
    estimates = [case.estimate(seed, estimate_frechet_distance) for seed in range(NUM_DRAWS)]
    check_covered(estimates, compute_expected_distance(case))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["far", "null"])
def test_frechet_distance_at_infinite_samples(name):
    case = Gaussians(16, 500, shift=1.0, scale=1.2) if name == "far" else Gaussians(16, 500)
    estimates = [case.estimate(seed, estimate_extrapolated_distance) for seed in range(NUM_DRAWS)]
    check_covered(estimates, case.distance)


def draw_softmax(rng, num, classes):
    logits = 3 * rng.normal(size=(num, classes))
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def draw_certain(rng, num, weights):
    return np.eye(len(weights))[rng.choice(len(weights), num, p=weights / weights.sum())]


SCORES = {
    "uncertain": lambda rng: (draw_softmax(rng, 500, 10), 5000),
    "uncertain, 4 splits": lambda rng: (draw_softmax(rng, 1000, 10), 250),
    "certain": lambda rng: (draw_certain(rng, 1000, np.arange(1.0, 11)), 5000),
    "certain, balanced": lambda rng: (draw_certain(rng, 1000, np.ones(10)), 5000),
    "certain, balanced, 100 classes": lambda rng: (draw_certain(rng, 1000, np.ones(100)), 5000),
}


def test_inception_score_quickly():
    estimates = [
        estimate_inception_score(*SCORES["uncertain"](np.random.default_rng(seed)))
        for seed in range(100)
    ]
    assert 88 <= count_covered(estimates) <= 99


@pytest.mark.slow
@pytest.mark.parametrize("name", SCORES)
def test_inception_score(name):
    def estimate(seed):
        return estimate_inception_score(*SCORES[name](np.random.default_rng(seed)))

    truth = np.mean([estimate(seed)["value"] for seed in range(1000, 2000)])
    check_covered([estimate(seed) for seed in range(NUM_DRAWS)], truth)


def draw_manifolds(seed, scale, reference_seed=None, num=150):
    """Gaussian references and samples in 4 dimensions; the samples' spread is scale."""
    rng = np.random.default_rng(seed)
    samples = scale * rng.normal(size=(num, 4))
    rng = rng if reference_seed is None else np.random.default_rng(reference_seed)
    return rng.normal(size=(200, 4)), samples


def estimate_drawn_recall(seed, scale):
    return estimate_recall(*draw_manifolds(seed, scale), seed=seed)


def test_recall_quickly():
    estimates = [estimate_drawn_recall(seed, 0.8) for seed in range(100)]
    assert 88 <= count_covered(estimates) <= 99


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.7, 1.0, 1.4])
def test_recall(scale):
    truth = np.mean(
        [
            compute_precision_recall(*draw_manifolds(seed, scale)).recall
            for seed in range(1000, 1600)
        ]
    )
    check_covered([estimate_drawn_recall(seed, scale) for seed in range(NUM_DRAWS)], truth)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.7, 1.0, 1.4])
def test_precision(scale):
    """At a fixed reference."""
    estimates = [
        estimate_share(
            compute_precision_recall(
                *draw_manifolds(seed, scale, reference_seed=10**6)
            ).sample_in_reference
        )
        for seed in range(1000)
    ]
    truth = np.mean([estimate["value"] for estimate in estimates])
    check_covered(estimates[:NUM_DRAWS], truth)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["far", "between", "null"])
def test_kid(name):
    shift, scale = {"far": (1.0, 1.2), "between": (0.3, 1.0), "null": (0.0, 1.0)}[name]
    case = Gaussians(16, 200, shift=shift, scale=scale, decay=0.5)
    reference = Gaussians(16, 1000, decay=0.5).draw(np.random.default_rng(10**6))

    def estimate(seed):
        return estimate_kid(reference, case.draw(np.random.default_rng(seed)))

    truth = np.mean([estimate(seed)["value"] for seed in range(1000, 1600)])
    check_covered([estimate(seed) for seed in range(NUM_DRAWS)], truth)
