"""What pages of models and sample sets show: `workflow.run_pages` writes it, `reports` draws it.

A page is of a model, or of a cell of a table, with all of its training seeds.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from records.files import read_json
from specs.datasets import Name
from specs.models import AnyModelSpec
from specs.page import PageClassifier, PageLink, WantedFile, WantedMetrics
from specs.strict import Spec, Strict, validated
from specs.tables import SETTING, Source

SAMPLES, MODELS = "samples", "models"  # folders beside the pages of tables, and keys of RunPages


class ShownCell(Strict):
    """A row at a mark as readers know it: on which page, and what it is called there.

    `role` is empty, or what the samples or the model are to it: "base", "classifier".
    """

    page: Name
    number: str
    row: str
    mark: str
    label: str
    role: str


class PageBatch(Strict):
    """A batch of samples that was drawn with one training seed; `run` names files by role."""

    name: Name
    seed: int
    metrics: WantedMetrics
    samples: WantedFile
    run: dict[str, str]
    forecast_seconds: float | None


class UsedModel(Strict):
    """A model that drew samples, and at which mark."""

    role: str
    name: Name
    mark: str
    iteration: int


class PageSamples(Strict):
    """A sample set: its batches by training seed, the first one giving the name."""

    name: Name
    task: str
    task_words: str
    settings: dict[str, SETTING]
    num_samples: int
    batches: list[PageBatch]
    models: list[UsedModel]
    base: Name | None
    cells: list[ShownCell]


class PageMark(Strict):
    """The weights of a model at a mark, its loss and accuracy where they are measured."""

    mark: str
    iteration: int
    weights: WantedFile
    run: dict[str, str]
    loss: WantedMetrics | None
    accuracy: PageClassifier | None
    forecast_seconds: float | None


class TrainedModel(Strict):
    """A model that was trained with one seed; None where its authors published the weights."""

    name: Name
    seed: int | None
    digest: str
    marks: list[PageMark]
    events: str | None


class PageModel(Strict):
    """A model with all of its training seeds, and the sample sets that it drew or guided."""

    name: Name
    task: str
    task_words: str
    spec: AnyModelSpec
    trained: list[TrainedModel]
    samples: dict[Name, list[ShownCell]]


class RunPages(Spec):
    """The pages of the models and sample sets behind one table, or behind the figures."""

    format: Literal[1]
    scale: str
    source: Source
    root: str
    pages: list[PageLink]
    samples: list[PageSamples] = Field(default=[])
    models: list[PageModel] = Field(default=[])


def name_run_page(folder: str, name: str) -> str:
    """Return the address of a model's or sample set's page, as the tables beside it link to it."""
    return f"{folder}/{name}.html"


def list_run_pages(runs: Mapping[str, Any]) -> list[str]:
    """Return the addresses of the pages that are written with one table; `runs` is as stored."""
    return [
        name_run_page(key, one["name"]) for key in (SAMPLES, MODELS) for one in runs.get(key, ())
    ]


def load_run_pages(path: str | Path) -> RunPages:
    """Read what the pages of models and sample sets show.

    Raises:
        UserError: missing, not JSON, or something in it is missing or of another type.
    """
    return validated(RunPages, read_json(path, "specification of runs"), str(path))
