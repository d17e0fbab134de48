"""The figures of the paper: rows of tables as points, and added rows (params/figures.yaml)."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from records.errors import UserError
from records.metrics import PAPER
from specs.architecture import Positive
from specs.datasets import Name
from specs.metrics import Metric
from specs.sampling import SamplerSettings
from specs.scale import Scale
from specs.strict import Strict, read_yaml, validated
from specs.tables import SETTINGS, Row, Table, change_sampler

ACROSS = tuple(dict.fromkeys((*SETTINGS, *SamplerSettings.model_fields)))


class AddedRow(Strict):
    """A row that no table has: `like` one that a table has, with some settings of its sampler."""

    like: str
    sampler: Annotated[dict[str, Any], Field(min_length=1)]


class Line(Strict):
    """Points that are joined: rows of tables, or of the figure, at marks of their table.

    Without `marks` a row is shown at the last mark of its table.
    """

    label: str
    rows: Annotated[list[str], Field(min_length=1)]
    marks: list[Name] | None = None


class Panel(Strict):
    """A metric against a setting of the rows, or against another metric; `log`: of which sides."""

    across: str
    up: Metric
    log: list[Literal["across", "up"]] = Field(default_factory=list)

    @model_validator(mode="after")
    def _check(self) -> "Panel":
        known = [*ACROSS, *PAPER]
        if self.across not in known:
            close = difflib.get_close_matches(self.across, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"one of {', '.join(known)}"
            raise ValueError(f"across: got {self.across!r}; needed: a setting or a metric; {hint}")
        return self


class FigureHead(Strict):
    """What a figure is called; `arxiv_v4` is the paper's number, null for what it has none for.

    It shows numbers in `panels`, or the first `num_images` samples of each row, or these beside as
    many real images as `num_neighbours` says, the nearest ones, or `num_images` pairs of real
    images with what DDIM draws between them, in `num_steps` steps, or what the model takes the
    first samples to be while it draws them, at `num_steps` places on the way.
    """

    arxiv_v4: Positive | None
    title: str
    about: str
    shows: Literal["numbers", "samples", "nearest", "between", "denoising"]
    panels: list[Panel]
    num_images: Positive | None
    num_neighbours: Positive | None = None
    num_steps: Annotated[int, Field(ge=2)] | None = None

    @model_validator(mode="after")
    def _check(self) -> "FigureHead":
        if (self.shows == "numbers") != bool(self.panels):
            raise ValueError(f"panels: got {len(self.panels)}; numbers need some, images none")
        if (self.shows == "numbers") == (self.num_images is not None):
            raise ValueError(
                f"num_images: got {self.num_images}; images need a number, numbers null"
            )
        needed = {"num_neighbours": ("nearest",), "num_steps": ("between", "denoising")}
        for key, kinds in needed.items():
            if (self.shows in kinds) != ((count := getattr(self, key)) is not None):
                raise ValueError(
                    f"{key}: got {count}; a figure that shows {' or '.join(kinds)} needs a number, "
                    "others have none"
                )
        return self


class Figure(FigureHead):
    """One figure of the paper; `scales` names those that have it, null means every one."""

    scales: list[str] | None
    rows: dict[Name, AddedRow]
    lines: Annotated[list[Line], Field(min_length=1)]


def load_figures_at(
    path: str | Path, scale: Scale, tables: Mapping[str, Table]
) -> dict[str, Figure]:
    """Read the figures that a scale has.

    Args:
        path: params/figures.yaml, or another.
        scale: the scale.
        tables: those that it computes.

    Raises:
        UserError: an unknown key, wrong type, an id used twice, a row or a mark that is not there,
            a metric that a table lacks.
    """
    content = validated(dict[Name, Any], read_yaml(path), str(path))
    figures = {name: validated(Figure, one, f"{path}: {name}") for name, one in content.items()}
    figures = {
        name: figure
        for name, figure in figures.items()
        if figure.scales is None or scale.name in figure.scales
    }
    homes = {row_id: name for name, table in tables.items() for row_id in table.rows}
    for name, figure in figures.items():
        for row_id, added in figure.rows.items():
            where = f"{path}: {name}: rows: {row_id}"
            if row_id in homes:
                raise UserError(
                    f"{where}: this id is already in {homes[row_id]}; ids are unique among tables "
                    "and figures"
                )
            home = _find_home(f"{where}: like", added.like, homes)
            if added.like not in tables[home].rows:
                raise UserError(f"{where}: like: {added.like!r} is of a figure; name a table's row")
            homes[row_id] = home
    for name, figure in figures.items():
        for place, line in enumerate(figure.lines):
            where = f"{path}: {name}: lines: {place} ({line.label})"
            for row_id in line.rows:
                table = _find_home(f"{where}: rows", row_id, homes)
                _check_point(where, figure, line, row_id, table, tables[table])
    return figures


def _find_home(where: str, row_id: str, homes: Mapping[str, str]) -> str:
    """Return the table of a row; a row that a figure added belongs to the table of its like."""
    if row_id not in homes:
        close = difflib.get_close_matches(row_id, homes, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise UserError(
            f"{where}: got {row_id!r}; needed: a row of a table of this scale, or of a figure{hint}"
        )
    return homes[row_id]


def make_added_row(added: AddedRow, like: Row, where: str) -> Row:
    """Return the row that is drawn like another one but for some settings of its sampler.

    Raises:
        UserError: an unknown setting, or one that the row cannot have.
    """
    row = change_sampler(like, added.sampler, f"{where}: like {added.like}: sampler")
    label = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in added.sampler.items())
    return row.model_copy(update={"label": label, "published": {}})


def _check_point(
    where: str, figure: Figure, line: Line, row_id: str, name: str, table: Table
) -> None:
    """Check that a row has the marks of a line and the metrics of a figure."""
    for mark in line.marks or []:
        if mark not in table.marks:
            raise UserError(f"{where}: marks: got {mark!r}; {row_id} of {name} has {table.marks}")
    for panel in figure.panels:
        for metric in {panel.up, panel.across} - set(ACROSS):
            if metric not in table.metrics:
                raise UserError(
                    f"{where}: {row_id}: {name} has {table.metrics}; the figure needs {metric!r}"
                )
