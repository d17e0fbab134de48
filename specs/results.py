"""Files of results as typed values: metrics, losses, accuracies, published files, tables and costs.

Keys that nobody here reads are left aside, or kept where all that a file says is shown.
"""

import math
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, model_validator

from records.errors import UserError
from records.files import read_json
from records.metrics import METRICS
from specs.architecture import Positive
from specs.page import PageTable
from specs.strict import Strict, validated

Count = Annotated[int, Field(ge=0)]
Cost = int | float | str | None


def _check_order(interval: tuple[float, float]) -> tuple[float, float]:
    if interval[0] > interval[1]:
        raise ValueError(f"got {list(interval)}; [low, high] is needed")
    return interval


Interval = Annotated[tuple[float, float], Field(strict=False), AfterValidator(_check_order)]


class Measured(Strict, extra="ignore"):
    """A metric: its value, standard error of sampling and 95 % interval, None where not known."""

    value: float
    std_error: Annotated[float, Field(ge=0)] | None = None
    interval: Interval | None = None


class Counts(Strict, extra="allow"):
    """How many images there were; `reference` is None where a published file does not say."""

    samples: Positive
    reference: Positive | None
    reference_precision_recall: Positive


class Protocol(Strict, extra="allow"):
    """How numbers were made; what a file lacks is not recorded.

    `distances` are those of precision and recall, "float16" as the authors take them, or "exact".
    """

    samples: dict[str, Any] | None = None
    reference: dict[str, Any] | None = None
    network: dict[str, Any] | None = None
    distances: str | None = None


class MetricsFile(Strict, extra="ignore"):
    """What samples score against a reference (`eval.result`)."""

    format: Literal[1]
    name: str
    digest: str | None = None
    metrics: dict[str, Measured]
    counts: Counts
    protocol: Protocol

    @model_validator(mode="after")
    def _check(self) -> "MetricsFile":
        """Demand values that the metrics can have."""
        for name, found in self.metrics.items():
            low, high = METRICS[name].limits if name in METRICS else (-math.inf, math.inf)
            if not low <= found.value <= high:
                needed = f"at least {low:g}" if high == math.inf else f"{low:g} to {high:g}"
                raise ValueError(f"metrics: {name}: value: got {found.value:g}; needed: {needed}")
        return self


class LossCounts(Counts):
    """How many images a loss was measured on, each at how many timesteps; it has no reference."""

    reference_precision_recall: Positive | None
    timesteps: Positive


class LossFile(MetricsFile):
    """The loss of a denoiser on held-out images (`python -m adm loss`)."""

    counts: LossCounts


class AccuracyRange(Strict, extra="ignore"):
    """How many images a classifier read right at timesteps from first to last."""

    first: Count
    last: Count
    num_correct: Count


class AccuracyFile(Strict, extra="ignore"):
    """How well a classifier reads noised images (`python -m adm accuracy`)."""

    format: Literal[1]
    digest: str | None = None
    num_images: Positive
    num_classes: Positive
    num_timesteps: Positive
    trained_on_these_images: bool
    ranges: Annotated[list[AccuracyRange], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> "AccuracyFile":
        for index, one in enumerate(self.ranges):
            known = one.first <= one.last < self.num_timesteps
            if not known or one.num_correct > self.num_images:
                raise ValueError(
                    f"ranges: {index}: got {one.content()}; first <= last < {self.num_timesteps} "
                    f"and num_correct of 0 to {self.num_images} are needed"
                )
        return self


class PublishedManifest(Strict, extra="ignore"):
    """Where a published file that is stored here is from (`workflow.fetching`)."""

    licence: str
    sha256: str
    num_bytes: Positive
    retrieved: str


class JudgedClaim(Strict, extra="allow"):
    """A claim of an evaluated table; `deciding` is the place of the comparison that decides it."""

    id: str
    text: str
    where: str
    verdict: str
    deciding: int
    comparisons: list[dict[str, Any]]


class EvaluatedTable(PageTable, extra="allow"):
    """A table with its numbers and verdicts (`reports.tables`), as the first page shows it."""

    format: Literal[1]
    scale: str
    source: str
    scale_notes: list[str]
    claims: list[JudgedClaim]
    num_measured: int
    num_rows: int
    flags: list[str]
    protocol_summary: list[list[str]]
    command: str


class NamedCosts(Strict, extra="allow"):
    """What a model or a row cost, by what is counted."""

    __pydantic_extra__: dict[str, Cost]
    name: str


class AllCosts(Strict, extra="allow"):
    """What everything cost (`workflow.costs`); other keys are sums."""

    __pydantic_extra__: dict[str, Cost]
    models: list[NamedCosts] = Field(default=[])
    rows: list[NamedCosts] = Field(default=[])
    stages: dict[str, dict[str, Cost]] = Field(default={})


Kind = TypeVar("Kind", bound=Strict)


def read_result(kind: type[Kind], path: str | Path, what: str, *, again: str) -> Kind:
    """Read a file that a program wrote; one fault is enough to tell that it must be made again.

    Args:
        kind: the class of its content.
        path: the file.
        what: what the file should be, for messages, after "not a".
        again: how a broken one is made again, for messages.

    Raises:
        UserError: missing, not JSON, or something in it is missing or of another type.
    """
    content = read_json(path, what)
    try:
        return validated(kind, content, f"{path}: not a {what}")
    except UserError as error:
        fault = str(error).splitlines()[0].removesuffix("; write this key")
        raise UserError(f"{fault}; {again}") from None


def read_metrics(path: str | Path) -> MetricsFile:
    """Read a metrics file; raises what `read_result` raises."""
    again = "delete it and run the evaluation again"
    return read_result(MetricsFile, path, "metrics file", again=again)


def read_loss(path: str | Path) -> LossFile:
    """Read a loss file; raises what `read_result` raises."""
    again = "delete it and run the workflow again"
    return read_result(LossFile, path, "loss file", again=again)


def read_accuracy(path: str | Path) -> AccuracyFile:
    """Read an accuracy file; raises what `read_result` raises."""
    again = "delete it and run the workflow again"
    return read_result(AccuracyFile, path, "file of accuracies", again=again)
