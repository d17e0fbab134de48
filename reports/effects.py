"""The number whose sign decides a comparison, and how it moves with each cell.

FID, sFID and Inception Score are compared on the scale of logarithms, as ratios: their errors grow
with their values. Shares are compared as differences, and so is every metric where a claim asks
which of two values is nearer to a third.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from records.inversion import weigh_ratio
from specs.page import PageComparison
from specs.tables import Statistic


class Effect(NamedTuple):
    """An effect, positive exactly when the claim holds.

    Attributes:
        value: on the scale of the comparison.
        slopes: its derivatives by the cells' values on that scale.
        raw_slopes: its derivatives by the cells' values themselves.
    """

    value: float
    slopes: tuple[float, ...]
    raw_slopes: tuple[float, ...]


def transform(value: float, scale: Statistic) -> float:
    """Put a metric's value on a scale; the logarithm of 0 is minus infinity."""
    if scale == "difference":
        return value
    return math.log(value) if value > 0 else -math.inf


def exceed(logarithm: float) -> float:
    """Return exp(x) - 1: by which share one value exceeds the other; at most 1e304, never inf."""
    return math.expm1(min(logarithm, 700.0))


def compute_effect(comparison: PageComparison, values: Sequence[float]) -> Effect:
    """Compute the effect of a comparison.

        greater   f(left) - f(factor * right) + margin
        less      f(factor * right) + margin - f(left)
        nearer    factor * |right - towards| - |left - towards|

    f is the logarithm on the scale of ratios, else the value itself.

    Args:
        comparison: what is compared.
        values: left, right and, for `nearer`, towards.
    """
    scale, factor = comparison.statistic, comparison.factor
    if comparison.relation == "nearer":
        left, right, towards = values
        left_sign, right_sign = (math.copysign(1.0, one - towards) for one in (left, right))
        effect = factor * abs(right - towards) - abs(left - towards)
        slopes = (-left_sign, factor * right_sign, left_sign - factor * right_sign)
        return Effect(effect, slopes, slopes)
    left, right = values[:2]
    sign = 1.0 if comparison.relation == "greater" else -1.0
    if scale == "ratio":
        effect = sign * (transform(left, scale) - transform(factor * right, scale))
        raw = (sign / left, -sign / right) if left > 0 and right > 0 else (math.nan, math.nan)
        return Effect(effect, (sign, -sign), raw)
    slopes = (sign, -sign * factor)
    return Effect(sign * (left - factor * right) + comparison.margin, slopes, slopes)


def weigh_hypothesis(
    comparison: PageComparison, values: Sequence[float], effect: Effect, hypothesis: float
) -> tuple[float, ...]:
    """Return the derivatives of an effect by the cells' values if it were another one.

    They decide its sampling error: of ratios it depends on the ratio (`records.inversion`).

    Args:
        comparison: what is compared.
        values: left, right and, for `nearer`, towards.
        effect: of these values.
        hypothesis: what the effect would be.
    """
    if comparison.statistic != "ratio" or comparison.relation == "nearer":
        return effect.raw_slopes
    left, right = values[:2]
    sign = effect.slopes[0]
    assumed = math.log(left / right) + sign * (hypothesis - effect.value)
    return tuple(sign * slope for slope in weigh_ratio(left, right, assumed))


def compute_published_effect(
    comparison: PageComparison, values: Sequence[float | None]
) -> float | None:
    """Compute the effect of published left, right, towards; None if one is missing."""
    needed = values if comparison.relation == "nearer" else values[:2]
    known = [value for value in needed if value is not None]
    if len(known) < len(needed):
        return None
    effect = compute_effect(comparison, known).value
    return effect + 0.0 if math.isfinite(effect) else None  # not minus 0


def holds(effect: float | None) -> bool | None:
    """Say whether a published effect satisfies its comparison; a tie of decimals does not."""
    return None if effect is None else effect > 1e-9


def average_effects(
    comparison: PageComparison, replicates: Sequence[Sequence[float]]
) -> tuple[float, list[Effect]]:
    """Compute the effect of every training seed, and their mean."""
    effects = [compute_effect(comparison, values) for values in replicates]
    return sum(one.value for one in effects) / len(effects), effects
