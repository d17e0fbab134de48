"""Read params/*.yaml into typed, checked values; imports no torch, since every job parses it.

A key of the YAML is a field here and a keyword argument of the function that uses it, spelled
the same three times.
"""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from adm.strict_yaml import Strict, read_yaml, validated
from records.errors import UserError

Positive = Annotated[int, Field(gt=0)]
Metric = Literal["fid", "sfid", "is", "precision", "recall"]
SETTING = bool | int | float | str | list[int] | None


class Sampler(Strict):
    """How samples are drawn: the method, its steps and its guidance."""

    method: Literal["ancestral", "ddim"]
    respacing: str
    eta: Annotated[float, Field(ge=0, le=1)]
    guidance_scale: Annotated[float, Field(ge=0)] | None
    classifier: str | None


class Base(Strict):
    """The low-resolution half of a two-resolution stack."""

    task: str
    model: str
    sampler: Sampler


class Row(Strict):
    """One line of one table."""

    label: str
    task: str
    settings: dict[str, SETTING]
    model: str | None
    sampler: Sampler | None
    base: Base | None
    published: dict[str, dict[Metric, float | None]]
    released: bool
    notes: list[Literal["own", "quoted", "stack", "rejection"]]
    assumed: list[str]


class Comparison(Strict):
    """Two cells and how the paper says they relate.

    greater: left > factor * right - margin; less: left < factor * right + margin;
    nearer: |left - towards| < factor * |right - towards|.
    """

    metric: Metric
    left: str
    relation: Literal["greater", "less", "nearer"]
    right: str
    factor: Annotated[float, Field(gt=0)]
    margin: Annotated[float, Field(ge=0)]
    towards: str | None
    mark: str


class Claim(Strict):
    """A sentence of the paper that a table supports, as comparisons that must all hold."""

    text: str
    where: str
    sources: list[Literal["rescore", "resample", "retrain"]] | None
    comparisons: Annotated[list[Comparison], Field(min_length=1)]


class Table(Strict):
    """One table of the paper."""

    neurips: Positive
    arxiv_v4: Positive
    alias: str
    title: str
    about: str
    layout: Literal["deltas", "plain", "by_task"]
    settings: list[str]
    metrics: list[Metric]
    marks: Annotated[list[str], Field(min_length=1)]
    seed_rows: list[str]
    rows: dict[str, Row]
    claims: dict[str, Claim]


class Task(Strict):
    """What stands for one of the paper's tasks at a scale."""

    dataset: Literal["digits"]
    words: str
    image_size_px: Positive
    image_channels: Literal[1, 3]
    classes: list[int] | None
    num_classes: Positive | None
    flip: bool
    num_images: Positive


class Architecture(Strict):
    """Keyword arguments that networks of every kind take (`adm.unet`, `adm.classifier`)."""

    channels: Positive
    depth: Positive
    channel_mult: Annotated[list[float], Field(min_length=1)]
    heads: Positive | None
    head_channels: Positive | None
    attention_resolutions: list[int]
    biggan_updown: bool
    embedding: Literal["adagn", "addition"]
    qkv_order: Literal["legacy", "new"]
    num_groups: Positive


class DiffusionArchitecture(Architecture):
    """Keyword arguments of `adm.unet.make_unet` that a scale chooses."""

    rescale_residual: bool
    dropout: Annotated[float, Field(ge=0, lt=1)]


class ClassifierArchitecture(Architecture):
    """Keyword arguments of `adm.classifier.make_classifier` that a scale chooses."""

    pool: Literal["attention", "adaptive", "spatial", "spatial_v2"]


class Training(Strict):
    """How a model is trained; marks and segments are not part of it."""

    schedule: Literal["linear", "cosine"]
    num_timesteps: Positive
    objective: Literal["hybrid", "hybrid_rescaled", "simple", "cross_entropy"]
    batch_size: Positive
    microbatch_size: Positive
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    anneal_iterations: Positive | None
    grad_clip: Annotated[float, Field(gt=0)] | None
    precision: Literal["float32", "bf16", "fp16"]
    random_crop: bool


class Model(Strict):
    """What every trained model has, whatever its kind."""

    recipe: Positive
    task: str
    training: Training
    marks: Annotated[dict[str, Positive], Field(min_length=1)]
    seeds: Annotated[list[int], Field(min_length=1)]


class Diffusion(Model):
    """A model that denoises images."""

    kind: Literal["diffusion"]
    class_conditional: bool
    architecture: DiffusionArchitecture


class Upsampler(Diffusion):
    """A diffusion model that also sees a low-resolution image."""

    kind: Literal["upsampler"]  # type: ignore[assignment]
    low_res_task: str


class Classifier(Model):
    """A classifier of noised images, for guidance."""

    kind: Literal["classifier"]
    architecture: ClassifierArchitecture


class Network(Strict):
    """The small feature network of a scale that has no Inception."""

    task: str
    recipe: Positive
    seed: int
    image_size_px: Positive
    channels: Positive
    iterations: Positive
    batch_size: Positive
    learning_rate: Annotated[float, Field(gt=0)]


class Sampling(Strict):
    """How samples are drawn at a scale."""

    recipe: Positive
    seed: int
    label_policy: Literal["random", "balanced"]
    batch_size: Positive
    respacing: dict[str, str]


class Evaluation(Strict):
    """How samples are graded at a scale."""

    recipe: Positive
    seed: int
    reference_images: Positive
    batch_size: Positive


class Compute(Strict):
    """On what the jobs of a scale run; nothing here changes a number."""

    device: str
    threads: Positive
    save_every_seconds: Positive


