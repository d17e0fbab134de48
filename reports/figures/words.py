"""What figures say in words: captions, the sentence that their numbers make, and their tables."""

from collections.abc import Mapping
from typing import Any

from records.metrics import METRICS
from reports.figures.plot import is_number, list_places, name_axis
from reports.files import MEASURED
from reports.format import (
    format_count,
    format_interval,
    format_number,
    format_published,
    metric_direction,
)

FEW_LINES = 3


def figure_number(figure: Mapping[str, Any]) -> str:
    """Return the paper's number of a figure, and what the others are."""
    return f"Figure {figure['arxiv_v4']}" if figure["arxiv_v4"] else "Without a number in the paper"


def describe_points(figure: Mapping[str, Any]) -> str:
    """Say how the points of a figure were measured: images, samples, training seeds."""
    points = [one for line in figure["lines"] for one in line["points"]]
    tasks = dict.fromkeys(f"{one['task']} ({one['task_words']})" for one in points)
    measured = [one for one in points if one["num_seeds"]]
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
    """Make sentences of the first panel's numbers: where each line is best, or how it moves."""
    if not figure["panels"]:
        return []
    panel = figure["panels"][0]
    across, up = panel["across"], panel["up"]
    found = list_places(figure, panel, "measured")
    lines = {place: points for place, points in found.items() if len(points) > 1}
    if across in METRICS:
        return [_describe_move(figure, place, points, panel) for place, points in lines.items()]
    sentences = []
    if 0 < len(lines) <= FEW_LINES:
        published = list_places(figure, panel, "published")
        for place, points in lines.items():
            words = f"{METRICS[up].column} of “{figure['lines'][place]['label']}” is best at "
            words += f"{name_axis(across)} {_describe_best(points, up, 'measured')}"
            if len(theirs := published.get(place, [])) > 1:
                words += f"; in the paper at {_describe_best(theirs, up, 'published')}"
            sentences.append(words + ".")
    elif lines:
        better = sum(
            _is_better(p[-1]["y"]["value"], p[0]["y"]["value"], up) for p in lines.values()
        )
        place = min(lines, key=lambda key: _cost(lines[key][-1]["y"]["value"], up))
        best = lines[place][-1]
        words = f"From the first to the last point {METRICS[up].column} improves on {better} of "
        words += (
            f"{len(lines)} lines; at the last it is best for “{figure['lines'][place]['label']}”"
        )
        sentences.append(f"{words} ({_write(best['y'], up, 'measured')}).")
    return sentences


def _cost(value: float, metric: str) -> float:
    return value if METRICS[metric].lower_is_better else -value


def _is_better(one: float, two: float, metric: str) -> bool:
    return _cost(one, metric) < _cost(two, metric)


def _describe_best(points: list[dict[str, Any]], metric: str, kind: str) -> str:
    best = min(points, key=lambda one: _cost(one["y"]["value"], metric))
    value = best["x"]["value"]
    words = f"{value:,g}" if is_number(value) else str(value)
    return f"{words} ({_write(best['y'], metric, kind)})"


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
        verb = "rises" if last > first else "falls" if last < first else "stays"
        ends = " to ".join(format_number(one, panel[key]) for one in (first, last))
        moves.append(f"{METRICS[panel[key]].column} {verb} from {ends}")
    ends = [
        ", ".join(f"{v:g}" for v in points[end]["point"]["settings"].values()) for end in (0, -1)
    ]
    return f"“{figure['lines'][place]['label']}”, {ends[0]} to {ends[1]}: {' and '.join(moves)}."


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
        }
        for line in figure["lines"]
        for point in line["points"]
    ]
    metrics = [(metric, metric_direction(metric)) for metric in figure["metrics"]]
    return {"settings": settings, "metrics": metrics, "rows": rows}
