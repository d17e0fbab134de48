"""Precision against recall at rising guidance scales: which tables show it, and what one sees."""

from collections.abc import Mapping, Sequence
from typing import Any

from reports.files import MEASURED
from reports.format import (
    format_exact,
    format_number,
    format_published,
    format_setting,
)

METRICS = ("recall", "precision")  # across and up
SCALE = "guidance_scale"
GUIDANCE = ("guidance", SCALE)  # the settings in which the rows of one line differ
TITLES = {"measured": "here", "published": "in the paper"}


def make_tradeoffs(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Gather what the figures of a table show.

    A table has figures when guidance scale is one of its settings, precision and recall are among
    its metrics, and the scales of its rows differ. What was not measured is left out.

    Args:
        table: evaluated table (reports.tables.make_table).

    Returns:
        For each task with a measured row its panels, and the labels of the rows left out, each with
        the reason. A panel has a title, lines of points and captions. Published values are in a
        panel of their own unless they compare with the measured ones.
    """
    if SCALE not in table["settings"] or not {*METRICS} <= {*table["metrics"]}:
        return []
    found = [_make_tradeoff(table, group) for group in table["groups"]]
    return [tradeoff for tradeoff in found if tradeoff]


def _make_tradeoff(table: Mapping[str, Any], group: Mapping[str, Any]) -> dict[str, Any] | None:
    scales = [row["settings"].get(SCALE) for row in group["rows"]]
    if not all(scale is None or type(scale) in (int, float) for scale in scales):
        return None
    models = _gather_models(table, group["rows"])
    found = {kind: _make_lines(models, kind) for kind in TITLES}
    if not found["measured"] or len({*scales}) == 1:
        return None
    parts = [(kind, lines) for kind, lines in found.items() if lines]
    together = [parts] if _compares(group["rows"]) else [[part] for part in parts]
    return {
        "task": group["task"],
        "task_words": group["task_words"],
        "panels": [
            {
                "title": " and ".join(TITLES[kind] for kind, _ in parts),
                "lines": [line for _, lines in parts for line in lines],
                "captions": [_describe(lines, TITLES[kind]) for kind, lines in parts],
            }
            for parts in together
        ],
        "left_out": [
            (row["label"] + table["after"][mark], _find_reason(row, mark))
            for model in models
            for row, mark in model
            if _make_point(row, mark, "measured") is None
        ],
    }


def _gather_models(
    table: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> list[list[tuple[Mapping[str, Any], str]]]:
    """Gather rows that differ in guidance alone, the least guided first, each with its mark."""
    models: dict[tuple[str, ...], list] = {}
    for row in rows:
        others = [row["settings"].get(key) for key in table["settings"] if key not in GUIDANCE]
        for mark in table["marks"]:
            models.setdefault((mark, *map(format_exact, others)), []).append((row, mark))
    return [
        sorted(model, key=lambda one: one[0]["settings"].get(SCALE) or 0)
        for model in models.values()
    ]


def _make_lines(models: Sequence[Sequence[tuple[Mapping, str]]], kind: str) -> list[dict[str, Any]]:
    """Return a line for each model with points of a kind, "measured" or "published"."""
    lines = []
    for place, model in enumerate(models):
        row, mark = model[0]
        points = [_make_point(row, mark, kind) for row, mark in model]
        one = {"name": row["label"] + _find_after(row, mark), "place": place, "kind": kind}
        lines.append({**one, "points": [point for point in points if point]})
    return [line for line in lines if line["points"]]


def _make_point(row: Mapping[str, Any], mark: str, kind: str) -> dict[str, Any] | None:
    """Return the scale in words, and both metrics with intervals; None unless both are shares."""
    scale = row["settings"].get(SCALE)
    words = "no guidance" if scale is None else f"scale {format_setting(scale)}"
    point: dict[str, Any] = {"words": words, "anchor": f"{row['id']}-{mark}"}
    cells = {cell["metric"]: cell for cell in row["cells"] if cell["mark"] == mark}
    for metric in METRICS:
        cell = cells[metric]["absolute"] or cells[metric]
        value, low, high = cell[kind], cell["low"], cell["high"]
        if value is None or not 0 <= value <= 1:
            return None
        if kind == "published" or low is None or high is None:
            low, high = value, value
        point[metric] = {"value": value, "low": max(low, 0), "high": min(high, 1)}
    return point


def _compares(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether every published value beside a measured one was compared with it."""
    cells = [cell["absolute"] or cell for row in rows for cell in row["cells"]]
    found = [
        cell["agreement"]
        for cell in cells
        if cell["metric"] in METRICS and None not in (cell["measured"], cell["published"])
    ]
    return bool(found) and all(one and one["verdict"] for one in found)


def _find_after(row: Mapping[str, Any], mark: str) -> str:
    return next(one["after"] for one in row["marks"] if one["mark"] == mark)


def _find_reason(row: Mapping[str, Any], mark: str) -> str:
    status = next(one["status"] for one in row["marks"] if one["mark"] == mark)
    return "without precision and recall" if status == MEASURED else status


def _describe(lines: Sequence[Mapping[str, Any]], title: str) -> dict[str, Any]:
    """Say how many lines lead to more precision and less recall, and where each one leads."""
    lines = [line for line in lines if len(line["points"]) > 1]
    changes = [tuple(_find_change(line, metric) for metric in METRICS) for line in lines]
    num_traded = changes.count(("falls", "rises"))
    which = {len(lines): "every line leads", 0: "no line leads"}.get(
        num_traded, f"{num_traded} of {len(lines)} lines lead"
    )
    return {
        "title": title,
        "whole": f"from least to most guidance, {which} up and to the left." if lines else "",
        "lines": [
            f"\u201c{line['name']}\u201d, {line['points'][0]['words']} to "
            f"{line['points'][-1]['words']}: {_describe_change(line, 'precision')}; "
            f"{_describe_change(line, 'recall')}."
            for line in lines
        ],
    }


def _find_change(line: Mapping[str, Any], metric: str) -> str:
    first, last = (point[metric]["value"] for point in (line["points"][0], line["points"][-1]))
    return "stays" if first == last else "rises" if first < last else "falls"


def _describe_change(line: Mapping[str, Any], metric: str) -> str:
    """Say how a metric differs between the least and the most guided point of a line."""
    first, last = (point[metric] for point in (line["points"][0], line["points"][-1]))
    numbers = " to ".join(write_value(line, one["value"], metric) for one in (first, last))
    overlap = first["low"] <= last["high"] and last["low"] <= first["high"]
    words = " (intervals overlap)" if overlap and line["kind"] == "measured" else ""
    return f"{metric} {_find_change(line, metric)} from {numbers}{words}"


def write_value(line: Mapping[str, Any], value: float, metric: str) -> str:
    """Write a value of a line's point as the table does."""
    return format_number(value, metric) if line["kind"] == "measured" else format_published(value)
