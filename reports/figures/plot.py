"""A panel of a figure as SVG: what was measured, and beneath it the paper's values on own axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from records.metrics import METRICS
from reports.format import format_number, format_published, metric_direction, setting_name
from reports.label_places import place_labels
from reports.svg import COLOURS, Link, clean_text, render_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_PX, LEFT_PX, RIGHT_PX, TOP_PX = 330, 46, 14, 22
HERE_PX, PAPER_PX, LABEL_PX, GAP_PX = 190, 120, 40, 30  # heights; space beneath axes, and above
FONT_PX, MARKER_PX, SEED_PX, DIAMOND_PX = 11, 6.5, 2.4, 6
REACH = 0.75  # of an interval beyond all values, in shares of their range, that is shown at most
FEW_LINES, DODGE_PX = 3, 6  # more lines lie side by side, this far apart
MANY = 100_000  # iterations from here on are written in thousands
# Told apart by colour, marker and dashes; the seventh line is grey.
STYLES = (
    ("series-1", "o", "-"), ("series-2", "s", (0, (5, 2))), ("series-3", "^", (0, (1, 1.5))),
    ("series-4", "v", (0, (6, 2, 1, 2))), ("series-5", "P", (0, (3, 1.5))),
    ("series-6", "X", (0, (9, 2))), ("soft", "o", (0, (1, 3))),
)  # fmt: skip


def make_panel_svg(
    figure: Mapping[str, Any], place: int, sample_pages: Mapping[str, str] = {}
) -> str:
    """Draw one panel of an evaluated figure.

    Args:
        figure: of `reports.figures.points.evaluate_figures`.
        place: of the panel.
        sample_pages: the addresses of sample sets' pages, by `row-mark`; points lead there.

    Returns:
        SVG for a page, with a description of all its points.
    """
    panel = figure["panels"][place]
    across, up = panel["across"], panel["up"]
    found = {kind: list_places(figure, panel, kind) for kind in ("measured", "published")}
    if not any(len(points) > 1 for points in found["published"].values()):
        found["published"] = {}  # a single value shows neither direction nor order
    heights = [HERE_PX] * bool(found["measured"]) + [PAPER_PX] * bool(found["published"])
    height = TOP_PX + sum(heights) + LABEL_PX * len(heights) + GAP_PX * (len(heights) - 1)

    def draw(drawing: Figure) -> list[Link]:
        top, links = height - TOP_PX, []
        for kind, size in _list_axes(found):
            corner = (LEFT_PX / WIDTH_PX, (top - size) / height)
            width = (WIDTH_PX - LEFT_PX - RIGHT_PX) / WIDTH_PX
            axes = drawing.add_axes((*corner, width, size / height))
            places = _draw_axes(axes, figure, panel, found, kind)
            if kind == "measured":
                links += _link_points(figure, panel, places, sample_pages)
            top -= size + LABEL_PX + GAP_PX
        return links

    words = [f"{name_axis(up)} against {name_axis(across)}."]
    words += [_describe(figure, panel, kind, lines) for kind, lines in found.items() if lines]
    name = f"{figure['name']}-{up}-{across}"
    text = clean_text(" ".join(words))
    return render_svg(draw, width_px=WIDTH_PX, height_px=height, name=name, words=text)


def _link_points(
    figure: Mapping[str, Any],
    panel: Mapping[str, Any],
    places: Mapping[int, list[tuple[Mapping[str, Any], float, float]]],
    sample_pages: Mapping[str, str],
) -> list[Link]:
    """Make a link of each point that has a page, given the pixels of each line's points."""
    up = panel["up"]
    return [
        Link(
            x_px,
            y_px,
            sample_pages[one["point"]["anchor"]],
            f"{figure['lines'][place]['label']}, {one['point']['label']}: {name_axis(up)} "
            f"{_write(up, one['y']['value'], 'measured')} (sample set)",
        )
        for place, points in places.items()
        for one, x_px, y_px in points
        if one["point"]["anchor"] in sample_pages
    ]


def _list_axes(found: Mapping[str, Any]) -> list[tuple[str, int]]:
    sizes = {"measured": HERE_PX, "published": PAPER_PX}
    return [(kind, sizes[kind]) for kind, lines in found.items() if lines]


def list_places(
    figure: Mapping[str, Any], panel: Mapping[str, Any], kind: str
) -> dict[int, list[dict[str, Any]]]:
    """Return where the points of each line lie, those without a value left out.

    Args:
        figure: evaluated.
        panel: `across` and `up`.
        kind: "measured" or "published".

    Returns:
        By the line's place its points in their order across (of a setting) or along the line:
        `x` and `y`, each with value, low, high and seeds; and the point itself.
    """
    lines = {}
    for line in figure["lines"]:
        points = []
        for point in line["points"]:
            x, y = (_read(point, panel[key], kind) for key in ("across", "up"))
            if x is not None and y is not None:
                points.append({"x": x, "y": y, "point": point})
        if panel["across"] not in METRICS and all(is_number(one["x"]["value"]) for one in points):
            points.sort(key=lambda one: one["x"]["value"])
            if len(points) > 1 and points[0]["x"]["value"] == points[-1]["x"]["value"]:
                continue  # it varies in what another panel shows
        if points:
            lines[line["place"]] = points
    return lines


