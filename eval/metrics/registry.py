"""How samples get the values and intervals of the metrics that records.metrics names."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from eval.metrics.density_coverage import DensityCoverage, compute_density_coverage
from eval.metrics.extrapolation import estimate_extrapolated_distance
from eval.metrics.fid import compute_frechet_distance, compute_moments
from eval.metrics.inception_score import compute_inception_score, compute_split_scores
from eval.metrics.intervals import (
    compute_frechet_contribution,
    compute_inception_contribution,
    estimate_frechet_distance,
    estimate_inception_score,
    estimate_share,
)
from eval.metrics.kid import compute_kid_of_subsets, estimate_kid
from eval.metrics.memorisation import compute_memorised
from eval.metrics.moments import make_moments
from eval.metrics.precision_recall import (
    PrecisionRecall,
    compute_class_shares,
    compute_precision_recall,
)
from eval.metrics.recall_interval import compute_recall_contribution, estimate_recall
from eval.metrics.reference import Reference
from eval.networks.features import Features, demand
from records.contributions import Contribution
from records.metrics import PAPER

Result = dict[str, Any]


@dataclass(frozen=True)
class Grading:
    """What metrics are computed from, and how.

    Attributes:
        reference: statistics and pool features of the reference.
        samples: features of the samples.
        intervals: add standard errors and 95 % intervals (null otherwise).
        seed: of random pairs, halves and subsets; moves intervals and fid_infinity alone.
        device: where distances are computed.
        half_distances: precision and recall with the authors' float16 arithmetic; their exact
            values stand beside them.
        by_class: add the shares of precision and recall of every class, by the images' labels.
        contributions: by metric, what every sample adds; filled where there are intervals.
    """

    reference: Reference
    samples: Features
    intervals: bool = True
    seed: int = 0
    device: str = "cpu"
    half_distances: bool = False
    by_class: bool = False
    contributions: dict[str, Contribution] = field(default_factory=dict)

    @cached_property
    def pools(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the pool features of reference and samples."""
        return demand(self.reference.pool), demand(self.samples.pool)

    @cached_property
    def manifolds(self) -> PrecisionRecall:
        """Return who is covered by whom: what precision and recall share."""
        if not self.half_distances:
            return self.exact_manifolds
        return compute_precision_recall(*self.pools, device=self.device, half_distances=True)

    @cached_property
    def exact_manifolds(self) -> PrecisionRecall:
        """Return the same by exact distances, whatever is asked for."""
        return compute_precision_recall(*self.pools, device=self.device)

    @cached_property
    def density_coverage(self) -> DensityCoverage:
        """Return what density and coverage share."""
        return compute_density_coverage(*self.pools, device=self.device)

    def add_details(
        self, result: Result, name: str, members: np.ndarray, labels: np.ndarray | None
    ) -> Result:
        """Put beside precision or recall its exact value and its classes, where they are wanted."""
        if self.half_distances:
            result = {**result, "exact": getattr(self.exact_manifolds, name)}
        if self.by_class:
            result = {**result, "by_class": compute_class_shares(members, demand(labels))}
        return result


def compute_metrics(
    reference: Reference,
    samples: Features,
    *,
    metrics: Collection[str] = PAPER,
    intervals: bool = True,
    seed: int = 0,
    device: str = "cpu",
    half_distances: bool = False,
    by_class: bool = False,
) -> tuple[dict[str, Result], dict[str, Contribution]]:
    """Compute metrics of samples from features.

    Args:
        reference: statistics and pool features of the reference.
        samples: features of the samples.
        metrics: names out of records.metrics.METRICS.
        intervals: see Grading, as all that follow.

    Returns:
        By name: value, std_error and interval; "is" also the number of its splits and its standard
        deviation over them, precision and recall with half distances also their exact values.
        And, where there are intervals, what every sample adds.
    """
    grading = Grading(reference, samples, intervals, seed, device, half_distances, by_class)
    found = {name: compute(grading) for name, compute in COMPUTE.items() if name in metrics}
    return found, grading.contributions


