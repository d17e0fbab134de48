"""The figures of a plan: the rows that they add to tables, what their page reads and shows."""

from typing import Any

from specs.figure_page import FigureLine, FigurePage, FigurePoint, PageFigure
from specs.figures import ACROSS, AddedRow, Figure, Line
from specs.row_facts import describe_row
from specs.sampling import SamplerSettings
from specs.strict import validated
from specs.tables import SETTING, Row, Table
from workflow.plan import FIGURES, Plan
from workflow.table_spec import (
    list_samples,
    make_page_row,
    make_table_spec,
    seed_variants,
)


def extend_table(plan: Plan, name: str) -> Table:
    """Return a table with the rows that figures add to it."""
    table = plan.tables[name]
    return table.model_copy(update={"rows": {**table.rows, **plan.added.get(name, {})}})


def make_figure_page(plan: Plan) -> FigurePage:
    """Describe the page of figures for `reports`."""
    tables = list_tables(plan)
    content = {
        "format": 1,
        "scale": plan.scale.name,
        "source": plan.source,
        "root": plan.layout.root,
        "scale_notes": [plan.scale.about + ".", *plan.scale.notes],
        "tables": {name: make_table_spec(plan, name).content() for name in tables},
        "rows": {
            name: [
                make_page_row(plan, extend_table(plan, name), row_id, row).content()
                for row_id, row in plan.added.get(name, {}).items()
            ]
            for name in tables
        },
        "figures": [_make_figure(plan, name, one).content() for name, one in plan.figures.items()],
    }
    return validated(FigurePage, content, f"page of {FIGURES}")


def figure_inputs(plan: Plan) -> dict[str, list[str]]:
    """Return the files that the page of figures is made from."""
    tables = [extend_table(plan, name) for name in list_tables(plan)]
    samples = list(dict.fromkeys(one for table in tables for one in list_samples(plan, table)))
    pictured = [
        next(iter(seed_variants(plan, table, point.row, point.mark).values()), None)
        for figure in plan.figures.values()
        if figure.shows == "samples"
        for point in _list_points(plan, figure)
        for table in [extend_table(plan, point.table)]
    ]
    return {
        "metrics": [plan.layout.metrics(one) for one in samples],
        "samples": [
            plan.layout.samples(plan.samples[one]).file for one in dict.fromkeys(pictured) if one
        ],
    }


def list_tables(plan: Plan) -> list[str]:
    """Return the tables whose rows are points of figures, in their order."""
    used = {point.table for one in plan.figures.values() for point in _list_points(plan, one)}
    return [name for name in plan.tables if name in used]


def _list_points(plan: Plan, figure: Figure) -> list[FigurePoint]:
    return [point for line in figure.lines for point in _make_points(plan, figure, line)]


def _make_figure(plan: Plan, name: str, figure: Figure) -> PageFigure:
    head = figure.model_dump(exclude={"scales", "rows", "lines"})
    lines = [
        FigureLine(label=line.label, points=_make_points(plan, figure, line))
        for line in figure.lines
    ]
    return validated(
        PageFigure,
        {**head, "name": name, "lines": [line.content() for line in lines]},
        f"figure {name}",
    )


def _make_points(plan: Plan, figure: Figure, line: Line) -> list[FigurePoint]:
    """Return the points of a line, with the settings that lie across."""
    keys = {panel.across for panel in figure.panels} & set(ACROSS)
    keys |= {key for row in _list_added(plan, line) for key in row.sampler}
    points = []
    for row_id in line.rows:
        name, row = _find_row(plan, row_id)
        for mark in line.marks or plan.tables[name].marks[-1:]:
            settings = _describe(plan, row, mark)
            chosen = {key: settings[key] for key in sorted(keys)}
            points.append(FigurePoint(table=name, row=row_id, mark=mark, settings=chosen))
    return points


def _find_row(plan: Plan, row_id: str) -> tuple[str, Row]:
    """Return the table and the row of an id."""
    for name in plan.tables:
        rows = extend_table(plan, name).rows
        if row_id in rows:
            return name, rows[row_id]
    raise KeyError(row_id)  # `load_figures_at` has refused it


def _describe(plan: Plan, row: Row, mark: str) -> dict[str, Any]:
    """Return the settings of a row at a mark; a sampler that lacks one has 0 of it."""
    settings: dict[str, SETTING] = dict(describe_row(plan.scale, row))
    if row.model is not None and row.sampler is not None:
        own = row.sampler.model_dump(include={*SamplerSettings.model_fields})
        settings |= {key: 0.0 if value is None else value for key, value in own.items()}
        settings["iterations"] = plan.scale.models[row.model].marks[row.mark or mark]
    return settings


def _list_added(plan: Plan, line: Line) -> list[AddedRow]:
    """Return the rows of a line that a figure, this one or another, adds."""
    return [one for f in plan.figures.values() for row, one in f.rows.items() if row in line.rows]
