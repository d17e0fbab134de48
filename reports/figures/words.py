"""What figures say in words: captions, the sentence that their numbers make, and their tables."""

from collections.abc import Mapping
from typing import Any

from records.metrics import METRICS
from reports.figures.plot import FEW_LINES, is_number, list_places, name_axis, write_setting
from reports.files import MEASURED
from reports.format import (
    format_count,
    format_interval,
    format_number,
    format_published,
    metric_direction,
)


def describe_points(figure: Mapping[str, Any]) -> str:
    """Say how the points of a figure were measured: images, samples, training seeds."""
    points = [one for line in figure["lines"] for one in line["points"]]
    tasks = dict.fromkeys(f"{one['task']} ({one['task_words']})" for one in points)
    measured = [one for one in points if one["num_seeds"]]
    if not figure["panels"]:
        return f"Images: {', '.join(tasks)}."
    samples = sorted({one["num_samples"] for one in measured})
    seeds = sorted({one["num_seeds"] for one in measured})
    if not measured:
        return f"Images: {', '.join(tasks)}. Nothing of it was measured yet."
    several = f"of each of {_join(seeds)} training seeds" if seeds[-1] > 1 else "of training seed 0"
    return (
        f"Images: {', '.join(tasks)}. Each point: {_join(samples)} samples {several}"
        f"{', their mean' if seeds[-1] > 1 else ''}."
    )


def _join(counts: list[int]) -> str:
    return " or ".join(format_count(one) for one in counts)


def describe_finding(figure: Mapping[str, Any]) -> list[str]:
    """Make sentences of the numbers of the first metric: where each line is best, how it moves."""
    first = figure["panels"][0]["up"] if figure["panels"] else None
    sentences = []
    for panel in figure["panels"]:
        if panel["up"] == first:
            found = list_places(figure, panel, "measured")
            lines = {place: points for place, points in found.items() if len(points) > 1}
            sentences += _describe_lines(figure, panel, lines)
    return sentences


def _describe_lines(
    figure: Mapping[str, Any], panel: Mapping[str, Any], lines: Mapping[int, Any]
) -> list[str]:
    across, up = panel["across"], panel["up"]
    if across in METRICS:
        return [_describe_move(figure, place, points, panel) for place, points in lines.items()]
    if len(lines) <= FEW_LINES:
        published = list_places(figure, panel, "published")
        return [
            _describe_best(figure["lines"][place]["label"], panel, points, published.get(place, []))
            for place, points in lines.items()
        ]
    ends = {place: (points[0], points[-1]) for place, points in lines.items()}
    num_better = sum(
        _cost(last["y"]["value"], up) < _cost(first["y"]["value"], up)
        for first, last in ends.values()
    )
    place = min(ends, key=lambda key: _cost(ends[key][1]["y"]["value"], up))
    return [
        f"From the first to the last point {METRICS[up].column} improves on {num_better} of "
        f"{len(lines)} lines; at the last it is {_name_best(up)} for "
        f"“{figure['lines'][place]['label']}” ({_write(ends[place][1]['y'], up, 'measured')})"
        f"{_describe_overlap(ends[place][1], [last for _, last in ends.values()], '')}."
    ]


def _cost(value: float, metric: str) -> float:
    return value if METRICS[metric].lower_is_better else -value


def _name_best(metric: str) -> str:
    return "lowest" if METRICS[metric].lower_is_better else "highest"


def _describe_best(
    label: str, panel: Mapping[str, Any], points: list[dict[str, Any]], published: list[Any]
) -> str:
    """Say where a line is best here, which intervals overlap with that, and where in the paper."""
    across, up = panel["across"], panel["up"]
    best, paper = (
        min(found, key=lambda one: _cost(one["y"]["value"], up)) if len(found) > 1 else None
        for found in (points, published)
    )
    assert best is not None
    words = f"{METRICS[up].column} of “{label}” is {_name_best(up)} {_name_place(across, best)} "
    words += f"({_write(best['y'], up, 'measured')})"
    words += _describe_overlap(best, points, across)
    if paper is not None:
        place, value = _name_place(across, paper), _write(paper["y"], up, "published")
        words += f"; in the paper {place} ({value})"
    return words + "."


