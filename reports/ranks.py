"""Ranks of measured rows, and how far their order is the paper's."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from records.metrics import METRICS


def rank_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rank the rows of a task in every column, and compare their order with the paper's.

    A row's rank is 1 + the number of rows whose whole interval is better than its own: rows whose
    intervals overlap are not told apart. Ranks are written into the rows' own values as `rank`,
    where there are two or more.

    Returns:
        For each column in which rows with two or more published values were measured: `metric`,
        `after`, the numbers of pairs in the paper's order (`same`), in the opposite one
        (`reversed`) and `undecided` (their intervals overlap); pairs that the paper does not order
        are left out. `num_rows`, and `rows` with label, place in the paper and here (from 1) and
        rank.
    """
    orders = []
    for place in range(len(rows[0]["cells"])):
        cells = [row["cells"][place]["absolute"] or row["cells"][place] for row in rows]
        ranked = [cell for cell in cells if cell["low"] is not None]
        if len(ranked) > 1:
            for cell in ranked:
                cell["rank"] = 1 + sum(_is_better(other, cell) for other in ranked)
        known = [
            (row["label"], cell)
            for row, cell in zip(rows, cells, strict=True)
            if cell["rank"] is not None and cell["published"] is not None
        ]
        if len({cell["published"] for _, cell in known}) > 1:
            orders.append(_compare(known))
    return orders


def _is_better(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Tell whether the whole interval of a value is better than that of another."""
    if METRICS[one["metric"]].lower_is_better:
        return one["high"] < other["low"]
    return one["low"] > other["high"]


def _compare(known: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """Count the pairs of rows in the paper's order, and place the rows in both orders."""
    metric, after = known[0][1]["metric"], known[0][1]["after"]
    sign = 1 if METRICS[metric].lower_is_better else -1
    counts = {"same": 0, "reversed": 0, "undecided": 0}
    for (_, one), (_, other) in combinations(known, 2):
        if one["published"] == other["published"]:
            continue
        better, worse = sorted((one, other), key=lambda cell: sign * cell["published"])
        decided = "same" if _is_better(better, worse) else "undecided"
        counts["reversed" if _is_better(worse, better) else decided] += 1
    papers = _place([sign * cell["published"] for _, cell in known])
    here = _place([sign * cell["measured"] for _, cell in known])
    rows = [
        {"label": label, "paper": paper, "here": own, "rank": cell["rank"]}
        for (label, cell), paper, own in zip(known, papers, here, strict=True)
    ]
    return {"metric": metric, "after": after, **counts, "num_rows": len(rows), "rows": rows}


def _place(values: Sequence[float]) -> list[int]:
    """Return the place of each value, smallest first, from 1; equal ones stay in their order."""
    order = sorted(range(len(values)), key=lambda one: values[one])
    return [1 + order.index(one) for one in range(len(values))]


def describe_order(order: dict[str, Any]) -> str:
    """Say how many pairs of rows are in the paper's order."""
    num_pairs = order["same"] + order["reversed"] + order["undecided"]
    noun = "pair" if num_pairs == 1 else "pairs"
    words = f"{order['same']} of {num_pairs} {noun} in the paper’s order"
    return f"{words}, {order['reversed']} reversed, {order['undecided']} undecided"
