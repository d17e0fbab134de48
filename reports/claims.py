"""Verdicts: whether measured numbers support a claim of the paper. Arithmetic only, no files.

A comparison is turned into an effect that is positive exactly when the claim holds:

    greater   left - factor * right + margin
    less      factor * right + margin - left
    nearer    factor * |right - towards| - |left - towards|

Its 95 % interval is effect +- t * s. s^2 has two parts: the sampling errors of the cells, and, when
the compared numbers come from differently trained models, the spread between training seeds of each
of them. Each part enters with the square of the effect's derivative by that cell. t is Student's
quantile at the degrees of freedom of Welch (1947) and Satterthwaite (1946).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from records.metrics import METRICS
from specs.page import PageComparison
from specs.tables import Relation

CONFIDENCE = 0.95
SAMPLING_DOF = 49  # of the standard errors that the metrics files carry

SUPPORTED = "supported"
CONTRADICTED = "contradicted"
INCONCLUSIVE = "inconclusive"
NOT_RUN = "not run"
PUBLISHED_ONLY = "published values only"
VERDICTS = (SUPPORTED, CONTRADICTED, INCONCLUSIVE, NOT_RUN, PUBLISHED_ONLY)

SEEDS_UNKNOWN = "the spread between training seeds is not known"


@dataclass(frozen=True)
class Estimate:
    """A measured number: value, standard error of sampling (None: unknown), samples behind it."""

    value: float
    std_error: float | None
    num_samples: int


@dataclass(frozen=True)
class SeedSpread:
    """How much a number moves between training seeds.

    size is a standard deviation: relative to the value for FID, sFID and IS, absolute for precision
    and recall (and any other share). dof counts its degrees of freedom.
    """

    size: float
    relative: bool
    dof: int

    def variance(self, value: float) -> float:
        """Return the variance between training seeds of a cell with this value."""
        return (self.size * value) ** 2 if self.relative else self.size**2


def compute_seed_spread(
    metric: str, groups: Iterable[tuple[str, Sequence[float]]]
) -> SeedSpread | None:
    """Pool the spread between training seeds over models.

    s^2 = sum_m (n_m - 1) s_m^2 / sum_m (n_m - 1), with s_m the sample standard deviation of model
    m, divided by its mean for FID, sFID and IS. Groups of one model (its other marks and samplings)
    come from the same trainings: their s_m^2 are averaged and count once. The values carry their
    sampling error too, so the spread is, if anything, too wide.

    Args:
        metric: decides between relative and absolute spread.
        groups: model and the values of its training seeds; groups of one value are passed over.

    Returns:
        The pooled spread, or None when no group has two values.
    """
    relative = not METRICS[metric].is_share
    models: dict[str, list[tuple[float, int]]] = {}
    for model, values in groups:
        mean = sum(values) / len(values) if values else 0.0
        if len(values) < 2 or (relative and mean == 0):
            continue
        scale = mean if relative else 1.0
        dof = len(values) - 1
        variance = sum((value - mean) ** 2 for value in values) / dof / scale**2
        models.setdefault(model, []).append((variance, dof))
    if not models:
        return None
    total, total_dof = 0.0, 0
    for found in models.values():
        dof = max(dof for _, dof in found)
        total += dof * sum(variance for variance, _ in found) / len(found)
        total_dof += dof
    return SeedSpread(math.sqrt(total / total_dof), relative, total_dof)


def compute_interval(
    effect: float, parts: Iterable[tuple[float, float]], confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Return effect +- t * s for a sum of independently estimated variances.

    nu = (sum v)^2 / sum(v^2 / nu_v)   (Welch 1947, Satterthwaite 1946)

    Args:
        effect: the estimate.
        parts: pairs of variance and its degrees of freedom; zero variances do not count.
        confidence: coverage of the two-sided interval.
    """
    parts = [(variance, dof) for variance, dof in parts if variance > 0]
    if not parts:
        return effect, effect
    from scipy.stats import t as student  # late: the only need for scipy in this package

    total = sum(variance for variance, _ in parts)
    dof = total**2 / sum(variance**2 / dof for variance, dof in parts)
    half = float(student.ppf((1 + confidence) / 2, dof)) * math.sqrt(total)
    return effect - half, effect + half