def is_number(value: Any) -> bool:
    """Tell a number from a word and from a switch."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _read(point: Mapping[str, Any], key: str, kind: str) -> dict[str, Any] | None:
    """Return a setting or a metric of a point with its interval; None where it has none."""
    if key not in METRICS:
        own = point["paper_settings"] if kind == "published" else {}
        value = {**point["settings"], **own}.get(key)
        return None if value is None else {"value": value, "low": value, "high": value, "seeds": {}}
    found = point["values"][key]
    value = found[kind]
    if value is None:
        return None
    known = kind == "measured" and found["low"] is not None
    ends = (found["low"], found["high"]) if known else (value, value)
    seeds = found["seeds"] if kind == "measured" else {}
    return {"value": value, "low": ends[0], "high": ends[1], "seeds": seeds}


def name_axis(key: str) -> str:
    """Name a metric or a setting."""
    return METRICS[key].column if key in METRICS else setting_name(key)


def _describe(
    figure: Mapping[str, Any], panel: Mapping[str, Any], kind: str, lines: Mapping[int, Any]
) -> str:
    """Write all points of a panel in words."""
    where = "Here" if kind == "measured" else "In the paper"
    parts = []
    for place, points in lines.items():
        pairs = [
            f"{_write(panel['across'], one['x']['value'], kind)}: "
            f"{_write(panel['up'], one['y']['value'], kind)}"
            for one in points
        ]
        parts.append(f"{figure['lines'][place]['label']} {', '.join(pairs)}")
    return f"{where}, {'; '.join(parts)}."


def write_setting(value: Any) -> str:
    """Write where a point lies across; iterations in thousands, as the paper does."""
    if not is_number(value):
        return str(value)
    return f"{value / 1000:g}K" if value >= MANY else f"{value:,g}"


def _write(key: str, value: Any, kind: str) -> str:
    if key not in METRICS:
        return write_setting(value)
    return format_number(value, key) if kind == "measured" else format_published(value)


def _draw_axes(
    axes: Axes,
    figure: Mapping[str, Any],
    panel: Mapping[str, Any],
    found: Mapping[str, Any],
    kind: str,
) -> dict[int, list[tuple[Mapping[str, Any], float, float]]]:
    """Draw what was measured, or what the paper prints.

    Returns:
        The points of each line, by its place, with their pixels from the lower left.
    """
    lines, across, up, places = found[kind], panel["across"], panel["up"], {}
    names = _list_names(found) if across not in METRICS else []
    _lay_out(axes, panel, found, kind, names)
    left, right = axes.get_xlim()
    crowded = len(lines) > FEW_LINES and not names and not panel["log"]
    step = DODGE_PX / (WIDTH_PX - LEFT_PX - RIGHT_PX) * (right - left) * crowded
    for turn, (place, points) in enumerate(lines.items()):
        color, marker, dashes = STYLES[place % len(STYLES)]
        color = COLOURS[color]
        xs = [names.index(p["x"]["value"]) if names else p["x"]["value"] for p in points]
        if step:
            xs = [x + step * (turn - (len(lines) - 1) / 2) for x in xs]
        ys = [p["y"]["value"] for p in points]
        style: dict[str, Any] = {"marker": marker, "markersize": MARKER_PX, "linewidth": 1.8}
        if kind == "published":
            style = {"marker": "D", "markersize": DIAMOND_PX, "linewidth": 1.2}
        else:
            _draw_intervals(axes, points, xs, color, across in METRICS, dots=not step)
        pixels = axes.transData.transform([*zip(xs, ys, strict=True)])
        places[place] = [(one, *map(float, xy)) for one, xy in zip(points, pixels, strict=True)]
        joined = dashes if not names else "none"
        axes.plot(xs, ys, color=color, linestyle=joined, markeredgewidth=0, zorder=3, **style)
    if across in METRICS:
        _label_points(axes, lines)
    where = "here" if kind == "measured" else "in the paper"
    hue = COLOURS["ink" if kind == "measured" else "paper-value"]
    axes.set_title(where, loc="left", fontsize=FONT_PX, color=hue, pad=6, fontweight="bold")
    words = f"{name_axis(up)}, {metric_direction(up)}"
    axes.set_title(words, loc="right", fontsize=FONT_PX, color=COLOURS["soft"], pad=6)
    return places


def _list_names(found: Mapping[str, Any]) -> list[str]:
    """Return the words across, in their order; none where a setting is a number."""
    points = [one for lines in found.values() for line in lines.values() for one in line]
    values = dict.fromkeys(one["x"]["value"] for one in points)
    return [] if all(map(is_number, values)) else [*values]


def _draw_intervals(
    axes: Axes,
    points: Sequence[Mapping[str, Any]],
    xs: Sequence[float],
    color: str,
    both: bool,
    dots: bool,
) -> None:
    """Draw 95 % intervals as thin bars, and the values of single training seeds as dots."""
    for x, one in zip(xs, points, strict=True):
        y = one["y"]
        bar = {"color": color, "linewidth": 1, "alpha": 0.5}
        axes.plot((x, x), (y["low"], y["high"]), **bar)
        if both:
            axes.plot((one["x"]["low"], one["x"]["high"]), (y["value"], y["value"]), **bar)
        elif dots and len(y["seeds"]) > 1:
            small = {"marker": "o", "markersize": SEED_PX, "linestyle": "none", "alpha": 0.6}
            values = [*y["seeds"].values()]
            axes.plot([x] * len(values), values, color=color, markeredgewidth=0, **small)


def _lay_out(
    axes: Axes,
    panel: Mapping[str, Any],
    found: Mapping[str, Any],
    kind: str,
    names: Sequence[str],
) -> None:
    """Make room for all points.

    Both axes of a panel share a setting, unless the paper's own values of it differ, and no metric.
    """
    from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator

    across = panel["across"]
    if "up" in panel["log"]:
        axes.set_yscale("log")
        low, high = _find_limits(found[kind], "y", 0.08, math.log10)
        axes.set_ylim(10**low, 10**high)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(*_find_limits(found[kind], "y", 0.08))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    if across in METRICS:
        axes.set_xlim(*_find_limits(found[kind], "x", 0.12))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
        label = f"{name_axis(across)}, {metric_direction(across)}"
    elif names:
        axes.set_xlim(-0.5, len(names) - 0.5)
        axes.set_xticks(range(len(names)), [clean_text(str(name)) for name in names])
        label = name_axis(across)
    else:
        points = {one: [p for line in found[one].values() for p in line] for one in found}
        differ = any(across in p["point"]["paper_settings"] for p in points["published"])
        shown = points[kind] if differ else [p for one in points.values() for p in one]
        values = sorted({p["x"]["value"] for p in shown})
        if "across" in panel["log"]:
            axes.set_xscale("log", base=2)
            axes.set_xlim(values[0] / 1.3, values[-1] * 1.3)
        else:
            crowded = max(map(len, found.values())) > FEW_LINES
            margin = (0.12 if crowded else 0.04) * (values[-1] - values[0]) or 1
            axes.set_xlim(values[0] - margin, values[-1] + margin)
        axes.xaxis.set_major_locator(
            FixedLocator(values if "across" in panel["log"] else _thin(values))
        )
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda value, _: write_setting(float(value)))
        label = name_axis(across)
    axes.set_xlabel(label, fontsize=FONT_PX, color=COLOURS["ink"], labelpad=5)
    axes.tick_params(length=0, pad=5, labelsize=FONT_PX, labelcolor=COLOURS["soft"])
    axes.grid(color=COLOURS["line"], linewidth=1)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)


def _thin(values: Sequence[float]) -> list[float]:
    """Leave out ticks whose words would touch the one before."""
    kept: list[float] = []
    gap = (0.14 if values[-1] >= MANY else 0.07) * (values[-1] - values[0])
    for value in values:
        if not kept or value - kept[-1] >= gap:
            kept.append(value)
    return kept


def _find_limits(
    lines: Mapping[int, Any],
    side: str,
    margin: float,
    scale: Callable[[float], float] = float,
) -> tuple[float, float]:
    """Return the ends of an axis: all values, and intervals as far as they do not dwarf these.

    Args:
        lines: of `list_places`.
        side: "x" or "y".
        margin: space at both ends, in shares of the axis.
        scale: of the axis; ends are returned on it.
    """
    places = [one[side] for points in lines.values() for one in points]
    values = [scale(v) for one in places for v in (one["value"], *one["seeds"].values())]
    low, high = min(values), max(values)
    size = (high - low) or abs(high) * 0.2 or 1.0
    ends = [(one["low"], one["high"]) for one in places if scale is float or one["low"] > 0]
    low = max(min([low, *(scale(one) for one, _ in ends)]), low - REACH * size)
    high = min(max([high, *(scale(one) for _, one in ends)]), high + REACH * size)
    size = (high - low) or size
    return low - margin * size, high + margin * size


def _label_points(axes: Axes, lines: Mapping[int, Any]) -> None:
    """Write the setting that grows along a line beside its points."""
    points = [one for line in lines.values() for one in line]
    words = [_find_label(one["point"]) for one in points]
    pixels = axes.transData.transform([(p["x"]["value"], p["y"]["value"]) for p in points])
    half = MARKER_PX / 2 + 2
    taken = [(x - half, y - half, x + half, y + half) for x, y in pixels]
    sizes = [(0.62 * FONT_PX * len(text), FONT_PX) for text in words]
    box = axes.bbox
    frame = (box.x0, box.y0, box.x1, box.y1)
    for text, (x, y) in zip(
        words, place_labels(list(map(tuple, pixels)), sizes, taken, frame), strict=True
    ):
        axes.text(x, y + 1, text, color=COLOURS["soft"], size=FONT_PX - 1, transform=None)


def _find_label(point: Mapping[str, Any]) -> str:
    return ", ".join(f"{v:g}" if is_number(v) else str(v) for v in point["settings"].values())
