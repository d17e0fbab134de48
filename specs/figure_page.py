"""What the page of figures shows: `workflow.figures` writes it, `reports` draws it."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from records.files import read_json
from specs.datasets import Name
from specs.figures import FigureHead
from specs.page import PageRow, PageSpec, WantedFile
from specs.strict import Spec, Strict, validated
from specs.tables import Source


class FigurePoint(Strict):
    """A row at a mark, where each of the settings across has a value.

    `paper_settings` are those of the paper's own row where they differ, `pictures` is the file of
    what is shown of it besides its samples.
    """

    table: Name
    row: Name
    mark: str
    settings: dict[str, bool | int | float | str | list[int] | None]
    paper_settings: dict[str, bool | int | float | str | list[int] | None] = Field(default={})
    pictures: WantedFile | None = None


class FigureLine(Strict):
    """Points that are joined."""

    label: str
    points: Annotated[list[FigurePoint], Field(min_length=1)]


class PageFigure(FigureHead):
    """A figure: its name, and its lines."""

    name: Name
    lines: Annotated[list[FigureLine], Field(min_length=1)]


class FigurePage(Spec):
    """What the page of figures shows.

    `tables` are the pages of the tables whose rows are points, `rows` those that figures add to
    them: their models are the tables' own, and so is what is known of the spread between seeds.
    """

    format: Literal[1]
    scale: str
    source: Source
    root: str
    scale_notes: list[str]
    tables: dict[Name, PageSpec]
    rows: dict[Name, list[PageRow]]
    figures: Annotated[list[PageFigure], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> "FigurePage":
        """Demand that every point is a row that is there, at a mark of its table."""
        for figure in self.figures:
            for point in [one for line in figure.lines for one in line.points]:
                where = f"figures: {figure.name}: {point.row}"
                if point.table not in self.tables:
                    raise ValueError(f"{where}: table: {point.table!r} is not among tables")
                if point.row not in {row.id for row in self.list_rows(point.table)}:
                    raise ValueError(f"{where}: row: neither in {point.table} nor among rows")
                if point.mark not in self.tables[point.table].table.marks:
                    raise ValueError(f"{where}: mark: {point.table} has no {point.mark!r}")
        return self

    def list_rows(self, table: str) -> list[PageRow]:
        """Return the rows of a table, and those that figures add to it."""
        return [*self.tables[table].rows, *self.rows.get(table, [])]


def load_figure_page(path: str | Path) -> FigurePage:
    """Read what the page of figures shows.

    Raises:
        UserError: missing, not JSON, or something in it is missing, of another type, or names what
            is not there.
    """
    return validated(FigurePage, read_json(path, "specification of figures"), str(path))
