"""The tables of the paper: rows, samplers, published numbers and claims (params/tables.yaml)."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from records.errors import UserError
from records.metrics import METRICS
from specs.architecture import Positive
from specs.datasets import Name
from specs.metrics import Metric
from specs.overrides import load_overrides
from specs.sampling import RowSampler
from specs.scale import Classifier, Scale, Upsampler, unknown
from specs.schedule import space_timesteps
from specs.strict import Strict, read_yaml, validated

SETTING = bool | int | float | str | list[int] | None
Source = Literal["rescore", "resample", "retrain"]
Relation = Literal["greater", "less", "nearer"]
Statistic = Literal["ratio", "difference"]  # of what a claim compares
Topic = Literal["model", "guidance", "steps", "base"]  # what claims are about
# What a table can show of how a row's samples are made (`specs.row_facts`).
SETTINGS = (
    "channels", "depth", "heads", "head_channels", "attention_resolutions", "biggan_updown",
    "rescale_residual", "operation", "conditional", "guidance", "guidance_scale", "steps",
    "section_steps", "iterations",
)  # fmt: skip


class Base(Strict):
    """The low-resolution half of a two-resolution stack; `mark`: of its model, or the last."""

    task: str
    model: str
    sampler: RowSampler
    mark: str | None = None


class Row(Strict):
    """One line of one table; `mark`, of its model, where it is another one than the table's."""

    label: str
    task: str
    model: str | None
    mark: str | None = None
    sampler: RowSampler | None
    base: Base | None
    published: dict[str, dict[Metric, float | None]]
    released: bool
    notes: list[Literal["own", "quoted", "stack", "rejection"]]
    assumed: list[str]

    @model_validator(mode="after")
    def _check(self) -> "Row":
        if (self.model is None) != (self.sampler is None):
            raise ValueError("a row has both a model and a sampler, or neither (a baseline)")
        if self.base is not None and self.model is None:
            raise ValueError("base: a baseline has none; write null")
        return self

    @property
    def halves(self) -> "list[Row | Base]":
        """Return what draws the row's samples: its base where it has one, then itself."""
        if self.model is None:
            return []
        return [self] if self.base is None else [self.base, self]


class Comparison(Strict):
    """Two cells and how the paper says they relate.

    greater: left > factor * right - margin; less: left < factor * right + margin;
    nearer: |left - towards| < factor * |right - towards|.

    `statistic` is what is compared; it is the metric's own unless it is given.
    """

    metric: Metric
    left: str
    relation: Relation
    right: str
    factor: Annotated[float, Field(gt=0)]
    margin: Annotated[float, Field(ge=0)]
    towards: str | None
    mark: str
    statistic: Statistic | None = None

    @model_validator(mode="after")
    def _check(self) -> "Comparison":
        if (self.relation == "nearer") != (self.towards is not None):
            raise ValueError(
                f"towards: {self.towards!r} with relation {self.relation!r}; `nearer` needs it, "
                "the others have null"
            )
        return self

    @property
    def compared(self) -> Statistic:
        """What is compared: shares and distances by their difference, all else by its ratio."""
        plain = self.relation == "nearer" or self.margin != 0
        return self.statistic or ("difference" if plain else METRICS[self.metric].statistic)


class Claim(Strict):
    """A sentence of the paper that a table supports, as comparisons that must all hold.

    `varies` says what it is about; in anything else its cells must have been made alike.
    """

    text: str
    where: str
    varies: Annotated[list[Topic], Field(min_length=1)]
    sources: list[Source] | None
    comparisons: Annotated[list[Comparison], Field(min_length=1)]


class TableHead(Strict):
    """The names of a table, and its columns: settings, and metrics at each mark."""

    neurips: Positive | None
    arxiv_v4: Positive
    alias: Name
    title: str
    about: str
    layout: Literal["deltas", "plain", "by_task"]
    settings: list[str]
    metrics: Annotated[list[Metric], Field(min_length=1)]
    marks: Annotated[list[Name], Field(min_length=1)]


