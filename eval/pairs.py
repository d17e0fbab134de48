"""How batches differ from the first of them: ratios and differences with 95 % intervals.

Batches whose sample i has the same label and noise are compared in pairs, as pages compare rows:
the arithmetic is that of `records.contributions`, and docs/statistics.md derives it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval.metrics.intervals import compute_quantile
from eval.result import GradingResult
from records.contributions import Contribution, compute_sum_variance, identify_noise, is_shuffled
from records.errors import UserError
from records.inversion import find_ends, weigh_ratio
from records.metrics import METRICS


@dataclass(frozen=True)
class Difference:
    """How one metric differs between two batches.

    Attributes:
        value: the later batch's value over the first's, or less the first's.
        interval: both ends of the 95 % interval of the sampling error, which contains the value.
    """

    value: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """How a batch differs from another.

    Attributes:
        name, against: of the batch, and of the one that it is compared with.
        paired: whether sample by sample; else as if the batches had nothing in common.
        reason: why not, in words; None where they are paired.
        differences: by metric, a ratio or a difference (`records.metrics.Metric.statistic`); None
            where a value of 0 has no ratio.
    """

    name: str
    against: str
    paired: bool
    reason: str | None
    differences: Mapping[str, Difference | None]

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as a JSON object."""
        metrics = {
            name: {
                "statistic": METRICS[name].statistic,
                "value": one and one.value,
                "interval": one and list(one.interval),
            }
            for name, one in self.differences.items()
        }
        about = {"paired": self.paired, "reason": self.reason}
        return {"name": self.name, "against": self.against, **about, "metrics": metrics}


def compare(result: GradingResult, first: GradingResult, *, paired: bool = False) -> Comparison:
    """Compare what two batches score against one reference.

    With values a and b the statistic is log(a / b), shown as a / b, or a - b of shares. Its
    interval holds every x that lies within t sqrt(V) of it, V from what every sample adds to both
    (`compute_sum_variance`) if x were true (`records.inversion`) and t Student's quantile at the
    number of samples less one.

    Args:
        result: of the batch, with intervals.
        first: of the one that it is compared with, with intervals.
        paired: sample i of both has the same label and noise although no manifest says so.

    Raises:
        UserError: no intervals, or graded with another reference, network or seed, or with other
            distances.
    """
    names = [one for one in METRICS if one in result.contributions and one in first.contributions]
    if not names:
        raise UserError(
            f"{result.name} and {first.name}: no metric of both has what comparing needs; grade "
            "both with --intervals (intervals=True)"
        )
    about, others = ({**one.protocol, **_hash_inputs(one)} for one in (result, first))
    for key in ("reference", "network", "seed", "distances"):
        if about[key] != others[key]:
            raise UserError(
                f"{result.name} and {first.name}: graded with {key} {about[key]} and "
                f"{others[key]}; grade both with the same"
            )
    reason = _explain_unpaired(result, first, told=paired)
    differences = {name: _compare_metric(name, result, first, reason is None) for name in names}
    return Comparison(result.name, first.name, reason is None, reason, differences)


def _hash_inputs(result: GradingResult) -> dict[str, str]:
    return {key: result.protocol[key]["sha256"] for key in ("reference", "network")}


def _explain_unpaired(result: GradingResult, first: GradingResult, *, told: bool) -> str | None:
    """Say why batches have no pairs; None where they have."""
    num, others = (one.counts["samples"] for one in (result, first))
    if num != others:
        return f"it has {num:,} samples, the other {others:,}"
    batches = [one.protocol["samples"] for one in (result, first)]
    if any(map(is_shuffled, batches)):
        return "samples that are graded in a random order have no counterparts"
    noise = [identify_noise(one) for one in batches]
    if None not in noise:
        same = noise[0] == noise[1]
        return None if same else "their manifests name other seeds, labels or ranges of samples"
    if told:
        return None
    return (
        "no manifest says that sample i of both has the same label and noise; where it has, "
        "give --paired (paired=True)"
    )


def _compare_metric(
    name: str, result: GradingResult, first: GradingResult, paired: bool
) -> Difference | None:
    """Compare one metric; None where a value of 0 has no ratio."""
    both = (result, first)
    values = [one.metrics[name].value for one in both]
    is_ratio = METRICS[name].statistic == "ratio"
    if is_ratio and min(values) <= 0:
        return None
    effect, (low, high) = compare_values(
        name,
        values,
        [one.contributions[name] for one in both],
        [one.metrics[name].std_error for one in both],
        num_samples=min(one.counts["samples"] or 0 for one in both),
        paired=paired,
    )
    if not is_ratio:
        return Difference(effect, (low, high))
    return Difference(values[0] / values[1], (math.exp(low), math.exp(high)))


def compare_values(
    metric: str,
    values: Sequence[float],
    contributions: Sequence[Contribution],
    errors: Sequence[float | None],
    *,
    num_samples: int,
    paired: bool,
) -> tuple[float, tuple[float, float]]:
    """Return the effect of one batch against another, and its interval.

    Args:
        metric: its name; decides between the logarithm of the ratio and the difference.
        values, contributions, errors: of both batches.
        num_samples: in the smaller batch.
        paired: whether sample i of both has the same label and noise.
    """
    left, right = values
    is_ratio = METRICS[metric].statistic == "ratio"
    effect = math.log(left / right) if is_ratio else left - right
    quantile = compute_quantile(num_samples - 1)

    def find_half_width(hypothesis: float) -> float:
        variance, _ = compute_sum_variance(
            weigh_ratio(left, right, hypothesis) if is_ratio else (1.0, -1.0),
            contributions,
            errors,
            paired=paired,
        )
        assert variance is not None  # where there are contributions there are standard errors
        return quantile * math.sqrt(variance)

    return effect, find_ends(effect, find_half_width)
