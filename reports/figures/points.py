"""The points of figures: numbers with intervals, published values, and why a point is missing."""

from collections.abc import Mapping
from typing import Any

from reports.cell_intervals import estimate_cell
from reports.files import MEASURED, list_problems, load_metrics
from reports.judging import find_published
from reports.notes import find_status
from reports.replicates import CellReplicates, list_common_seeds, load_replicates
from specs.figure_page import FigurePage, FigurePoint, PageFigure
from specs.page import PageRow, PageSpec


def evaluate_figures(page: FigurePage, problems: list[str]) -> list[dict[str, Any]]:
    """Join the figures with the metrics files that exist.

    Args:
        page: what the page of figures shows.
        problems: takes a sentence for each file that is broken or of other settings, whose points
            are left out.

    Returns:
        For each figure its head and its lines, whose points have `values` by metric: measured,
        low, high, `seeds` (a value each) and published. Intervals are those of the points' tables.
        `status` says why a point has no number.
    """
    replicates = {name: _load_table(page, name, problems) for name in page.tables}
    return [_evaluate(page, figure, replicates) for figure in page.figures]


def _load_table(page: FigurePage, name: str, problems: list[str]) -> CellReplicates:
    """Read the numbers of a table's rows, and of those that figures add to it."""
    spec = page.tables[name].model_copy(update={"rows": page.list_rows(name)})
    problems += list_problems(spec.list_metrics())
    return load_replicates(spec, problems)


def _evaluate(
    page: FigurePage, figure: PageFigure, replicates: Mapping[str, CellReplicates]
) -> dict[str, Any]:
    metrics = find_metrics_of(figure)
    lines = [
        {
            "label": line.label,
            "place": place,
            "points": [
                _make_point(page, point, metrics, replicates[point.table]) for point in line.points
            ],
        }
        for place, line in enumerate(figure.lines)
    ]
    return {**figure.model_dump(exclude={"lines"}), "metrics": metrics, "lines": lines}


def find_metrics_of(figure: PageFigure) -> list[str]:
    """Return the metrics that a figure plots, each once."""
    names = [name for panel in figure.panels for name in (panel.up, panel.across)]
    settings = {key for line in figure.lines for point in line.points for key in point.settings}
    return [name for name in dict.fromkeys(names) if name not in settings]


def _make_point(
    page: FigurePage, point: FigurePoint, metrics: list[str], replicates: CellReplicates
) -> dict[str, Any]:
    spec = page.tables[point.table]
    row = next(one for one in page.list_rows(point.table) if one.id == point.row)
    content = load_metrics(row.cells[point.mark].metrics)
    cell = replicates[row.id, point.mark]
    values = {}
    for metric in metrics:
        seeds = list_common_seeds([cell], metric)
        values[metric] = {
            **estimate_cell(spec, replicates, row, point.mark, metric),
            "seeds": {seed: cell[seed].content.metrics[metric].value for seed in seeds},
            "published": _find_published(spec, row, point.mark, metric),
        }
    wanted = row.cells[point.mark]
    status = MEASURED if cell else find_status(row, point.mark, content)
    if 0 < len(cell) < len(wanted.seeds):
        status = f"{len(cell)} of {len(wanted.seeds)} training seeds"
    counts = [one.content.counts.samples for one in cell.values()]
    return {
        **point.content(),
        "paper_settings": point.paper_settings,
        "anchor": f"{point.row}-{point.mark}",  # by which its sample set's page is found
        "label": row.label + spec.table.after[point.mark],
        "task": row.task,
        "task_words": row.task_words,
        "status": status,
        "num_samples": counts[0] if counts else None,
        "num_seeds": len(cell),
        "digest": content.digest if content else None,
        "samples": wanted.samples and wanted.samples.content(),
        "pictures": point.pictures and point.pictures.content(),
        "values": values,
    }


def _find_published(spec: PageSpec, row: PageRow, mark: str, metric: str) -> float | None:
    """Return the paper's value; it has none of rows that a figure adds."""
    known = row.id in {one.id for one in spec.rows}
    return find_published(spec, row.id, mark, metric) if known else None
