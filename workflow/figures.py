"""The figures of a plan: the rows that they add to tables, what their page reads and shows."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from records.files import digest
from specs.figure_page import FigureLine, FigurePage, FigurePoint, PageFigure
from specs.figures import ACROSS, AddedRow, Figure, Line
from specs.page import WantedFile
from specs.row_facts import describe_row
from specs.sampling import DenoisingSpec, SamplerSettings
from specs.scale import Scale
from specs.strict import validated
from specs.tables import SETTING, Row, Table
from workflow.differences import load_paper
from workflow.plan import FIGURES, Plan
from workflow.table_spec import (
    list_samples,
    make_page_row,
    make_table_spec,
    seed_variants,
)

NEAREST_RECIPE = BETWEEN_RECIPE = DENOISING_RECIPE = 1


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
    return {
        "metrics": [plan.layout.metrics(one) for one in samples],
        "samples": [
            plan.layout.samples(plan.samples[one]).file for one in list_batches(plan, "samples")
        ],
        "nearest": [plan.layout.nearest(one) for one in list_batches(plan, "nearest")],
        "between": [plan.layout.between(one) for one in list_batches(plan, "between")],
        "denoising": [plan.layout.denoising(one).file for one in list_batches(plan, "denoising")],
    }


def list_tables(plan: Plan) -> list[str]:
    """Return the tables whose rows are points of figures, in their order."""
    cells = [one for figure in plan.figures.values() for one in _list_cells(plan, figure.lines)]
    return [name for name in plan.tables if name in {cell.table for cell in cells}]


def list_batches(plan: Plan, shows: str) -> dict[str, Figure]:
    """Return the batches whose images figures of a kind show, with the first such figure.

    What lies between real images takes those, which retraining alone needs; what a model takes
    samples to be takes the model.
    """
    found: dict[str, Figure] = {}
    if (shows == "between" and plan.source != "retrain") or (
        shows == "denoising" and plan.source == "rescore"
    ):
        return found
    for figure in plan.figures.values():
        for cell in _list_cells(plan, figure.lines) if figure.shows == shows else ():
            if (sample := _find_batch(plan, cell)) is not None:
                found.setdefault(sample, figure)
    return found


def make_nearest_spec(plan: Plan, sample: str) -> dict[str, Any]:
    """Return what the nearest real images of a batch depend on."""
    figure = list_batches(plan, "nearest")[sample]
    return {
        "recipe": NEAREST_RECIPE,
        "reference": plan.reference_spec(plan.samples[sample].task),
        "samples": plan.samples[sample].digest,
        "num_images": figure.num_images,
        "num_neighbours": figure.num_neighbours,
    }


def make_between_spec(plan: Plan, sample: str) -> dict[str, Any]:
    """Return what the images depend on that a batch's model draws between real ones."""
    figure, drawn = list_batches(plan, "between")[sample], plan.drawn(sample)
    return {
        "recipe": BETWEEN_RECIPE,
        "model": drawn.model.content(),
        "dataset": plan.datasets[plan.training_data(drawn.model.name)].content(),
        "respacing": drawn.sampler.respacing,
        "num_images": 2 * (figure.num_images or 0),
        "num_steps": figure.num_steps,
    }


def make_denoising_spec(plan: Plan, sample: str) -> DenoisingSpec:
    """Return what the images depend on that a batch's model takes its samples to be."""
    figure = list_batches(plan, "denoising")[sample]
    assert figure.num_images is not None and figure.num_steps is not None  # checked when read
    return DenoisingSpec(
        recipe=DENOISING_RECIPE,
        name=sample,
        batch=plan.drawn(sample),
        num_images=figure.num_images,
        num_steps=figure.num_steps,
    )


class Cell(NamedTuple):
    """A row at a mark."""

    table: str
    row: str
    mark: str


def _list_cells(plan: Plan, lines: Iterable[Line]) -> list[Cell]:
    """Return the cells that are the points of some lines."""
    homes = {row: name for name in plan.tables for row in extend_table(plan, name).rows}
    return [
        Cell(homes[row], row, mark)
        for line in lines
        for row in line.rows
        for mark in line.marks or plan.tables[homes[row]].marks[-1:]
    ]


def _find_batch(plan: Plan, cell: Cell) -> str | None:
    """Return the batch of a cell's first training seed; None where the source has none."""
    table = extend_table(plan, cell.table)
    return next(iter(seed_variants(plan, table, cell.row, cell.mark).values()), None)


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
    for cell in _list_cells(plan, [line]):
        row = extend_table(plan, cell.table).rows[cell.row]
        settings, paper = _describe(plan.scale, row, cell.mark), _describe_paper(plan, cell)
        point: dict[str, Any] = {
            **cell._asdict(),
            "settings": {key: settings[key] for key in sorted(keys)},
            "paper_settings": {
                key: paper[key] for key in sorted(keys) if paper and paper[key] != settings[key]
            },
        }
        sample = _find_batch(plan, cell)
        want = PICTURES.get(figure.shows)
        if want and sample is not None and sample in list_batches(plan, figure.shows):
            point["pictures"] = want(plan, sample)
        points.append(FigurePoint(**point))
    return points


def _want_nearest(plan: Plan, sample: str) -> WantedFile:
    made_of = digest(make_nearest_spec(plan, sample))
    return WantedFile(path=plan.layout.nearest(sample), digest=made_of)


def _want_between(plan: Plan, sample: str) -> WantedFile:
    made_of = digest(make_between_spec(plan, sample))
    return WantedFile(path=plan.layout.between(sample), digest=made_of)


def _want_denoising(plan: Plan, sample: str) -> WantedFile:
    made_of = make_denoising_spec(plan, sample).digest
    return WantedFile(path=plan.layout.denoising(sample).file, digest=made_of)


PICTURES = {"nearest": _want_nearest, "between": _want_between, "denoising": _want_denoising}


def _describe_paper(plan: Plan, cell: Cell) -> dict[str, Any]:
    """Return the settings of the paper's own row; none where it has no such row."""
    scale, tables = load_paper(plan) or (None, {})
    row = tables[cell.table].rows.get(cell.row) if cell.table in tables else None
    return {} if scale is None or row is None else _describe(scale, row, cell.mark)


def _describe(scale: Scale, row: Row, mark: str) -> dict[str, Any]:
    """Return the settings of a row at a mark; a sampler that lacks one has 0 of it."""
    settings: dict[str, SETTING] = dict(describe_row(scale, row))
    if row.model is not None and row.sampler is not None:
        own = row.sampler.model_dump(include={*SamplerSettings.model_fields})
        settings |= {key: 0.0 if value is None else value for key, value in own.items()}
        settings["iterations"] = scale.models[row.model].marks[row.mark or mark]
    return settings


def _list_added(plan: Plan, line: Line) -> list[AddedRow]:
    """Return the rows of a line that a figure, this one or another, adds."""
    return [one for f in plan.figures.values() for row, one in f.rows.items() if row in line.rows]
