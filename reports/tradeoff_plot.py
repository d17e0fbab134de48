"""The figure of precision against recall: one panel of reports.tradeoff as SVG."""

from __future__ import annotations

import itertools
import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reports.format import metric_direction, metric_name
from reports.label_places import place_labels
from reports.svg import COLOURS, Link, clean_text, render_svg
from reports.tradeoff import METRICS, TITLES, write_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_PX, PLOT_PX = 352, 264  # as wide as a phone's screen; the height of what the axes enclose
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 46, 10, 12, 42  # around the axes
FONT_PX, LINE_PX, SWATCH_PX = 11, 17, 34  # letters, lines of the legend, and its samples
NARROW_PX, WIDE_PX = 6.4, 11.0  # a letter; a Chinese or Japanese one
BETTER_PX = 62  # at the upper right, for which way is better
MARKER_PX, HOLLOW_PX, HEAD_PX = 7, 10, 9
INK, SOFT, GRID = (COLOURS[name] for name in ("ink", "soft", "line"))
# Told apart by colour, marker and dashes.
STYLES = (
    ("series-1", "o", "-"), ("series-2", "s", (0, (5, 2))), ("series-3", "^", (0, (1, 1.5))),
    ("series-4", "D", (0, (6, 2, 1, 2))),
)  # fmt: skip


def make_tradeoff_plot(
    panel: Mapping[str, Any], name: str, sample_pages: Mapping[str, str] = {}
) -> str:
    """Draw a panel.

    Args:
        panel: a panel of `reports.tradeoff.make_tradeoffs`.
        name: of the figure, another one for each figure of a page.
        sample_pages: the addresses of sample sets' pages, by `row-mark`; points lead there.

    Returns:
        SVG for a page, with a description of all its points.
    """
    lines = panel["lines"]
    height = TOP_PX + LINE_PX * len(lines) + PLOT_PX + BOTTOM_PX

    def draw(figure: Figure) -> list[Link]:
        width = WIDTH_PX - LEFT_PX - RIGHT_PX
        corner = (LEFT_PX / WIDTH_PX, BOTTOM_PX / height)
        axes = figure.add_axes((*corner, width / WIDTH_PX, PLOT_PX / height))
        _draw_axes(axes, lines)
        for line in lines:
            _draw_line(axes, line)
        _label_points(axes, lines)
        _draw_better(axes, height)
        for place, line in enumerate(lines):
            _draw_legend(axes, line, height - LINE_PX * (place + 0.5), len(panel["captions"]) > 1)
        return [
            Link(*pixel, sample_pages[point["anchor"]], _describe_point(line, point))
            for line in lines
            if line["kind"] == "measured"
            for point in line["points"]
            if point["anchor"] in sample_pages
            for pixel in _find_pixels(axes, [_find_place(point)])
        ]

    points = "; ".join(_describe_points(line) for line in lines)
    words = clean_text(f"Precision against recall, {panel['title']}. {points}.")
    return render_svg(draw, width_px=WIDTH_PX, height_px=height, name=name, words=words)


def _describe_point(line: Mapping[str, Any], point: Mapping[str, Any]) -> str:
    values = [f"{m} {write_value(line, point[m]['value'], m)}" for m in reversed(METRICS)]
    return f"{line['name']}, {point['words']}: {', '.join(values)} (sample set)"


def _describe_points(line: Mapping[str, Any]) -> str:
    """Write all points of a line, in the order of their guidance."""
    points = []
    for point in line["points"]:
        values = [f"{m} {write_value(line, point[m]['value'], m)}" for m in reversed(METRICS)]
        points.append(f"{point['words']} {', '.join(values)}")
    return f"{line['name']}, {TITLES[line['kind']]}: {'; '.join(points)}"


def _draw_axes(axes: Axes, lines: Sequence[Mapping[str, Any]]) -> None:
    """Make room for all points and their intervals, and say what is better."""
    from matplotlib.ticker import MaxNLocator

    both = zip(METRICS, (axes.xaxis, axes.yaxis), (axes.set_xlim, axes.set_ylim), strict=True)
    for metric, axis, set_ends in both:
        values = [point[metric] for line in lines for point in line["points"]]
        low, high = min(one["low"] for one in values), max(one["high"] for one in values)
        margin = max(0.12 * (high - low), 0.01)
        set_ends(low - margin, high + margin)
        axis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
        axis.set_label_text(f"{metric_name(metric)} ({metric_direction(metric)})")
        axis.label.set(color=INK, size=FONT_PX)
    axes.tick_params(length=0, pad=5, labelsize=FONT_PX, labelcolor=SOFT)
    axes.grid(color=GRID, linewidth=1)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)


def _draw_better(axes: Axes, top_px: float) -> None:
    """Say at the upper right, outside the axes, which way is better."""
    right = WIDTH_PX - RIGHT_PX
    arrow = {"color": SOFT, "linewidth": 1.4, "clip_on": False, "transform": None}
    axes.plot((right - 12, right - 3), (top_px - 13, top_px - 4), **arrow)
    _draw_head(axes, right - 3, top_px - 4, 45, SOFT)
    text = {"color": SOFT, "size": FONT_PX, "ha": "right", "va": "baseline", "transform": None}
    axes.text(right - 15, top_px - 12, "better", **text)


