"""The page of figures, and the points of each as CSV."""

from collections.abc import Mapping, Sequence
from typing import Any

from reports.csv_text import render_lines
from reports.figures.plot import STYLES, make_panel_svg
from reports.figures.strips import make_between, make_denoising, make_nearest, make_strips
from reports.figures.words import (
    describe_finding,
    describe_points,
    list_lacking,
    make_text_table,
)
from reports.files import condense
from reports.render import make_environment
from specs.figure_page import FigurePage

PICTURES = {
    "numbers": lambda *_: [],
    "samples": make_strips,
    "nearest": make_nearest,
    "between": make_between,
    "denoising": make_denoising,
}


def render_figures(
    page: FigurePage,
    figures: Sequence[Mapping[str, Any]],
    problems: Sequence[str],
    links: Sequence[tuple[str, str]],
    sample_pages: Mapping[str, str] = {},
) -> str:
    """Write the page of figures.

    Args:
        page: what it shows.
        figures: evaluated (reports.figures.points.evaluate_figures).
        problems: what is wrong with files, in words.
        links: name and title of the pages that lie beside it.
        sample_pages: the addresses of sample sets' pages, by `row-mark`.

    Returns:
        HTML that needs nothing outside itself.
    """
    problems = [*problems]
    shown = [
        {
            **figure,
            "pictures": PICTURES[figure["shows"]](figure, problems),
            "measured_by": describe_points(figure),
            "findings": describe_finding(figure),
            "lacking": list_lacking(figure),
            "text": make_text_table(figure),
            "panels": [
                make_panel_svg(figure, place, sample_pages)
                for place in range(len(figure["panels"]))
            ],
            "legend": [(make_key(line["place"]), line["label"]) for line in figure["lines"]],
        }
        for figure in figures
    ]
    template = make_environment().get_template("figures.html.j2")
    known = {"page": page, "links": links, "sample_pages": sample_pages}
    return template.render(figures=shown, problems=condense(problems), **known)


def make_key(place: int) -> str:
    """Draw a piece of a line with its marker, for the legend of a figure."""
    color, marker, dashes = STYLES[place % len(STYLES)]
    pattern = "" if dashes == "-" else ' stroke-dasharray="' + " ".join(map(str, dashes[1])) + '"'
    shapes = {
        "o": '<circle cx="17" cy="7" r="3.5"/>',
        "s": '<path d="M13.5 3.5h7v7h-7z"/>',
        "^": '<path d="M17 3l4 7.5h-8z"/>',
        "v": '<path d="M17 11l4-7.5h-8z"/>',
        "P": '<path d="M15.5 3h3v2.5h2.5v3h-2.5v2.5h-3v-2.5h-2.5v-3h2.5z"/>',
        "X": '<path d="M14.5 3l2.5 2.4 2.5-2.4 1.6 1.6-2.4 2.4 2.4 2.4-1.6 1.6-2.5-2.4-2.5 2.4'
        '-1.6-1.6 2.4-2.4-2.4-2.4z"/>',
    }
    return (
        f'<svg width="34" height="14" viewBox="0 0 34 14" aria-hidden="true" '
        f'style="color: var(--{color}); fill: currentColor; stroke: currentColor">'
        f'<path d="M1 7h32" stroke-width="1.8"{pattern}/>{shapes[marker]}</svg>'
    )


def render_points(figure: Mapping[str, Any]) -> str:
    """Write the points of a figure as CSV, one a line, every number in full, no text a formula."""
    settings = make_text_table(figure)["settings"]
    parts = ("", "_low", "_high", "_published")
    seeds = sorted(
        {
            seed
            for line in figure["lines"]
            for point in line["points"]
            for value in point["values"].values()
            for seed in value["seeds"]
        }
    )
    metrics = [f"{m}{part}" for m in figure["metrics"] for part in parts]
    metrics += [f"{m}_seed{seed}" for m in figure["metrics"] for seed in seeds]
    columns = [
        "figure", "line", "table", "row", "mark", *settings, "status", "num_samples", "num_seeds",
        *metrics, "digest", "samples",
    ]  # fmt: skip
    lines = []
    for line in figure["lines"]:
        for point in line["points"]:
            values = [point["values"][metric] for metric in figure["metrics"]]
            numbers = [v[key] for v in values for key in ("measured", "low", "high", "published")]
            numbers += [v["seeds"].get(seed) for v in values for seed in seeds]
            lines.append(
                [figure["name"], line["label"], point["table"], point["row"], point["mark"],
                 *(point["settings"].get(key) for key in settings), point["status"],
                 point["num_samples"], point["num_seeds"], *numbers, point["digest"],
                 (point["samples"] or {}).get("path")]
            )  # fmt: skip
    return render_lines(columns, lines)