def _name_place(across: str, *points: Mapping[str, Any]) -> str:
    """Say where points lie across, as in “at guidance scale 3”, “at 2 heads”, “with AdaGN”."""
    values = [one["x"]["value"] for one in points]
    listed = ", ".join(map(write_setting, values))
    if not all(map(is_number, values)):
        return f"with {listed}"
    name = name_axis(across)
    what, per, one = name.partition(" per ")
    if not what.endswith("s"):  # so many of something: heads, channels per head
        return f"at {name} {listed}"
    return f"at {listed} {what.removesuffix('s') if values == [1] else what}{per}{one}"


def _describe_overlap(best: Mapping[str, Any], points: list[dict[str, Any]], across: str) -> str:
    """Say which other intervals reach that of the best point."""
    low, high = best["y"]["low"], best["y"]["high"]
    others = [one for one in points if one is not best]
    near = [one for one in others if one["y"]["low"] <= high and low <= one["y"]["high"]]
    if not near:
        return ", clear of all other intervals"
    if len(near) == len(others):
        return ", but all intervals overlap"
    if not across:
        return f", but {len(near)} of {len(others)} other intervals overlap with that"
    return f", but intervals overlap {_name_place(across, *near)}"


def _write(found: Mapping[str, Any], metric: str, kind: str) -> str:
    """Write a value, with its interval where it was measured."""
    if kind == "published":
        return format_published(found["value"])
    interval = ""
    if found["low"] < found["high"]:
        interval = f", 95\u00a0% {format_interval(found['low'], found['high'], metric)}"
    return format_number(found["value"], metric) + interval


def _describe_move(
    figure: Mapping[str, Any], place: int, points: list[dict[str, Any]], panel: Mapping[str, str]
) -> str:
    """Say how both metrics of a panel move along a line."""
    moves = []
    for side, key in (("y", "up"), ("x", "across")):
        first, last = (points[end][side]["value"] for end in (0, -1))
        verb = "rises from" if last > first else "falls from" if last < first else "stays at"
        values = [format_number(one, panel[key]) for one in (first, last)]
        words = " to ".join(values if last != first else values[:1])
        moves.append(f"{METRICS[panel[key]].column} {verb} {words}")
    ends = [
        ", ".join(f"{v:g}" for v in points[end]["point"]["settings"].values()) for end in (0, -1)
    ]
    names = ", ".join(map(name_axis, points[0]["point"]["settings"]))
    label = figure["lines"][place]["label"]
    return f"“{label}”, {names} {ends[0]} to {ends[1]}: {' and '.join(moves)}."


def list_lacking(figure: Mapping[str, Any]) -> list[str]:
    """Name the points that have no number here, each with its reason."""
    return [
        f"{line['label']}, {point['label']} ({point['status']})"
        for line in figure["lines"]
        for point in line["points"]
        if point["status"] != MEASURED
    ]


def make_text_table(figure: Mapping[str, Any]) -> dict[str, Any]:
    """Return a figure as a table: a line for each point, what lies across, and its metrics."""
    settings = list(
        dict.fromkeys(
            key for line in figure["lines"] for point in line["points"] for key in point["settings"]
        )
    )
    rows = [
        {
            "line": line["label"],
            "settings": [point["settings"].get(key) for key in settings],
            "values": [point["values"][metric] for metric in figure["metrics"]],
            "status": point["status"],
            "anchor": point["anchor"],
        }
        for line in figure["lines"]
        for point in line["points"]
    ]
    metrics = [(metric, metric_direction(metric)) for metric in figure["metrics"]]
    return {"settings": settings, "metrics": metrics, "rows": rows}