class Table(TableHead):
    """One table of the paper; `scales` names those that compute it, null means every one."""

    scales: list[str] | None
    rows: dict[Name, Row]
    claims: dict[Name, Claim]

    @model_validator(mode="after")
    def _check(self) -> "Table":
        for one in self.settings:
            if one not in SETTINGS:
                raise ValueError(f"settings: got {one!r}; one of {', '.join(SETTINGS)} is needed")
        for row_id, row in self.rows.items():
            for place, got, needed in (
                ("published", list(row.published), self.marks),
                *((f"published: {mark}", list(row.published[mark]), self.metrics)
                  for mark in row.published),
            ):  # fmt: skip
                if got != needed:
                    raise ValueError(
                        f"rows: {row_id}: {place}: got {got}; the table has {needed}, in this order"
                    )
        for claim_id, claim in self.claims.items():
            for index, comparison in enumerate(claim.comparisons):
                self._check_comparison(f"claims: {claim_id}: comparisons: {index}", comparison)
        return self

    def _check_comparison(self, where: str, comparison: Comparison) -> None:
        """Check that a comparison speaks of cells that the table has."""
        for side in ("left", "right", "towards"):
            row_id = getattr(comparison, side)
            if row_id is not None and row_id not in self.rows:
                close = difflib.get_close_matches(row_id, self.rows, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"rows: {', '.join(self.rows)}"
                raise ValueError(f"{where}: {side}: no row {row_id!r} in this table; {hint}")
        for key, got, known in (
            ("mark", comparison.mark, self.marks),
            ("metric", comparison.metric, self.metrics),
        ):
            if got not in known:
                raise ValueError(f"{where}: {key}: got {got!r}; the table has {known}")


def load_tables(path: str | Path) -> dict[str, Table]:
    """Read params/tables.yaml: the tables by name, rows keyed by id in table order.

    Raises:
        UserError: an unknown key, wrong type, an id used twice, cells
            that contradict the table's head, a claim about a row that is not there.
    """
    content = validated(dict[Name, Any], read_yaml(path), str(path))
    tables = {name: validated(Table, table, f"{path}: {name}") for name, table in content.items()}
    owner: dict[str, str] = {}
    for name, table in tables.items():
        for row_id in table.rows:
            if row_id in owner:
                raise UserError(
                    f"{path}: {name}: rows: {row_id}: this id is already in {owner[row_id]}; "
                    "ids are unique"
                )
            owner[row_id] = name
    return tables


def load_tables_at(
    path: str | Path, scale: Scale, overrides: str | Path | None = None
) -> dict[str, Table]:
    """Read the tables that a scale computes, with tasks, models and steps by the scale's own names.

    Args:
        path: params/tables.yaml, or another.
        scale: the scale.
        overrides: params/run.yaml, or another file that says which samplers are set otherwise.

    Raises:
        UserError: see `load_tables`; or the scale cannot make a row: unknown task or model, a model
            of the wrong kind, a mark that its training does not have, an impossible respacing, a
            stack whose halves do not fit; or an override of a row that is not there, or that the
            row cannot have.
    """
    tables = {
        name: table.model_copy(
            update={"rows": {row_id: rename_half(row, scale) for row_id, row in table.rows.items()}}
        )
        for name, table in load_tables(path).items()
        if table.scales is None or scale.name in table.scales
    }
    for row_id, changes in load_overrides(overrides).items() if overrides else ():
        where = f"{overrides}: overrides: {row_id}"
        rows = next((one.rows for one in tables.values() if row_id in one.rows), None)
        if rows is None:
            known = [one for table in tables.values() for one in table.rows]
            raise unknown(where, f"row at scale {scale.name}", row_id, known)
        rows[row_id] = change_sampler(rows[row_id], changes, where)
    for name, table in tables.items():
        ungraded = [one for one in table.metrics if one not in scale.evaluation.metrics]
        if ungraded:
            raise UserError(
                f"{path}: {name}: metrics: {ungraded} are not among evaluation: metrics of scale "
                f"{scale.name}, {scale.evaluation.metrics}; add them there"
            )
        for row_id, row in table.rows.items():
            _check_row(f"{path}: {name}: rows: {row_id}", table, row, scale)
    return tables


def change_sampler(row: Row, changes: Mapping[str, Any], where: str) -> Row:
    """Return a row with some settings of its sampler changed; nothing was published of it.

    Raises:
        UserError: a baseline, an unknown setting, or one that the row cannot have.
    """
    if row.sampler is None:
        raise UserError(f"{where}: a baseline, which draws no samples here; name another row")
    sampler = validated(RowSampler, {**row.sampler.content(), **changes}, where)
    return row.model_copy(update={"sampler": sampler, "released": False})


def rename_half(half: Any, scale: Scale) -> Any:
    """Return a row or a base with the scale's own names of tasks, models and steps."""
    tasks, models = scale.same_as.tasks, scale.same_as.models
    sampler = half.sampler and half.sampler.model_copy(
        update={
            "classifier": models.get(str(half.sampler.classifier), half.sampler.classifier),
            "respacing": scale.sampling.respacing.get(
                half.sampler.respacing, half.sampler.respacing
            ),
        }
    )
    renamed = {
        "task": tasks.get(half.task, half.task),
        "model": models.get(str(half.model), half.model),
        "sampler": sampler,
    }
    if isinstance(half, Row) and half.base is not None:
        renamed["base"] = rename_half(half.base, scale)
    return half.model_copy(update=renamed)


def _check_row(where: str, table: Table, row: Row, scale: Scale) -> None:
    """Check that a scale can make a row."""
    for half in row.halves or [row]:
        place = where if half is row else f"{where}: base"
        if half.task not in scale.tasks:
            raise unknown(f"{place}: task", "task", half.task, scale.tasks)
        if half.model is not None:
            _check_half(place, scale, half)
    if row.model is None:
        return
    model = scale.models[row.model]
    for mark in [row.mark] if row.mark else table.marks:
        _check_mark(where, scale, row.model, mark)
    if isinstance(model, Upsampler) != (row.base is not None):
        raise UserError(
            f"{where}: model {row.model} is of kind {model.kind} with the base "
            f"{row.base and row.base.model}; an upsampler needs a base, other models have none"
        )
    if row.base is None or not isinstance(model, Upsampler):
        return
    small, got = scale.tasks[model.low_res_task], scale.tasks[row.base.task]
    needed = scale.tasks[row.task].num_samples
    if small.image_size_px != got.image_size_px or got.num_samples < needed:
        raise UserError(
            f"{where}: base {row.base.task}: {got.image_size_px} px and {got.num_samples} samples; "
            f"{row.model} enlarges {small.image_size_px} px and the row needs {needed} samples"
        )
    if model.class_conditional and got.num_classes != scale.tasks[row.task].num_classes:
        raise UserError(
            f"{where}: base {row.base.task}: {got.num_classes} classes, {row.task} "
            f"{scale.tasks[row.task].num_classes}; the base's labels go into {row.model}, so both "
            "need the same classes"
        )


def _check_mark(where: str, scale: Scale, name: str, mark: str | None) -> None:
    """Check that a model of the scale has a mark."""
    marks = scale.models[name].marks
    if mark is not None and mark not in marks:
        raise UserError(
            f"{where}: model {name} has marks {list(marks)}; the table needs {mark!r}: add it "
            f"under models: {name}: marks of scale {scale.name}"
        )


def _check_half(where: str, scale: Scale, half: Row | Base) -> None:
    """Check the model, classifier and sampler of a row or of the base of a stack."""
    assert half.model is not None and half.sampler is not None
    if half.model not in scale.models:
        raise unknown(f"{where}: model", f"model at scale {scale.name}", half.model, scale.models)
    model = scale.models[half.model]
    if isinstance(model, Classifier):
        raise UserError(f"{where}: model: {half.model} is a classifier; it does not draw images")
    task, own = scale.tasks[half.task], scale.tasks[model.task]
    for key in ("image_size_px", "image_channels", "num_classes"):
        matters = key != "num_classes" or model.class_conditional
        if matters and getattr(task, key) != getattr(own, key):
            raise UserError(
                f"{where}: task {half.task} has {key} {getattr(task, key)}; {half.model} is "
                f"trained on {model.task} with {getattr(own, key)}: take a model of that task"
            )
    _check_mark(where, scale, half.model, half.mark)
    _check_classifier(where, scale, half, half.sampler)
    try:
        space_timesteps(model.training.num_timesteps, half.sampler.respacing)
    except ValueError as error:
        raise UserError(f"{where}: sampler: respacing: {error}") from None


def _check_classifier(where: str, scale: Scale, half: Row | Base, sampler: RowSampler) -> None:
    """Check that a guided sampler's classifier sees the same images and noise as its model."""
    if sampler.classifier is None:
        return
    where = f"{where}: sampler: classifier"
    if sampler.classifier not in scale.models:
        raise unknown(where, f"model at scale {scale.name}", sampler.classifier, scale.models)
    _check_mark(where, scale, sampler.classifier, sampler.classifier_mark)
    classifier, model = scale.models[sampler.classifier], scale.models[str(half.model)]
    if not isinstance(classifier, Classifier):
        raise UserError(
            f"{where}: {sampler.classifier} is of kind {classifier.kind}; give a classifier"
        )
    seen = [
        f"{scale.tasks[one.task].image_size_px} px, {scale.tasks[one.task].image_channels} channels"
        f" and {one.training.schedule} noise of {one.training.num_timesteps} timesteps"
        for one in (classifier, model)
    ]
    if seen[0] != seen[1]:
        raise UserError(
            f"{where}: {sampler.classifier} sees {seen[0]}, {half.model} {seen[1]}; both must agree"
        )
    classes = [scale.tasks[task].num_classes for task in (classifier.task, half.task)]
    if classes[0] != classes[1]:
        raise UserError(
            f"{where}: {sampler.classifier} tells {classes[0]} classes apart, task {half.task} has "
            f"{classes[1]}; take a classifier of the same classes"
        )
