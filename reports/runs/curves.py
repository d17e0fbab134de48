"""Training curves: what a model's events say of its losses, and where the lines of a plot lie."""

import math
from collections.abc import Mapping
from typing import Any

from records.events import read_events
from specs.run_pages import TrainedModel

WIDTH_PX, HEIGHT_PX = 320, 180
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 48, 12, 8, 26  # around the plot, for the axes' words
# What is plotted where events have it, and whether from 0 to 1, or by its logarithm.
CURVES = {
    "loss": ("training loss", False),
    "vb": ("bound on the variances (part of the loss)", False),
    "grad_norm": ("norm of the gradient", False),
    "accuracy": ("accuracy of each quarter of timesteps, from the least noise", True),
}

MANY = 30  # times as large as its lower end is an axis that is marked at powers of ten

Line = list[tuple[int, float]]


def read_curves(model: TrainedModel) -> dict[str, Line]:
    """Read what a training recorded, by name: iterations with values.

    Events of other specs are left out; of an iteration that a restart repeated the last value
    counts.
    """
    if model.events is None:
        return {}
    found: dict[str, dict[int, float]] = {}
    is_own = False
    for event in read_events(model.events)[0]:
        is_own = event.get("digest") == model.digest if "kind" in event else is_own
        step = event.get("iteration")
        if not is_own or event.get("event") != "progress" or not isinstance(step, int):
            continue
        values = {key: event.get(key) for key in CURVES}
        quarters = event.get("accuracy_by_quarter")
        if isinstance(quarters, list):
            values |= {f"accuracy {place}": one for place, one in enumerate(quarters, 1)}
        for key, value in values.items():
            if isinstance(value, int | float) and math.isfinite(value):
                found.setdefault(key, {})[step] = float(value)
    return {key: sorted(line.items()) for key, line in found.items()}


def make_plots(curves: Mapping[str, Mapping[str, Line]]) -> list[dict[str, Any]]:
    """Work out the plots of a model.

    Args:
        curves: by the words of a training seed what `read_curves` returns.

    Returns:
        For each curve that there is its title, grid lines with their words, and lines of points.
    """
    plots = []
    for key, (title, is_share) in CURVES.items():
        lines = {
            f"{words}, {name}" if name != key else words: line
            for words, known in curves.items()
            for name, line in known.items()
            if name.split(" ")[0] == key and len(line) > 1
        }
        if is_share:  # four lines each: those of one seed are told apart
            first = next(iter(curves), "")
            lines = {
                f"quarter {words.rpartition(' ')[2]}": line
                for words, line in lines.items()
                if words.startswith(f"{first},")
            }
        if lines:
            plots.append({"title": title, **_place(lines, is_share)})
    return plots


def _place(lines: Mapping[str, Line], is_share: bool) -> dict[str, Any]:
    """Return where everything of a plot lies, in pixels from the top left."""
    right, bottom = WIDTH_PX - RIGHT_PX, HEIGHT_PX - BOTTOM_PX
    values = [value for line in lines.values() for _, value in line]
    last = max(step for line in lines.values() for step, _ in line)
    is_log = not is_share and min(values) > 0
    change = math.log10 if is_log else float
    low, high = (0.0, 1.0) if is_share else (change(min(values)), change(max(values)))
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)

    def find_y(value: float) -> float:
        return bottom - (bottom - TOP_PX) * (change(value) - low) / (high - low)

    ends = (10**low, 10**high) if is_log else (low, high)
    ticks = [0.0, 0.5, 1.0] if is_share else _choose_ticks(*ends)
    return {
        "width_px": WIDTH_PX,
        "height_px": HEIGHT_PX,
        "left_px": LEFT_PX,
        "right_px": right,
        "last": last,
        "grid": [
            (f"{find_y(one):.1f}", f"{one:.0%}" if is_share else f"{one:.6g}") for one in ticks
        ],
        "lines": [
            {
                "words": words,
                "last": line[-1][1],
                "points": " ".join(
                    f"{LEFT_PX + (right - LEFT_PX) * step / last:.1f},{find_y(value):.1f}"
                    for step, value in line
                ),
            }
            for words, line in lines.items()
        ],
    }


def _choose_ticks(low: float, high: float) -> list[float]:
    """Choose a few round values of an axis: powers of ten, or where it has none steps of 1, 2 or 5.

    Args:
        low, high: ends of the axis, low < high.
    """
    if low > 0 and high / low > MANY:
        first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
        return [10.0**power for power in range(first, last + 1)]
    size = 10.0 ** math.floor(math.log10(high - low))
    step = next(factor * size for factor in (0.2, 0.5, 1, 2) if (high - low) / factor / size < 6)
    return [step * n for n in range(math.ceil(low / step), math.floor(high / step) + 1)]
