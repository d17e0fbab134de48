"""What the page of a table shows: `workflow.table_spec` writes it, `reports` draws it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from records.files import read_json
from specs.architecture import Positive
from specs.datasets import Name
from specs.metrics import Metric
from specs.strict import Spec, Strict, validated
from specs.tables import SETTING, Relation, Source, Statistic, TableHead, Topic


class PageTable(TableHead):
    """The head of the table; `after` is what follows a name at a mark: " after 9 iterations"."""

    name: Name
    after: dict[str, str]


class WantedFile(Strict):
    """A file, and the digest that it must have: one of other settings is not shown."""

    path: str
    digest: str


class WantedMetrics(WantedFile):
    """A metrics file; `samples` is the digest of the batch that it grades, None for real images."""

    samples: str | None = None


class SeedMetrics(Strict):
    """The metrics file of a cell with one training seed; `loss` is its model's, where measured."""

    seed: int
    metrics: WantedMetrics
    loss: WantedMetrics | None = None


class PageCell(Strict):
    """The files of a row at a mark; those of a row that is absent here are None.

    `metrics` is the file of the first training seed, whose samples are shown, `seeds` has those of
    all; `shared_with` names the row that the samples were drawn for, `others` the files of other
    sources, `run` by role the files of the jobs behind `metrics`; both may not be there.
    """

    metrics: WantedMetrics | None
    samples: WantedFile | None
    shared_with: str | None
    seeds: list[SeedMetrics]
    others: dict[Source, WantedMetrics]
    run: dict[str, str] = Field(default={})

    def list_metrics(self) -> list[WantedMetrics]:
        """Return the metrics files of its training seeds, whether they are there or not."""
        return [one.metrics for one in self.seeds]


class PageRow(Strict):
    """A row: published numbers by mark, its cells by mark, and why it has no number here.

    `trained` names the models that were trained for it: rows that share them move together.
    """

    id: Name
    label: str
    task: str
    task_words: str
    kind: Literal["model", "baseline"]
    trained: str
    settings: dict[str, SETTING]
    published: dict[str, dict[Metric, float | None]]
    notes: list[str]
    assumed: list[str]
    reason: str | None
    cells: dict[str, PageCell]
    recipe_words: dict[str, SETTING]


class CellAddress(Strict):
    """A row of the table at one of its marks."""

    row: str
    mark: str


class PageComparison(Strict):
    """Cells that a claim compares, as the table's own comparison does (`specs.tables`)."""

    metric: Metric
    left: CellAddress
    relation: Relation
    right: CellAddress
    factor: float
    margin: float
    towards: CellAddress | None
    statistic: Statistic
    trained_models_differ: bool

    @property
    def addresses(self) -> list[CellAddress]:
        """The cells: left, right and, where there is one, towards."""
        return [self.left, self.right, *([self.towards] if self.towards else [])]

    @model_validator(mode="after")
    def _check(self) -> "PageComparison":
        if self.relation == "nearer" and self.towards is None:
            raise ValueError("relation nearer without towards; name the cell to come near to")
        return self


class PageClaim(Strict):
    """A claim, what it is about, and the sources that can test it; None for all."""

    id: Name
    text: str
    where: str
    varies: list[Topic]
    sources: list[Source] | None
    comparisons: Annotated[list[PageComparison], Field(min_length=1)]


class PageDifference(Strict):
    """What is made otherwise here than in the paper."""

    what: str
    paper: str
    here: str


class Agreement(Strict):
    """How many reference images the paper compared precision and recall with."""

    reference_images: Positive


class Artefact(Strict):
    """A published file that was used; `manifest` may not be there yet."""

    url: str
    licence: str
    sha256: str | None
    used_for: list[str]
    manifest: str


class KnownMetrics(Strict):
    """The row of a batch whose metrics its authors printed in full."""

    row: str
    values: dict[Metric, float]


class GuidedRow(Strict):
    """A row whose samples a classifier guides."""

    task: str
    label: str


class PageClassifier(Strict):
    """A classifier that guides rows, and the file of its accuracy with the digest that it has."""

    name: str
    mark: str
    iteration: Positive
    task: str
    task_words: str
    accuracy: str
    digest: str
    rows: list[GuidedRow]


class PageLink(Strict):
    """The page of a table that the source has."""

    name: Name
    title: str


class PageSpec(Spec):
    """What the page of a table shows.

    `agreement` is None where numbers do not compare with the paper's, `known_evaluation` where the
    table has no such row; `ceilings` are the metrics of real images against real images, by task.
    """

    format: Literal[1]
    scale: str
    source: Source
    root: str
    table: PageTable
    scale_notes: list[str]
    differences: list[PageDifference]
    rows: Annotated[list[PageRow], Field(min_length=1)]
    agreement: Agreement | None
    artefacts: list[Artefact]
    known_evaluation: KnownMetrics | None
    ceilings: dict[str, WantedMetrics]
    claims: list[PageClaim]
    classifiers: list[PageClassifier]
    pages: list[PageLink]

    def list_metrics(self) -> list[WantedMetrics]:
        """Return its source's metrics files that the page reads, whether they are there or not."""
        cells = [cell for row in self.rows for cell in row.cells.values()]
        own = [one for cell in cells for one in cell.list_metrics()]
        files = {file.path: file for file in (*own, *self.ceilings.values())}
        return [files[path] for path in sorted(files)]

    @model_validator(mode="after")
    def _check(self) -> "PageSpec":
        """Demand that ids differ, and that all that is named is there."""
        ids, marks = [row.id for row in self.rows], self.table.marks
        if sorted(self.table.after) != sorted(marks):
            raise ValueError(f"table: after: got {list(self.table.after)}; needed: {marks}")
        for index, row in enumerate(self.rows):
            if row.id in ids[:index]:
                raise ValueError(f"rows: {index}: id: {row.id} is there twice; ids must differ")
            if lacking := [mark for mark in marks if mark not in row.cells]:
                raise ValueError(
                    f"rows: {index} ({row.id}): cells: got {list(row.cells)}; needed: {lacking} too"
                )
        for index, claim in enumerate(self.claims):
            for place, comparison in enumerate(claim.comparisons):
                where = f"claims: {index} ({claim.id}): comparisons: {place}"
                _check_choice(f"{where}: metric", comparison.metric, self.table.metrics)
                for address in comparison.addresses:
                    _check_choice(f"{where}: row", address.row, ids)
                    _check_choice(f"{where}: mark", address.mark, marks)
        if self.known_evaluation is not None:
            _check_choice("known_evaluation: row", self.known_evaluation.row, ids)
        return self


def _check_choice(where: str, value: str, choices: Sequence[str]) -> None:
    """Raise ValueError unless a value is one of a few."""
    if value not in choices:
        raise ValueError(f"{where}: got {value!r}; one of {', '.join(choices)} is needed")


def load_page(path: str | Path) -> PageSpec:
    """Read what the page of a table shows.

    Raises:
        UserError: missing, not JSON, or something in it is missing, of another type, or names what
            is not there.
    """
    return validated(PageSpec, read_json(path, "table specification"), str(path))
