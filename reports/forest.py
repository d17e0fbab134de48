"""A strip of a forest plot for each claim: what is judged, drawn on an axis of effects.

Zero, no effect, is in the middle of every strip. Claims of one table, metric and statistic share
their axis. What lies beyond it is drawn at its end.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from reports import format as words
from reports.claims import (
    CONTAINS_ZERO,
    CONTRADICTED,
    INCONCLUSIVE,
    NOT_RUN,
    PUBLISHED_ONLY,
    SUPPORTED,
)
from reports.deciding import describe_need, find_claim_need

Axis: TypeAlias = tuple[str, str, str]  # of a table's name, metric and statistic

WIDTH_PX, HEIGHT_PX, MARGIN_PX = 270, 20, 7
FACTORS = (1.05, 1.1, 1.2, 1.5, 2, 3, 5, 10, 30, 100, 1000)  # ends of an axis of ratios
GROUPS = {
    SUPPORTED: ("Supported", "The whole interval is on the claim’s side."),
    CONTRADICTED: ("Contradicted", "The whole interval is on the other side."),
    INCONCLUSIVE: ("Undecided", "The interval reaches to both sides, or the error is not known."),
    NOT_RUN: ("Not run", "A row that the claim compares has not been measured."),
    PUBLISHED_ONLY: ("Not tested here", "They need samples that this source does not have."),
}


def make_groups(tables: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Group the claims of all tables by verdict, each with its strip and words.

    Args:
        tables: evaluated tables in the order of the paper.

    Returns:
        Groups that have claims: verdict, title, about, claims; a claim has its table, the
        comparison that decides it (`decider`), `strip` (None where nothing was measured) and what
        would decide it (`need`).
    """
    ends = _find_ends(tables)
    groups = []
    for verdict, (title, about) in GROUPS.items():
        claims = [
            _make_item(claim, table, ends)
            for table in tables
            for claim in table["claims"]
            if claim["verdict"] == verdict
        ]
        if claims:
            groups.append({"verdict": verdict, "title": title, "about": about, "claims": claims})
    return groups


def _make_item(
    claim: Mapping[str, Any], table: Mapping[str, Any], ends: Mapping[Axis, tuple[float, str]]
) -> dict[str, Any]:
    decider = claim["comparisons"][claim["deciding"]]
    if decider["verdict"] == INCONCLUSIVE and decider["reason"] != CONTAINS_ZERO:
        decider = {**decider, "low": None, "high": None}  # no interval was judged
    drawn = decider["effect"] is not None and claim["verdict"] != PUBLISHED_ONLY
    need = find_claim_need(claim["comparisons"]) if claim["verdict"] == INCONCLUSIVE else None
    return {
        **claim,
        "table": table,
        "decider": decider,
        "strip": make_strip(decider, *ends[_name_axis(table, decider)]) if drawn else None,
        "need": describe_need(need, decider["seeds"]),
    }


def _name_axis(table: Mapping[str, Any], comparison: Mapping[str, Any]) -> Axis:
    return table["name"], comparison["metric"], comparison["statistic"]


def _find_ends(tables: Sequence[Mapping[str, Any]]) -> dict[Axis, tuple[float, str]]:
    """Find the end of every axis, and its name.

    All intervals lie on it, and the paper's effects up to twice as far.
    """
    sizes: dict[Axis, float] = {}
    for table in tables:
        for claim in table["claims"]:
            one = claim["comparisons"][claim["deciding"]]
            size = max(abs(one[key] or 0.0) for key in ("low", "high", "effect"))
            paper = abs(one.get("published_effect") or 0.0)
            axis = _name_axis(table, one)
            sizes[axis] = max(size, min(paper, 2 * size), sizes.get(axis, 0.0))
    return {axis: _round_end(size, axis[2]) for axis, size in sizes.items()}


def _round_end(size: float, statistic: str) -> tuple[float, str]:
    """Round the end of an axis up to a number that is easily read."""
    if statistic == "ratio":
        factor = next((one for one in FACTORS if math.log(one) >= size), FACTORS[-1])
        return math.log(factor), f"×{factor:g}"
    power = 10.0 ** math.floor(math.log10(size)) if size > 0 else 1.0
    end = next(step * power for step in (1, 2, 5, 10) if step * power >= size)
    return end, f"+{end:.3g}"


def make_strip(comparison: Mapping[str, Any], end: float, name: str) -> dict[str, Any]:
    """Place what a strip shows.

    Args:
        comparison: measured, with its effect.
        end: of the axis, on the scale of the effect.
        name: of that end.

    Returns:
        Pixels from the left: effect, low and high (None where not known), paper (None where there
        is none), zero; beyond: whether the paper's effect is; left, right: what each side means,
        with the end of its axis.
    """

    def place(effect: float | None) -> float | None:
        if effect is None:
            return None
        half = WIDTH_PX / 2
        reach = max(-1.0, min(1.0, effect / end))
        return round(half + reach * (half - MARGIN_PX), 1)

    paper = comparison.get("published_effect")
    against, agrees = describe_sides(comparison)
    return {
        **{key: place(comparison[key]) for key in ("effect", "low", "high")},
        "zero": WIDTH_PX / 2,
        "paper": place(paper),
        "beyond": paper is not None and abs(paper) > end,
        "left": (against, name.replace("×", "÷").replace("+", "\u2212")),
        "right": (agrees, name),
    }


def describe_sides(comparison: Mapping[str, Any]) -> tuple[str, str]:
    """Say what an effect left and right of none means."""
    metric, relation = words.metric_name(comparison["metric"]), comparison["relation"]
    if relation == "nearer":
        return f"{metric} farther", f"{metric} nearer"
    if comparison["margin"] or comparison["factor"] != 1:
        return "against the claim", "for the claim"
    sides = f"lower {metric}", f"higher {metric}"
    return sides if relation == "greater" else (sides[1], sides[0])


def describe_strip(claim: Mapping[str, Any]) -> str:
    """Write what a strip shows, for those who cannot see it."""
    one = claim["decider"]
    left, right = describe_sides(one)
    text = f"Effect {words.describe_effect(one)}; below none: {left}, above: {right}."
    paper = one.get("published_effect")
    return text if paper is None else f"{text} In the paper {format_effect(one, paper)}."


def format_effect(comparison: Mapping[str, Any], effect: float) -> str:
    """Write an effect on the scale of a comparison, without its interval."""
    alone = {**comparison, "effect": effect, "low": None, "high": None}
    return words.describe_effect(alone)


def describe_cells(comparison: Mapping[str, Any], key: str) -> str:
    """Write the `measured` or `published` numbers that are compared; empty where one is missing."""
    metric, values = comparison["metric"], [cell[key] for cell in comparison["cells"]]
    if None in values:
        return ""
    published = key == "published"
    first, *others = (
        words.format_published(one) if published else words.format_number(one, metric)
        for one in values
    )
    return f"{first} against {' and '.join(others)}"
