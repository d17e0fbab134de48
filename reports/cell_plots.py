"""Small plots in the cells of a table: interval and value, and the paper's value beneath.

Cells of one task and metric share an axis, so that rows compare by eye. The paper's values have an
axis of their own: direction and order show, and nothing suggests that units are equal.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reports.printed import take_view

WIDTH_PX, MARGIN_PX = 112, 6


def make_plots(
    group: Mapping[str, Any], columns: Sequence[Mapping[str, Any]], view: str
) -> list[dict[str, Any]]:
    """Return the axis of each column of a group of rows (`find_marks` places a cell on it).

    Args:
        group: rows of one task.
        columns: the first row's cells.
        view: `values` or `differences`; these have a line at 0 instead of real images.
    """
    cells = [take_view(cell, view) for row in group["rows"] for cell in row["cells"]]
    ceilings = {cell["metric"]: cell for cell in (group["ceiling"] or {"cells": []})["cells"]}
    plots = []
    for column in columns:
        metric = column["metric"]
        mine = [cell for cell in cells if cell["metric"] == metric]
        mine = [cell for cell in mine if view == "values" or cell["is_difference"]]
        real = ceilings.get(metric, {}).get("measured") if view == "values" else None
        line = 0.0 if view == "differences" else real
        ends = [cell[key] for cell in mine for key in ("measured", "low", "high")]
        papers = [cell["published"] for cell in mine]
        zero = [0.0] if view == "differences" else []
        plots.append({"own": _span([*ends, line]), "paper": _span([*papers, *zero]), "line": line})
    return plots


def find_marks(
    plot: Mapping[str, Any], cell: Mapping[str, Any], view: str
) -> dict[str, float | None] | None:
    """Return where value, interval, line and the paper's value of a cell are, in pixels.

    None where there is nothing to draw: no value, or one that the axis is not of.
    """
    if cell["measured"] is None and cell["published"] is None:
        return None
    if view == "differences" and not cell["is_difference"]:
        return None
    own = {key: _scale(plot["own"], cell[key]) for key in ("measured", "low", "high")}
    paper = _scale(plot["paper"], cell["published"])
    zero = _scale(plot["paper"], 0.0) if view == "differences" else None
    return {**own, "line": _scale(plot["own"], plot["line"]), "paper": paper, "paper_line": zero}


def _span(values: Iterable[float | None]) -> tuple[float, float] | None:
    known = [value for value in values if value is not None]
    return (min(known), max(known)) if known else None


def _scale(span: tuple[float, float] | None, value: float | None) -> float | None:
    """Place a value between the margins; the middle where all values are equal."""
    if span is None or value is None:
        return None
    low, high = span
    share = (value - low) / (high - low) if high > low else 0.5
    return round(MARGIN_PX + share * (WIDTH_PX - 2 * MARGIN_PX), 1)
