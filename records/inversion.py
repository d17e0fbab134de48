"""Intervals by inversion: the values that an estimate does not contradict, each by its own error.

The error of a ratio of two FIDs that is taken at the estimate moves with the estimate: on real rows
such intervals hold the truth too rarely. Wilson's way (1927) asks of each value what the error
would be if that value were true. docs/statistics.md has both coverages.
"""

import math
from collections.abc import Callable

FURTHEST = 1e3  # a logarithm beyond all numbers


def weigh_ratio(left: float, right: float, log_ratio: float) -> tuple[float, float]:
    """Return the slopes of log(left / right) by both, at values whose ratio is another one.

    With t = log_ratio, log(left / right) - t is 2 (left - e^t right) / (left + e^t right) to third
    order, so that the slopes are 1 / m and -e^t / m with m = (left + e^t right) / 2. At the
    estimate's own ratio they are 1 / left and -1 / right.

    Args:
        left, right: positive values.
        log_ratio: the logarithm of their ratio if a hypothesis were true.
    """
    share = 1 / (1 + math.exp(min(log_ratio + math.log(right / left), 700.0)))
    return 2 * share / left, -2 * (1 - share) / right


def find_ends(estimate: float, half_width: Callable[[float], float]) -> tuple[float, float]:
    """Find the interval of all x around an estimate with |estimate - x| <= half_width(x).

    Args:
        estimate: which the interval contains.
        half_width: of the interval if x were true, finite and >= 0.

    Returns:
        Both ends, at most 1,000 from the estimate where the widths go on growing.
    """
    return estimate - _find_end(estimate, half_width, -1), estimate + _find_end(
        estimate, half_width, 1
    )


def _find_end(estimate: float, half_width: Callable[[float], float], sign: int) -> float:
    from scipy.optimize import root_scalar

    def exceed(distance: float) -> float:
        return distance - half_width(estimate + sign * distance)

    inner, outer = 0.0, half_width(estimate)
    if outer <= 0:
        return 0.0
    while exceed(outer) < 0:
        if outer >= FURTHEST:
            return outer
        inner, outer = outer, 2 * outer
    return float(root_scalar(exceed, bracket=(inner, outer), xtol=1e-9 * outer).root)