class Scale(Strict):
    """Where the tables are computed: datasets, sizes of models, training and budgets."""

    name: str
    about: str
    notes: list[str]
    compute: Compute
    tasks: dict[str, Task]
    network: Network
    sampling: Sampling
    evaluation: Evaluation
    models: dict[str, Diffusion | Upsampler | Classifier]


KINDS: dict[str, type[Strict]] = {
    "diffusion": Diffusion,
    "upsampler": Upsampler,
    "classifier": Classifier,
}


def load_tables(path: str | Path) -> dict[str, Table]:
    """Read params/tables.yaml: the tables by name, rows keyed by id in table order.

    Raises:
        UserError: an unknown key, wrong type, an id used twice, a claim about a row that is not
            there, a published value for another mark or metric.
    """
    content = read_yaml(path)
    tables = {name: validated(Table, table, f"{path}: {name}") for name, table in content.items()}
    owner: dict[str, str] = {}
    for name, table in tables.items():
        for row_id, row in table.rows.items():
            where = f"{path}: {name}: rows: {row_id}"
            if row_id in owner:
                raise UserError(
                    f"{where}: this id already stands in {owner[row_id]}; ids are unique"
                )
            owner[row_id] = name
            _check_row(where, table, row)
        for claim_id, claim in table.claims.items():
            for index, comparison in enumerate(claim.comparisons):
                where = f"{path}: {name}: claims: {claim_id}: comparisons: {index}"
                _check_comparison(where, table, comparison)
    for name, table in tables.items():
        for row_id in table.seed_rows:
            if row_id not in owner or tables[owner[row_id]].rows[row_id].model is None:
                raise UserError(f"{path}: {name}: seed_rows: no row with a model {row_id!r}")
    return tables


def _check_row(where: str, table: Table, row: Row) -> None:
    """Check what types cannot say about a row."""
    if set(row.published) != set(table.marks):
        raise UserError(
            f"{where}: published: got marks {sorted(row.published)}; the table has {table.marks}"
        )
    for mark, values in row.published.items():
        if list(values) != table.metrics:
            raise UserError(
                f"{where}: published: {mark}: got {list(values)}; the table's metrics are "
                f"{table.metrics}, in this order"
            )
    if list(row.settings) != table.settings:
        raise UserError(
            f"{where}: settings: got {list(row.settings)}; the table has {table.settings}"
        )
    if (row.model is None) != (row.sampler is None):
        raise UserError(f"{where}: a row has both a model and a sampler, or neither (a baseline)")
    if row.base is not None and row.model is None:
        raise UserError(f"{where}: base: a baseline has none; write null")
    for sampler in [row.sampler, row.base.sampler if row.base else None]:
        if sampler and (sampler.guidance_scale is None) != (sampler.classifier is None):
            raise UserError(
                f"{where}: sampler: guidance_scale {sampler.guidance_scale} with classifier "
                f"{sampler.classifier}; guidance needs both, no guidance neither"
            )


def _check_comparison(where: str, table: Table, comparison: Comparison) -> None:
    """Check that a comparison speaks of cells that the table has."""
    for side in ("left", "right", "towards"):
        row_id = getattr(comparison, side)
        if row_id is not None and row_id not in table.rows:
            close = difflib.get_close_matches(row_id, table.rows, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"rows: {', '.join(table.rows)}"
            raise UserError(f"{where}: {side}: no row {row_id!r} in this table; {hint}")
    if comparison.mark not in table.marks:
        raise UserError(f"{where}: mark: got {comparison.mark!r}; the table has {table.marks}")
    if comparison.metric not in table.metrics:
        raise UserError(f"{where}: metric: got {comparison.metric!r}; needed: {table.metrics}")
    if (comparison.relation == "nearer") != (comparison.towards is not None):
        raise UserError(
            f"{where}: towards: {comparison.towards!r} with relation "
            f"{comparison.relation!r}; `nearer` needs it, the others have null"
        )


def load_scale(path: str | Path) -> Scale:
    """Read a scale file, filling models that `extends` another; `adm.checks` looks at the rest.

    Raises:
        UserError: an unknown key, a wrong type, an unknown model; each with file, model and key.
    """
    content = read_yaml(path)
    models = content.get("models")
    if not isinstance(models, dict):
        raise UserError(f"{path}: models: got {models!r}; a mapping of model names is needed")
    built = {name: _build_model(path, models, name) for name in models}
    scale = validated(Scale, {**content, "models": {}}, str(path))
    return scale.model_copy(update={"models": built})


def _build_model(path: str | Path, models: dict[str, Any], name: str) -> Strict:
    """Merge a model's entry over those it extends and give it its type."""
    where = f"{path}: models: {name}"
    merged: dict[str, Any] = {}
    chain: list[str] = []
    current: str | None = name
    layers = []
    while current is not None:
        if current in chain:
            raise UserError(f"{where}: extends: {' -> '.join([*chain, current])} goes in a circle")
        if current not in models:
            close = difflib.get_close_matches(current, models, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "write the name of another model"
            raise UserError(f"{where}: extends: no model {current!r}; {hint}")
        chain.append(current)
        entry = models[current]
        if not isinstance(entry, dict):
            raise UserError(f"{path}: models: {current}: got {entry!r}; a mapping is needed")
        layers.append({key: value for key, value in entry.items() if key != "extends"})
        current = entry.get("extends")
    for layer in reversed(layers):
        for key, value in layer.items():
            nested = key in ("architecture", "training") and isinstance(value, dict)
            merged[key] = {**merged.get(key, {}), **value} if nested else value
    kind = merged.get("kind")
    if kind not in KINDS:
        raise UserError(f"{where}: kind: got {kind!r}; needed: {', '.join(KINDS)}")
    return validated(KINDS[kind], merged, where)
