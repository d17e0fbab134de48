"""Verdicts: whether measured numbers support a claim of the paper. Arithmetic only, no files.

A comparison is turned into an effect that is positive exactly when the claim holds
(`reports.effects`), once for every training seed that its cells have in common. Its 95 % interval
holds every x within t s of the mean. s^2 is what it would be at x and has two parts: the sampling
error of each seed's effect, from samples that are paired by index, and the spread between seeds,
pooled over the rows of the same task (`reports.seed_variance`). t is Student's quantile at the
degrees of freedom of Welch (1947) and Satterthwaite (1946). docs/statistics.md derives all of it.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from records.inversion import find_ends
from reports.effects import average_effects, weigh_hypothesis
from reports.replicates import (
    Replicates,
    compute_sampling_variance,
    list_common_seeds,
    make_layout,
    share_noise,
)
from reports.seed_variance import SeedVariance, pool_differences, pool_values
from specs.page import PageComparison

CONFIDENCE = 0.95

SUPPORTED = "supported"
CONTRADICTED = "contradicted"
INCONCLUSIVE = "inconclusive"
NOT_RUN = "not run"
PUBLISHED_ONLY = "published values only"
VERDICTS = (SUPPORTED, CONTRADICTED, INCONCLUSIVE, NOT_RUN, PUBLISHED_ONLY)

SEEDS_UNKNOWN = "the spread between training seeds is not known"
ERROR_UNKNOWN = "the sampling error of a cell is not known"
CONTAINS_ZERO = "the interval contains zero"


class Spread(NamedTuple):
    """A variance, its degrees of freedom, and the part of it that more samples do not lower."""

    variance: float
    dof: float
    between: float = 0.0


def make_spread(
    sampling: float,
    num_samples: int,
    slopes: Sequence[float],
    seeds: SeedVariance | None,
    num: int,
    *,
    shared: bool = False,
) -> Spread:
    """Add up the variance of a mean effect over training seeds.

    V = [max(W, A m) + A max(M - m, 0)] / n with W the effect's own sampling variance, A = sum of
    squared slopes, M the pooled variance between seeds and m the sampling error in it. As M is an
    estimate with nu degrees of freedom, V has V^2 / ((A M / n)^2 / nu + (W / n)^2 / (samples - 1)).
    A sampling error below that of the pool is not counted as such: the difference of two estimates
    would be left, with next to no degrees of freedom. Where all seeds share their noise, the
    sampling error is the same with each: it neither falls nor spreads with them, and
    V = W + A M / n.

    Args:
        sampling: W of one seed's effect.
        num_samples: behind W.
        slopes: derivatives of the effect by its cells, on the scale of M.
        seeds: M, m and nu; None for sampling error alone.
        num: n, the seeds that the effect is a mean of.
        shared: whether the seeds were sampled with the same noise.
    """
    squares = sum(slope**2 for slope in slopes)
    if shared:
        sampling *= num
    counted = 0.0 if seeds is None or shared else seeds.sampling
    sampling = max(sampling, squares * counted)
    between = squares * max(seeds.size - counted, 0.0) if seeds else 0.0
    variance = (sampling + between) / num
    uncertain = (sampling / num) ** 2 / max(num_samples - 1, 1)
    if seeds and seeds.dof > 0:
        uncertain += (squares * seeds.size / num) ** 2 / seeds.dof
    dof = variance**2 / uncertain if uncertain > 0 else math.inf
    return Spread(variance, dof, between / num)


def compute_half_width(spread: Spread) -> float:
    """Return t * s, half of the two-sided 95 % interval."""
    if spread.variance <= 0:
        return 0.0
    from scipy.special import stdtrit  # of Student's t; late, and scipy.stats takes half a second

    return float(stdtrit(spread.dof, (1 + CONFIDENCE) / 2)) * math.sqrt(spread.variance)


def compute_interval(effect: float, spread: Spread) -> tuple[float, float]:
    """Return effect +- t * s, the two-sided 95 % interval."""
    half = compute_half_width(spread)
    return effect - half, effect + half


def compute_p_value(effect: float, spread: Spread) -> float:
    """Return how often an effect of 0 comes out this far away, on either side."""
    if spread.variance <= 0:
        return 0.0 if effect else 1.0
    from scipy.special import stdtr

    return float(2 * stdtr(spread.dof, -abs(effect) / math.sqrt(spread.variance)))


def judge_comparison(
    comparison: PageComparison,
    cells: Sequence[Replicates],
    group: Mapping[str, Replicates],
    models: Mapping[str, str],
) -> dict[str, Any]:
    """Judge one comparison on measured numbers.

    Args:
        comparison: what is compared.
        cells: left, right and, for `nearer`, towards, each by training seed.
        group: the rows at the same task and mark, whose spread between seeds is pooled.
        models: the trained model of each row of the group.

    Returns:
        verdict, effect, low, high, p, reason (None or words), seeds (how many), paired, dof, and
        null: the variance, its part between seeds and its degrees of freedom if the effect were 0.
        low and high hold sampling error alone when the seeds' spread is needed but not known.
    """
    metric, statistic = comparison.metric, comparison.statistic
    cells = cells if comparison.relation == "nearer" else cells[:2]
    seeds = list_common_seeds(cells, metric)
    if not seeds:
        return _result(NOT_RUN, reason="a cell of this comparison was not run")
    chosen = [[cell[seed] for cell in cells] for seed in seeds]
    values = [[one.content.metrics[metric].value for one in row] for row in chosen]
    if statistic == "ratio" and any(value <= 0 for row in values for value in row):
        reason = f"{metric} is 0 in a cell, which has no ratio to others"
        return _result(INCONCLUSIVE, reason=reason)
    effect, effects = average_effects(comparison, values)

    @cache
    def find_variances(hypothesis: float) -> list[tuple[float | None, bool]]:
        return [
            compute_sampling_variance(
                row,
                weigh_hypothesis(comparison, cell, one, one.value + hypothesis - effect),
                metric,
            )
            for row, cell, one in zip(chosen, values, effects, strict=True)
        ]

    found = find_variances(effect)
    about = {"seeds": len(seeds), "paired": all(paired for _, paired in found)}
    about["effects"] = [one.value for one in effects]
    if any(variance is None for variance, _ in found):
        return _result(INCONCLUSIVE, effect, reason=ERROR_UNKNOWN, **about)
    layout = make_layout(group, models, metric, statistic)
    pooled = None
    if layout is not None and len(seeds) > 1:
        pooled = pool_differences(layout, models_differ=comparison.trained_models_differ)
    elif layout is not None and comparison.trained_models_differ:
        pooled = pool_values(layout)

    shared = share_noise([row[0] for row in chosen])

    @cache
    def find_spread(hypothesis: float) -> Spread:
        return make_spread(
            sum(variance or 0.0 for variance, _ in find_variances(hypothesis)) / len(seeds),
            chosen[0][0].content.counts.samples,
            effects[0].slopes,
            pooled,
            len(seeds),
            shared=shared,
        )

    low, high = find_ends(effect, lambda one: compute_half_width(find_spread(one)))
    dof = find_spread(effect).dof
    about["dof"] = dof if math.isfinite(dof) else None
    if comparison.trained_models_differ and pooled is None:
        return _result(INCONCLUSIVE, effect, low, high, SEEDS_UNKNOWN, **about)
    verdict = SUPPORTED if low > 0 else CONTRADICTED if high < 0 else INCONCLUSIVE
    reason = CONTAINS_ZERO if verdict == INCONCLUSIVE else None
    null = find_spread(0.0)
    p = compute_p_value(effect, null)
    if math.isfinite(null.dof) and not shared:
        about["null"] = null._asdict()
    return _result(verdict, effect, low, high, reason, p=p, **about)


def _result(
    verdict: str,
    effect: float | None = None,
    low: float | None = None,
    high: float | None = None,
    reason: str | None = None,
    **about: Any,
) -> dict[str, Any]:
    empty = {"p": None, "seeds": 0, "paired": False, "dof": None, "effects": [], "null": None}
    numbers = {"effect": effect, "low": low, "high": high}
    return {"verdict": verdict, **numbers, "reason": reason, **empty, **about}


def judge_claim(results: Sequence[Mapping[str, Any]]) -> tuple[str, int]:
    """Combine comparisons: contradicted when any is, supported when all are, else inconclusive.

    A claim of which nothing was run is `not run`.

    Returns:
        The verdict and the position of the comparison that decides it: the contradicting one or
        else, of those that are not supported (of all if they are), the one closest to failing.
    """
    verdicts = [result["verdict"] for result in results]
    if CONTRADICTED in verdicts:
        return CONTRADICTED, verdicts.index(CONTRADICTED)
    if all(verdict == SUPPORTED for verdict in verdicts):
        return SUPPORTED, min(range(len(results)), key=lambda i: _clearance(results[i]))
    if all(verdict == NOT_RUN for verdict in verdicts):
        return NOT_RUN, 0
    undecided = [i for i, verdict in enumerate(verdicts) if verdict != SUPPORTED]
    return INCONCLUSIVE, min(undecided, key=lambda i: _clearance(results[i]))


def count_verdicts(claims: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many claims are supported, contradicted and inconclusive."""
    return {name: sum(one["verdict"] == name for one in claims) for name in VERDICTS[:3]}


