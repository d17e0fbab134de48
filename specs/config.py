"""Read params/*.yaml into typed, checked values; imports no torch, since every job parses it.

A key of the YAML is a field here and a keyword argument of the function that uses it, spelled
the same three times.
"""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from records.errors import UserError
from specs.metrics import AnyMetric, Metric
from specs.strict import Strict, read_yaml, validated

Positive = Annotated[int, Field(gt=0)]
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
    """One table of the paper; `scales` names those that compute it, null means every one."""

    neurips: Positive | None
    arxiv_v4: Positive
    alias: str
    title: str
    about: str
    layout: Literal["deltas", "plain", "by_task"]
    settings: list[str]
    metrics: list[Metric]
    marks: Annotated[list[str], Field(min_length=1)]
    seed_rows: list[str]
    scales: list[str] | None
    rows: dict[str, Row]
    claims: dict[str, Claim]


class TaskBase(Strict):
    """What stands for one of the paper's tasks at a scale, whatever its images come from."""

    words: str
    image_size_px: Positive
    image_channels: Literal[1, 3]
    num_classes: Positive | None
    flip: bool
    num_images: Positive


class DigitsTask(TaskBase):
    """The embedded digits, or some of their classes."""

    dataset: Literal["digits"]
    classes: list[int] | None


class BroughtTask(TaskBase):
    """Images that the user brings; `place` is the environment variable that says where they are.

    `crop` is how they are made square (`adm.datasets`); `whole` names the set of the same images
    uncropped, from which random crops are taken (null: from the square ones); `classes` keeps some
    WNIDs or folders; without num_classes no labels are written; `skip_broken` leaves out, and lists
    in the manifest, what cannot be used, which otherwise ends the preparation.
    """

    dataset: Literal["imagenet", "lsun", "images"]
    place: str
    crop: Literal["centre", "centre_box"]
    whole: str | None
    classes: list[str] | None
    skip_broken: bool = False


class Architecture(Strict):
    """Keyword arguments that networks of every kind take (`adm.networks`)."""

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
    """Keyword arguments of `adm.networks.unet.make_unet` that a scale chooses."""

    rescale_residual: bool
    dropout: Annotated[float, Field(ge=0, lt=1)]


class ClassifierArchitecture(Architecture):
    """Keyword arguments of `adm.networks.classifier.make_classifier` that a scale chooses."""

    pool: Literal["attention", "adaptive", "spatial", "spatial_v2"]


class TrainingSettings(Strict):
    """How a model is trained, as its spec says too; marks and segments are not part of it."""

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


class Training(TrainingSettings):
    """How a model of a scale is trained."""

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


class SmallNetwork(Strict):
    """A feature network trained on a task's images, where those are too small for Inception."""

    kind: Literal["small"]
    task: str
    recipe: Positive
    seed: int
    image_size_px: Positive
    channels: Positive
    iterations: Positive
    batch_size: Positive
    learning_rate: Annotated[float, Field(gt=0)]


class Inception(Strict):
    """The authors' frozen Inception graph as the feature network; sha256 is that of its file."""

    kind: Literal["inception"]
    recipe: Positive
    backend: Literal["torch", "tensorflow"]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Sampling(Strict):
    """How samples are drawn at a scale."""

    recipe: Positive
    seed: int
    label_policy: Literal["random", "balanced"]
    batch_size: Positive
    images_per_shard: Positive
    respacing: dict[str, str]


class Evaluation(Strict):
    """How samples are graded at a scale; `reference` tells own references from published ones."""

    recipe: Positive
    seed: int
    metrics: list[AnyMetric]
    reference: Literal["own", "released"]
    reference_images: Positive
    batch_size: Positive


class Compute(Strict):
    """On what the jobs of a scale run; nothing here changes a number."""

    device: str
    threads: Positive
    save_every_seconds: Positive
    keep_state: bool


class SameAs(Strict):
    """Names of the tables that a scale has under another name."""

    tasks: dict[str, str]
    models: dict[str, str]


class Scale(Strict):
    """Where the tables are computed: datasets, sizes of models, training and budgets.

    `places` says where a user's own images are, by the environment variable that goes
    before it.
    """

    name: str
    about: str
    notes: list[str]
    compute: Compute
    places: dict[Annotated[str, Field(pattern="^[A-Z][A-Z0-9_]*$")], str] = Field(default={})
    tasks: dict[str, DigitsTask | BroughtTask]
    same_as: SameAs = SameAs(tasks={}, models={})
    network: Annotated[SmallNetwork | Inception, Field(discriminator="kind")]
    sampling: Sampling
    evaluation: Evaluation
    models: dict[str, Diffusion | Upsampler | Classifier]


TASKS: dict[str, type[Strict]] = {
    "digits": DigitsTask,
    **dict.fromkeys(("imagenet", "lsun", "images"), BroughtTask),
}
KINDS: dict[str, type[Strict]] = {
    "diffusion": Diffusion,
    "upsampler": Upsampler,
    "classifier": Classifier,
}


def load_tables(path: str | Path) -> dict[str, Table]:
    """Read params/tables.yaml: the tables by name, rows keyed by id in table order.

    Raises:
        UserError: an unknown key, wrong type, an id used twice, a seed row that is not there.
    """
    content = read_yaml(path)
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
    for name, table in tables.items():
        for row_id in table.seed_rows:
            if row_id not in owner or tables[owner[row_id]].rows[row_id].model is None:
                raise UserError(f"{path}: {name}: seed_rows: no row with a model {row_id!r}")
    return tables


def load_scale(path: str | Path) -> Scale:
    """Read a scale file, filling models that `extends` another; `specs.checks` looks at the rest.

    Raises:
        UserError: an unknown key, a wrong type, an unknown model, each with file, model and key;
            tasks of one place that disagree about broken images.
    """
    content = read_yaml(path)
    for key in ("tasks", "models"):
        if not isinstance(entries := content.get(key), dict):
            raise UserError(f"{path}: {key}: got {entries!r}; a mapping of names is needed")
    tasks, models = content["tasks"], content["models"]
    scale = validated(Scale, {**content, "tasks": {}, "models": {}}, str(path))
    built = {name: _build_task(path, name, entry) for name, entry in tasks.items()}
    first: dict[str, tuple[str, bool]] = {}  # sets of one place, the whole images too, agree
    for name, task in built.items():
        if isinstance(task, BroughtTask):
            other, skips = first.setdefault(task.place, (name, task.skip_broken))
            if skips != task.skip_broken:
                raise UserError(
                    f"{path}: tasks: {name}: skip_broken: got {task.skip_broken}; {other} has "
                    f"{skips}, and both are made from {task.place}: write the same for both"
                )
    return scale.model_copy(
        update={
            "tasks": built,
            "models": {name: _build_model(path, models, name) for name in models},
        }
    )


def _build_task(path: str | Path, name: str, entry: Any) -> Strict:
    """Give a task's entry the type of its dataset."""
    where = f"{path}: tasks: {name}"
    if not isinstance(entry, dict):
        raise UserError(f"{where}: got {entry!r}; a mapping is needed")
    dataset = entry.get("dataset")
    if dataset not in TASKS:
        raise UserError(f"{where}: dataset: got {dataset!r}; needed: {', '.join(TASKS)}")
    return validated(TASKS[dataset], entry, where)


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
