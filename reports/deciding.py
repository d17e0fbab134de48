"""What would decide a claim that this run leaves open, if its effects stay as measured.

An effect e is decided when |e| > t sqrt(V), with V its variance if there were none. V has two
parts (`reports.claims.make_spread`): sampling error S falls with the samples of each seed, the
spread B between seeds does not; both fall with the number of seeds, which raises the degrees of
freedom of t, too. So k times the samples decide when S / k + B < (e / t)^2, and n' seeds instead
of n when (S + B) n / n' < (e / t')^2.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from reports.claims import CONTRADICTED, SUPPORTED, Spread, compute_half_width

LIMIT = 100  # times as many samples, or seeds in all: beyond it a number says nothing


class Need(NamedTuple):
    """What would decide a claim.

    Attributes:
        side: the verdict that it would get.
        samples: times as many samples of each seed; inf where no number would do.
        seeds: training seeds in all; inf where more than LIMIT are needed, or where other seeds
            were not trained.
    """

    side: str
    samples: float
    seeds: float


def find_need(comparison: Mapping[str, Any]) -> Need | None:
    """Say what would decide a comparison; None where its error is not known.

    Args:
        comparison: judged by `reports.claims.judge_comparison`.
    """
    null, effect = comparison.get("null"), comparison["effect"]
    if null is None or not effect:
        return None
    spread = Spread(**null)
    side = SUPPORTED if effect > 0 else CONTRADICTED
    scale = compute_half_width(spread) / math.sqrt(spread.variance) if spread.variance else 1.0
    room = (effect / scale) ** 2 - spread.between
    samples = (spread.variance - spread.between) / room if room > 0 else math.inf
    return Need(side, max(samples, 1.0), _find_seeds(spread, abs(effect), comparison["seeds"]))


def _find_seeds(spread: Spread, size: float, num: int) -> float:
    for more in range(num, LIMIT + 1) if num > 1 else ():
        dof = spread.dof * (more - 1) / (num - 1)
        if compute_half_width(Spread(spread.variance * num / more, dof)) < size:
            return more
    return math.inf


def find_claim_need(comparisons: Sequence[Mapping[str, Any]]) -> Need | None:
    """Say what would decide a claim: one comparison against it, or else all for it.

    Args:
        comparisons: of a claim that is open: none is contradicted.

    Returns:
        The need; None where a comparison that matters has an unknown error or was not run.
    """
    needs = [find_need(one) for one in comparisons if one["verdict"] != SUPPORTED]
    known = [need for need in needs if need is not None]
    against = [need for need in known if need.side == CONTRADICTED]
    if against:
        return min(against, key=lambda need: (need.seeds, need.samples))
    if not known or len(known) < len(needs):
        return None
    return Need(SUPPORTED, max(need.samples for need in known), max(need.seeds for need in known))


def describe_need(need: Need | None, num_seeds: int) -> str:
    """Write what would decide a claim as a sentence; empty where it is not known."""
    if need is None:
        return ""
    ways = []
    if need.seeds <= LIMIT:
        ways.append(f"{need.seeds} training seeds (here {num_seeds})")
    if need.samples <= LIMIT:
        ways.append(f"{_round_up(need.samples)} times as many samples")
    if not ways:
        return (
            f"The effect is too close to none: neither {LIMIT} training seeds nor {LIMIT} times "
            "as many samples would decide it."
        )
    verb = "support" if need.side == SUPPORTED else "contradict"
    rest = "" if need.samples <= LIMIT else "; more samples alone would not"
    return f"If the effect stays as it is, {' or '.join(ways)} would {verb} the claim{rest}."


def _round_up(times: float) -> str:
    return f"{math.ceil(times * 10) / 10:g}" if times < 9.95 else f"{math.ceil(times)}"