def _clearance(result: Mapping[str, Any]) -> float:
    """Return the effect in half widths of its interval; 0 where its error is not known."""
    if result["low"] is None or result["reason"] == SEEDS_UNKNOWN or not result["effect"]:
        return 0.0
    half = (result["high"] - result["low"]) / 2
    return result["effect"] / half if half > 0 else math.inf


def combine_p_values(results: Sequence[Mapping[str, Any]]) -> float | None:
    """Return a claim's p-value: how surely it is decided, in either direction.

    A claim is supported when all its comparisons are, so that the largest p-value counts; it is
    contradicted when any is, so that the smallest counts as often as there are comparisons.

    Returns:
        The smaller of the two; None where a comparison has none.
    """
    known = [(one["effect"], one["p"]) for one in results if one["p"] is not None]
    if len(known) < len(results) or not results:
        return None
    holds = max(p if effect > 0 else 1.0 for effect, p in known)
    fails = min(p if effect < 0 else 1.0 for effect, p in known)
    return min(holds, len(results) * fails, 1.0)


def find_surviving(p_values: Sequence[float]) -> list[bool]:
    """Tell which of several tests stay significant by Holm's correction (1979) at 5 % in all.

    In order of size, the k-th smallest of m p-values must not exceed 0.05 / (m - k + 1), nor may
    one before it have done so.
    """
    survives = [False] * len(p_values)
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[place] > (1 - CONFIDENCE) / (len(p_values) - rank):
            break
        survives[place] = True
    return survives