def compute_effect(
    relation: Relation,
    left: float,
    right: float,
    towards: float | None = None,
    *,
    factor: float = 1.0,
    margin: float = 0.0,
) -> tuple[float, tuple[float, float, float]]:
    """Return the effect (positive: the claim holds) and its derivatives by left, right, towards."""
    if relation == "greater":
        return left - factor * right + margin, (1.0, -factor, 0.0)
    if relation == "less":
        return factor * right + margin - left, (-1.0, factor, 0.0)
    assert towards is not None
    left_sign = math.copysign(1.0, left - towards)
    right_sign = math.copysign(1.0, right - towards)
    effect = factor * abs(right - towards) - abs(left - towards)
    return effect, (-left_sign, factor * right_sign, left_sign - factor * right_sign)


def judge_published(comparison: PageComparison, values: Sequence[float | None]) -> bool | None:
    """Say whether published left, right, towards satisfy a comparison; None if one is missing."""
    needed = values if comparison.relation == "nearer" else values[:2]
    known = [value for value in needed if value is not None]
    if len(known) < len(needed):
        return None
    effect, _ = compute_effect(
        comparison.relation, *known, factor=comparison.factor, margin=comparison.margin
    )
    return effect > 1e-9  # printed decimals: a tie stays a tie in binary


def judge_comparison(
    comparison: PageComparison,
    estimates: Sequence[Estimate | None],
    spread: SeedSpread | None,
) -> dict[str, Any]:
    """Judge one comparison on measured numbers.

    Args:
        comparison: what is compared.
        estimates: left, right and, for `nearer`, towards; None for a cell that was not run.
        spread: spread between training seeds of the metric, None when not known.

    Returns:
        verdict, effect, low, high and reason (None or words). low and high hold sampling error
        alone when the seeds' spread is needed but not known.
    """
    needed = estimates[: 3 if comparison.relation == "nearer" else 2]
    known = [estimate for estimate in needed if estimate is not None]
    if len(known) < len(needed):
        return _result(NOT_RUN, reason="a cell of this comparison was not run")
    values = [estimate.value for estimate in known]
    effect, slopes = compute_effect(
        comparison.relation, *values, factor=comparison.factor, margin=comparison.margin
    )
    errors = [estimate.std_error for estimate in known if estimate.std_error is not None]
    if len(errors) < len(known):
        return _result(INCONCLUSIVE, effect, reason="the sampling error of a cell is not known")
    sampling = sum((s * error) ** 2 for s, error in zip(slopes, errors, strict=False))
    parts = [(sampling, SAMPLING_DOF)]
    seeds_matter = comparison.trained_models_differ
    if seeds_matter and spread is not None:
        seeds = sum(s**2 * spread.variance(v) for s, v in zip(slopes, values, strict=False))
        parts.append((seeds, spread.dof))
    low, high = compute_interval(effect, parts)
    if seeds_matter and spread is None:
        return _result(INCONCLUSIVE, effect, low, high, SEEDS_UNKNOWN)
    verdict = SUPPORTED if low > 0 else CONTRADICTED if high < 0 else INCONCLUSIVE
    reason = "the interval contains zero" if verdict == INCONCLUSIVE else None
    return _result(verdict, effect, low, high, reason)


def _result(
    verdict: str,
    effect: float | None = None,
    low: float | None = None,
    high: float | None = None,
    reason: str | None = None,
) -> dict[str, Any]:
    return {"verdict": verdict, "effect": effect, "low": low, "high": high, "reason": reason}


def judge_claim(results: Sequence[Mapping[str, Any]]) -> tuple[str, int]:
    """Combine comparisons: contradicted when any is, supported when all are, else inconclusive.

    A claim of which nothing was run is `not run`.

    Returns:
        The verdict and the position of the comparison that decides it: the contradicting or
        undecided one or, for a supported claim, the one that came closest to failing.
    """
    verdicts = [result["verdict"] for result in results]
    if CONTRADICTED in verdicts:
        return CONTRADICTED, verdicts.index(CONTRADICTED)
    if all(verdict == SUPPORTED for verdict in verdicts):
        return SUPPORTED, min(range(len(results)), key=lambda i: _clearance(results[i]))
    if all(verdict == NOT_RUN for verdict in verdicts):
        return NOT_RUN, 0
    return INCONCLUSIVE, next(i for i, v in enumerate(verdicts) if v != SUPPORTED)


def _clearance(result: Mapping[str, Any]) -> float:
    """Return the effect in half widths of its interval."""
    half = (result["high"] - result["low"]) / 2
    return result["effect"] / half if half > 0 else math.inf
