"""The metrics by name: what each needs, and how samples get their values and intervals."""

from collections.abc import Collection
from typing import Any

import numpy as np

from eval.metrics.extrapolation import estimate_extrapolated_distance
from eval.metrics.fid import compute_frechet_distance, compute_moments
from eval.metrics.inception_score import compute_inception_score, compute_split_scores
from eval.metrics.intervals import (
    estimate_frechet_distance,
    estimate_inception_score,
    estimate_share,
)
from eval.metrics.kid import estimate_kid
from eval.metrics.memorisation import compute_memorised
from eval.metrics.precision_recall import compute_precision_recall
from eval.metrics.recall_interval import estimate_recall
from eval.metrics.reference import Reference
from eval.networks.features import Features, demand

# The paper's five, in the order of its tables' explanation; the others are extras.
METRICS = ("is", "fid", "sfid", "precision", "recall")
EXTRAS = ("memorised", "kid", "fid_infinity")
TITLES = {
    "is": "Inception Score",
    "fid": "FID",
    "sfid": "sFID",
    "precision": "Precision",
    "recall": "Recall",
    "memorised": "Memorised",
    "kid": "KID",
    "fid_infinity": "FID (infinite samples)",
}
# Which output of the feature network a metric takes of the samples.
NEEDED_OF_SAMPLES = {
    "is": "softmax",
    "fid": "pool",
    "sfid": "spatial",
    "precision": "pool",
    "recall": "pool",
    "memorised": "pool",
    "kid": "pool",
    "fid_infinity": "pool",
}
# What it takes of the reference: statistics by the name of their mean, or features of its images.
NEEDED_OF_REFERENCE: dict[str, set[str]] = {
    "is": set(),
    "fid": {"mu"},
    "sfid": {"mu_s"},
    "precision": {"pool"},
    "recall": {"pool"},
    "memorised": {"pool"},
    "kid": {"pool"},
    "fid_infinity": {"mu"},
}


def compute_metrics(
    reference: Reference,
    samples: Features,
    *,
    metrics: Collection[str] = METRICS,
    intervals: bool = True,
    seed: int = 0,
    device: str = "cpu",
    half_distances: bool = False,
) -> dict[str, dict[str, Any]]:
    """Compute metrics of samples from features.

    Args:
        reference: statistics and pool features of the reference.
        samples: features of the samples.
        metrics: names out of METRICS and EXTRAS.
        intervals: add standard errors and 95 % intervals (null otherwise).
        seed: of random pairs, halves and subsets; moves intervals and fid_infinity alone.
        device: where distances are computed.
        half_distances: precision and recall with the authors' float16 arithmetic.

    Returns:
        By name: value, std_error and interval; "is" also the number of its splits and its standard
        deviation over them.
    """
    results: dict[str, dict[str, Any]] = {}
    if "is" in metrics:
        results["is"] = _compute_inception_score(demand(samples.softmax), intervals)
    for name, *needed in (
        ("fid", samples.pool, reference.mu, reference.sigma),
        ("sfid", samples.spatial, reference.mu_s, reference.sigma_s),
    ):
        if name in metrics:
            features, mu, sigma = map(demand, needed)
            if intervals:
                results[name] = estimate_frechet_distance(features, mu, sigma, seed=seed)
            else:
                value = compute_frechet_distance(*compute_moments(features), mu, sigma)
                results[name] = make_value(value)
    if {"precision", "recall"} & set(metrics):
        pools = demand(reference.pool), demand(samples.pool)
        results |= _compute_manifolds(*pools, metrics, intervals, seed, device, half_distances)
    if "memorised" in metrics:
        memorised = compute_memorised(demand(reference.pool), demand(samples.pool), device=device)
        share = estimate_share(memorised)
        results["memorised"] = share if intervals else make_value(share["value"])
    if "kid" in metrics:
        kid = estimate_kid(demand(reference.pool), demand(samples.pool), device=device)
        results["kid"] = kid if intervals else make_value(kid["value"])
    if "fid_infinity" in metrics:
        needed = (samples.pool, reference.mu, reference.sigma)
        extrapolated = estimate_extrapolated_distance(*map(demand, needed), seed=seed)
        results["fid_infinity"] = extrapolated if intervals else make_value(extrapolated["value"])
    return results


def make_value(value: float) -> dict[str, Any]:
    """Make the result of a metric without an interval."""
    return {"value": float(value), "std_error": None, "interval": None}


def _compute_inception_score(softmax: np.ndarray, intervals: bool) -> dict[str, Any]:
    """Compute the Inception Score and its spread over splits."""
    if intervals:
        result = estimate_inception_score(softmax)
    else:
        result = make_value(compute_inception_score(softmax))
    splits = compute_split_scores(softmax)
    spread = float(splits.std(ddof=1)) if len(splits) > 1 else None
    return {**result, "num_splits": len(splits), "std_over_splits": spread}


def _compute_manifolds(
    reference: np.ndarray,
    samples: np.ndarray,
    metrics: Collection[str],
    intervals: bool,
    seed: int,
    device: str,
    half_distances: bool,
) -> dict[str, dict[str, Any]]:
    """Compute precision, recall or both."""
    manifolds = compute_precision_recall(
        reference, samples, device=device, half_distances=half_distances
    )
    results = {"precision": make_value(manifolds.precision), "recall": make_value(manifolds.recall)}
    if intervals and "precision" in metrics:
        results["precision"] = estimate_share(manifolds.sample_in_reference)
    if intervals and "recall" in metrics:
        results["recall"] = estimate_recall(
            reference,
            samples,
            members=manifolds.reference_in_samples,
            seed=seed,
            device=device,
        )
    return {name: result for name, result in results.items() if name in metrics}