def make_value(value: float) -> Result:
    """Make the result of a metric without an interval."""
    return {"value": float(value), "std_error": None, "interval": None}


def _keep(result: Result, grading: Grading) -> Result:
    """Return a result with its interval, or without where none is wanted."""
    return result if grading.intervals else make_value(result["value"])


def _compute_inception_score(grading: Grading) -> Result:
    """Compute the Inception Score and its spread over splits."""
    softmax = demand(grading.samples.softmax)
    if grading.intervals:
        result = estimate_inception_score(softmax)
        grading.contributions["is"] = compute_inception_contribution(softmax, seed=grading.seed)
    else:
        result = make_value(compute_inception_score(softmax))
    splits = compute_split_scores(softmax)
    spread = float(splits.std(ddof=1)) if len(splits) > 1 else None
    return {**result, "num_splits": len(splits), "std_over_splits": spread}


def _compute_fid(grading: Grading) -> Result:
    reference = grading.reference
    return _compute_distance("fid", grading, grading.samples.pool, reference.mu, reference.sigma)


def _compute_sfid(grading: Grading) -> Result:
    reference = grading.reference
    needed = (grading.samples.spatial, reference.mu_s, reference.sigma_s)
    return _compute_distance("sfid", grading, *needed)


def _compute_distance(metric: str, grading: Grading, *needed: np.ndarray | None) -> Result:
    """Compute a Fréchet distance from features and the reference's mean and covariance."""
    features, mu, sigma = map(demand, needed)
    if grading.intervals:
        moments = make_moments(features)
        one = compute_frechet_contribution(features, moments, mu, sigma, seed=grading.seed)
        grading.contributions[metric] = one
        return estimate_frechet_distance(features, mu, sigma, moments=moments, contribution=one)
    return make_value(compute_frechet_distance(*compute_moments(features), mu, sigma))


def _compute_precision(grading: Grading) -> Result:
    members = grading.manifolds.sample_in_reference
    if grading.intervals:
        grading.contributions["precision"] = Contribution(members)
    result = _keep(estimate_share(members), grading)
    return grading.add_details(result, "precision", members, grading.samples.labels)


def _compute_recall(grading: Grading) -> Result:
    members = grading.manifolds.reference_in_samples
    result = make_value(grading.manifolds.recall)
    if grading.intervals:
        options = {"seed": grading.seed, "device": grading.device}
        one = compute_recall_contribution(*grading.pools, members=members, **options)
        grading.contributions["recall"] = one
        result = estimate_recall(*grading.pools, contribution=one)
    return grading.add_details(result, "recall", members, grading.reference.labels)


def _compute_memorised(grading: Grading) -> Result:
    return _keep(estimate_share(compute_memorised(*grading.pools, device=grading.device)), grading)


def _compute_kid(grading: Grading) -> Result:
    return _keep(estimate_kid(*grading.pools, device=grading.device), grading)


def _compute_fid_infinity(grading: Grading) -> Result:
    needed = (grading.samples.pool, grading.reference.mu, grading.reference.sigma)
    return _keep(estimate_extrapolated_distance(*map(demand, needed), seed=grading.seed), grading)


def _compute_density(grading: Grading) -> Result:
    return _keep(grading.density_coverage.estimate_density(), grading)


def _compute_coverage(grading: Grading) -> Result:
    return _keep(grading.density_coverage.estimate_coverage(), grading)


def _compute_kid_of_subsets(grading: Grading) -> Result:
    values = compute_kid_of_subsets(*grading.pools, device=grading.device)
    spread = float(values.std())
    return {**make_value(float(values.mean())), "num_subsets": len(values), "std": spread}


COMPUTE: dict[str, Callable[[Grading], Result]] = {
    "is": _compute_inception_score,
    "fid": _compute_fid,
    "sfid": _compute_sfid,
    "precision": _compute_precision,
    "recall": _compute_recall,
    "memorised": _compute_memorised,
    "kid": _compute_kid,
    "fid_infinity": _compute_fid_infinity,
    "density": _compute_density,
    "coverage": _compute_coverage,
    "kid_subsets": _compute_kid_of_subsets,
}