def _make_style(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a line is drawn: published points are hollow, and large enough to be rings."""
    series, marker, dashes = STYLES[line["place"] % len(STYLES)]
    color = COLOURS[series]
    hollow = line["kind"] == "published"
    return {
        "color": color,
        "marker": marker,
        "markersize": HOLLOW_PX if hollow else MARKER_PX,
        "markeredgewidth": 1.4 if hollow else 0,
        "markerfacecolor": COLOURS["paper"] if hollow else color,
        "zorder": 2 if hollow else 3,
        "linestyle": dashes,
        "linewidth": 1.0 if hollow else 1.8,
    }


def _find_place(point: Mapping[str, Any]) -> tuple[float, float]:
    return tuple(point[metric]["value"] for metric in METRICS)


def _find_pixels(axes: Axes, places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return where values of recall and precision lie, in pixels from the lower left."""
    return [(float(x), float(y)) for x, y in axes.transData.transform(places)]


def _list_bars(point: Mapping[str, Any]) -> list[list[tuple[float, float]]]:
    """Return the ends of a point's two intervals."""
    x, y = (point[metric] for metric in METRICS)
    across = [(x[end], y["value"]) for end in ("low", "high")]
    return [across, [(x["value"], y[end]) for end in ("low", "high")]]


def _draw_line(axes: Axes, line: Mapping[str, Any]) -> None:
    """Draw points with intervals, and between them lines with heads where guidance grows."""
    style = _make_style(line)
    if line["kind"] == "measured":
        for bar in (bar for point in line["points"] for bar in _list_bars(point)):
            axes.plot(*zip(*bar, strict=True), color=style["color"], linewidth=1, alpha=0.45)
    places = [_find_place(point) for point in line["points"]]
    axes.plot(*zip(*places, strict=True), **style)
    pixels = _find_pixels(axes, places)
    for (x0, y0), (x1, y1) in itertools.pairwise(pixels):
        if math.hypot(x1 - x0, y1 - y0) > 2 * (MARKER_PX + HOLLOW_PX):
            angle = math.degrees(math.atan2(y1 - y0, x1 - x0))
            _draw_head(axes, (x0 + x1) / 2, (y0 + y1) / 2, angle, style["color"])


def _draw_head(axes: Axes, x_px: float, y_px: float, angle: float, color: str) -> None:
    """Draw an arrow's head, its direction in degrees from rightwards."""
    head = {"marker": (3, 0, angle - 90), "markersize": HEAD_PX, "markeredgewidth": 0}
    axes.plot(x_px, y_px, color=color, clip_on=False, transform=None, **head)


def _label_points(axes: Axes, lines: Sequence[Mapping[str, Any]]) -> None:
    """Write its guidance beside each point, once where a point is both measured and published."""
    taken, labels = [], {}
    for line in sorted(lines, key=lambda line: line["kind"]):  # measured ones first
        pixels = _find_pixels(axes, [_find_place(point) for point in line["points"]])
        half = _make_style(line)["markersize"] / 2 + 1
        taken += [(x - half, y - half, x + half, y + half) for x, y in pixels]
        segments = list(itertools.pairwise(pixels))
        if line["kind"] == "measured":
            bars = [bar for point in line["points"] for bar in _list_bars(point)]
            segments += [_find_pixels(axes, bar) for bar in bars]
        taken += [box for segment in segments for box in _cover_segment(*segment)]
        for point, pixel in zip(line["points"], pixels, strict=True):
            labels.setdefault((line["place"], point["words"]), pixel)
    words = [words for _, words in labels]
    pixels = [*labels.values()]
    sizes = [(_estimate_width(one), FONT_PX) for one in words]
    frame = axes.bbox.x0, axes.bbox.y0, axes.bbox.x1, axes.bbox.y1
    places = place_labels(pixels, sizes, taken, frame)
    for one, (x, y) in zip(words, places, strict=True):
        # The letters of most fonts rise from a fifth of the line's height.
        text = {"color": INK, "size": FONT_PX, "va": "baseline", "transform": None}
        axes.text(x, y + 0.15 * FONT_PX, one, **text)


def _cover_segment(
    start: tuple[float, float], end: tuple[float, float]
) -> list[tuple[float, float, float, float]]:
    """Return small boxes along a line, to keep labels off it."""
    number = 1 + int(math.dist(start, end) / 3)
    middles = [
        [a + (b - a) * place / number for a, b in zip(start, end, strict=True)]
        for place in range(number + 1)
    ]
    return [(x - 1.5, y - 1.5, x + 1.5, y + 1.5) for x, y in middles]


def _draw_legend(axes: Axes, line: Mapping[str, Any], y_px: float, tell_kind: bool) -> None:
    """Draw a line's sample and its name, as much of it as there is room for."""
    style, left = _make_style(line), LEFT_PX
    ends = (left, left + SWATCH_PX / 2, left + SWATCH_PX)
    axes.plot(ends, [y_px] * 3, markevery=[1], transform=None, clip_on=False, **style)
    name = clean_text(line["name"])
    suffix = f", {TITLES[line['kind']]}" if tell_kind else ""
    room = WIDTH_PX - BETTER_PX - left - SWATCH_PX - 8 - _estimate_width(suffix)
    if _estimate_width(name) > room:
        while _estimate_width(name + "\u2026") > room:
            name = name[:-1]
        name = name.rstrip() + "\u2026"
    text = {"color": INK, "size": FONT_PX, "va": "baseline", "transform": None}
    axes.text(left + SWATCH_PX + 8, y_px - 0.35 * FONT_PX, name + suffix, **text)


def _estimate_width(text: str) -> float:
    """Return about how many pixels a text takes in the font of a page, rather more than less."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return WIDE_PX * wide + NARROW_PX * (len(text) - wide)
