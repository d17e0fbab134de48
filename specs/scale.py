"""A scale: where the tables are computed, with which datasets, sizes of models and budgets."""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from records.errors import UserError
from records.options import DEVICE, DEVICES, MAX_THREADS
from specs.architecture import (
    ClassifierArchitecture,
    ClassifierSwitches,
    DiffusionSwitches,
    Positive,
    UNetArchitecture,
    check_groups,
)
from specs.datasets import NAME, Name, OwnTask, Task, make_dataset_specs
from specs.evaluation import Evaluation, Network, SmallNetwork
from specs.models import AnyModelSpec, ModelSpec, count_outputs
from specs.sampling import LabelPolicy
from specs.strict import Strict, read_yaml, validated
from specs.training import Precision, ScaleTraining, check_objective


class BaseModel(Strict):
    """What every trained model has, whatever its kind."""

    recipe: Positive
    task: str
    training: ScaleTraining
    marks: Annotated[dict[str, Positive], Field(min_length=1)]
    seeds: Annotated[list[int], Field(min_length=1)]
    kind: str

    @model_validator(mode="after")
    def _check(self) -> "BaseModel":
        check_objective(self.kind, self.training.objective)
        for mark in self.marks:
            if not (mark.isascii() and mark.isalnum()):
                raise ValueError(f"marks: got {mark!r}; a mark is named by letters and digits")
        if len(set(self.marks.values())) < len(self.marks):
            raise ValueError(f"marks: {self.marks}; two marks at one iteration: remove one of them")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds: got {self.seeds}; each seed is written once")
        return self


class Diffusion(BaseModel):
    """A model that denoises images."""

    kind: Literal["diffusion"]
    class_conditional: bool
    architecture: Annotated[DiffusionSwitches, AfterValidator(check_groups)]


class Upsampler(BaseModel):
    """A diffusion model that also sees a low-resolution image."""

    kind: Literal["upsampler"]
    class_conditional: bool
    architecture: Annotated[DiffusionSwitches, AfterValidator(check_groups)]
    low_res_task: str


class Classifier(BaseModel):
    """A classifier of noised images, for guidance."""

    kind: Literal["classifier"]
    architecture: Annotated[ClassifierSwitches, AfterValidator(check_groups)]


Model: TypeAlias = Diffusion | Upsampler | Classifier
AnyModel = Annotated[Model, Field(discriminator="kind")]


class Sampling(Strict):
    """How samples are drawn at a scale; `respacing` renames steps of the tables.

    `precision` is that of the denoiser and of the classifier that guides it.
    """

    recipe: Positive
    seed: int
    label_policy: LabelPolicy
    batch_size: Positive
    images_per_shard: Positive
    respacing: dict[str, str]
    precision: Precision = "float32"


class Prices(Strict):
    """What an hour of a CPU core's time and of a GPU costs, in a currency."""

    currency: str
    cpu_hour: Annotated[float, Field(ge=0)] = 0.0
    gpu_hour: Annotated[float, Field(ge=0)] = 0.0


class Compute(Strict):
    """On what the jobs of a scale run; nothing here changes a number.

    `microbatch_size` is how many images a training puts through a network at a time on a GPU of 32
    GB, by kind and image size; without an entry the whole batch of a process. With `prices` the
    report says what the jobs cost.
    """

    device: str
    threads: Annotated[int, Field(gt=0, le=MAX_THREADS)]
    save_every_seconds: Positive
    keep_state: bool
    microbatch_size: dict[Literal["diffusion", "upsampler", "classifier"], dict[int, Positive]] = (
        Field(default_factory=dict)
    )
    prices: Prices | None = None

    @model_validator(mode="after")
    def _check(self) -> "Compute":
        if not DEVICE.fullmatch(self.device):
            raise ValueError(f"device: got {self.device!r}; needed: {DEVICES}")
        return self


class SameAs(Strict):
    """Names of the tables that a scale has under another name."""

    tasks: dict[str, str]
    models: dict[str, str]


class Scale(Strict):
    """Where the tables are computed: datasets, sizes of models, training and budgets.

    `places` says where a user's own images are, by the environment variable that goes
    before it.
    """

    name: Name
    about: str
    notes: list[str]
    compute: Compute
    places: dict[Annotated[str, Field(pattern="^[A-Z][A-Z0-9_]*$")], str] = Field(default={})
    tasks: dict[str, Task]
    same_as: SameAs = SameAs(tasks={}, models={})
    network: Network
    sampling: Sampling
    evaluation: Evaluation
    models: dict[str, AnyModel]


def load_scale(path: str | Path) -> Scale:
    """Read a scale file, filling in the scale and the models that it `extends`.

    Raises:
        UserError: an unknown key, a wrong type, an unknown task, place, model or name, a model
            that cannot be built or trained, or image sets that contradict themselves or one
            another; each with file, model and key.
    """
    content = _read_scale(path)
    for key in ("tasks", "models"):
        if not isinstance(entries := content.get(key), dict):
            raise UserError(f"{path}: {key}: got {entries!r}; a mapping of names is needed")
        for name in entries:
            if not (isinstance(name, str) and NAME.fullmatch(name)):
                raise UserError(f"{path}: {key}: got the name {name!r}; take letters, digits and _")
    empty = validated(Scale, {**content, "models": {}}, str(path))
    scale = empty.model_copy(update={"models": _make_models(path, content["models"])})
    _check_names(path, scale)
    for name, task in scale.tasks.items():
        if isinstance(task, OwnTask):
            _check_images(f"{path}: tasks: {name}", scale, name, task)
    for name, model in scale.models.items():
        where = f"{path}: models: {name}"
        _check_model(where, scale, model)
        make_model_spec(scale, name, model, model.seeds[0], where)
    if isinstance(scale.network, SmallNetwork) and scale.network.task not in scale.tasks:
        raise unknown(f"{path}: network: task", "task", scale.network.task, scale.tasks)
    return scale


def _read_scale(path: str | Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read a scale file over the one that it `extends`, a path from its own folder."""
    content = read_yaml(path)
    if "extends" not in content:
        return content
    where, base = f"{path}: extends", content.pop("extends")
    if not isinstance(base, str):
        raise UserError(f"{where}: got {base!r}; needed: the path of a scale, from this folder")
    above = (*above, Path(path).resolve())
    below = Path(path).parent / base
    if below.resolve() in above:
        raise UserError(f"{where}: {base} extends this file in turn; remove one of the two")
    return _merge(_read_scale(below, above), content)


def _merge(below: dict[Any, Any], content: dict[Any, Any]) -> dict[Any, Any]:
    """Write a scale over another: entries of mappings are merged, but marks are replaced."""
    merged = dict(below)
    for key, value in content.items():
        nested = key != "marks" and isinstance(value, dict) and isinstance(below.get(key), dict)
        merged[key] = _merge(below[key], value) if nested else value
    return merged


def find_training_images(scale: Scale, model: BaseModel) -> str:
    """Return the name of the image set that a model learns from."""
    task = scale.tasks[model.task]
    whole = task.whole if isinstance(task, OwnTask) else None
    return whole if model.training.random_crop and whole is not None else model.task


def make_model_spec(
    scale: Scale, name: str, model: Model, seed: int, where: str | None = None
) -> ModelSpec:
    """Resolve a model: every argument of its network and of its training.

    Args:
        scale: for tasks and image sets.
        name: what the spec calls the model.
        model: an entry of the scale, or one changed by hand.
        seed: training seed.
        where: begins messages; None: the model's name.

    Raises:
        UserError: a network that cannot be built for these images.
    """
    where = where or f"model {name}"
    task = scale.tasks[model.task]
    shape = {
        "image_size_px": task.image_size_px,
        "in_channels": task.image_channels,
        "num_classes": task.num_classes,
        **model.architecture.content(),
    }
    if not isinstance(model, Classifier):
        shape["out_channels"] = count_outputs(model.training.objective, task.image_channels)
        shape["num_classes"] = task.num_classes if model.class_conditional else None
    if isinstance(model, Upsampler):
        shape["low_res_px"] = scale.tasks[model.low_res_task].image_size_px
    kind = ClassifierArchitecture if isinstance(model, Classifier) else UNetArchitecture
    images = make_dataset_specs(model.task, task)[find_training_images(scale, model)]
    content = {
        "kind": model.kind,
        "recipe": model.recipe,
        "name": name,
        "task": model.task,
        "architecture": validated(kind, shape, f"{where}: architecture"),
        "training": {
            **model.training.model_dump(exclude={"random_crop"}),
            "dataset": images,
            "augmentation": {"flip": task.flip, "random_crop": model.training.random_crop},
            "seed": seed,
        },
    }
    return validated(AnyModelSpec, content, where)


def unknown(where: str, what: str, name: str, known: Iterable[str]) -> UserError:
    """Make the error for a name that does not exist, with the nearest one that does."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "known: " + ", ".join(known)
    return UserError(f"{where}: no {what} {name!r}; {hint}")


def _make_models(path: str | Path, entries: dict[Any, Any]) -> dict[str, Model]:
    """Give every model's entry its type; what is wrong in one is not said of those extending it."""
    merged = {name: _extend_model(path, entries, name) for name in entries}
    models: dict[str, Model] = {}
    wrong: dict[str, str] = {}
    for name, entry in merged.items():
        try:
            models[name] = validated(AnyModel, entry, f"{path}: models: {name}")
        except UserError as error:
            wrong[name] = str(error)
    if wrong:
        first = [text for name, text in wrong.items() if entries[name].get("extends") not in wrong]
        raise UserError("\n".join(first))
    return models


def _extend_model(path: str | Path, models: dict[str, Any], name: str) -> dict[str, Any]:
    """Merge a model's entry over those it extends."""
    chain: list[str] = []
    current: str | None = name
    layers = []
    while current is not None:
        where = f"{path}: models: {name}: extends"
        if current in chain:
            raise UserError(f"{where}: {' -> '.join([*chain, current])} goes in a circle")
        if not isinstance(current, str) or current not in models:
            close = difflib.get_close_matches(str(current), models, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "write the name of another model"
            raise UserError(f"{where}: no model {current!r}; {hint}")
        chain.append(current)
        entry = models[current]
        if not isinstance(entry, dict):
            raise UserError(f"{path}: models: {current}: got {entry!r}; a mapping is needed")
        layers.append({key: value for key, value in entry.items() if key != "extends"})
        current = entry.get("extends")
    merged: dict[str, Any] = {}
    for layer in reversed(layers):
        for key, value in layer.items():
            below = merged.get(key)
            nested = key in ("architecture", "training") and isinstance(value, dict)
            merged[key] = {**below, **value} if nested and isinstance(below, dict) else value
    return merged


def _check_names(path: str | Path, scale: Scale) -> None:
    """Check the names of tasks and models that stand for others."""
    for key, entries, same in (
        ("tasks", scale.tasks, scale.same_as.tasks),
        ("models", scale.models, scale.same_as.models),
    ):
        for name, other in same.items():
            where = f"{path}: same_as: {key}: {name}"
            if name in entries:
                raise UserError(f"{where}: the scale has {name} itself; remove one of the two")
            if other not in entries:
                raise unknown(where, key.removesuffix("s"), other, entries)


def _check_images(where: str, scale: Scale, name: str, task: OwnTask) -> None:
    """Check a task's images against its place, and against the other tasks of that place."""
    if task.place not in scale.places:
        raise unknown(f"{where}: place", "place", task.place, scale.places)
    if task.whole is not None and (task.whole in scale.tasks or not NAME.fullmatch(task.whole)):
        raise UserError(
            f"{where}: whole: got {task.whole!r}; the whole images need a name of letters, digits "
            "and _ that no task has"
        )
    for other_name, other in scale.tasks.items():
        if not isinstance(other, OwnTask) or other_name == name:
            continue
        if task.place == other.place and task.skip_broken != other.skip_broken:
            raise UserError(
                f"{where}: skip_broken: got {task.skip_broken}; {other_name} has "
                f"{other.skip_broken}, and both are made from {task.place}: write the same for both"
            )
        keys = ("dataset", "place", "classes", "num_classes", "image_channels", "held_out")
        shared = task.whole is not None and other.whole == task.whole
        differing = [key for key in keys if shared and getattr(other, key) != getattr(task, key)]
        if differing:
            raise UserError(
                f"{where}: whole: {other_name} has the same {task.whole!r} with another "
                f"{', '.join(differing)}; give each its own name"
            )


def _check_model(where: str, scale: Scale, model: Model) -> None:
    """Check a model against the tasks of its scale."""
    if model.task not in scale.tasks:
        raise unknown(f"{where}: task", "task", model.task, scale.tasks)
    needs_labels = isinstance(model, Classifier) or model.class_conditional
    if needs_labels and scale.tasks[model.task].num_classes is None:
        raise UserError(
            f"{where}: task {model.task} has no labels, and this model needs them; "
            "set class_conditional: false or take a labelled task"
        )
    if not isinstance(model, Upsampler):
        return
    if model.low_res_task not in scale.tasks:
        raise unknown(f"{where}: low_res_task", "task", model.low_res_task, scale.tasks)
    small, large = scale.tasks[model.low_res_task], scale.tasks[model.task]
    whole = small.image_size_px < large.image_size_px and not (
        large.image_size_px % small.image_size_px
    )
    if not whole or small.image_channels != large.image_channels:
        raise UserError(
            f"{where}: low_res_task {model.low_res_task} has {small.image_size_px} px and "
            f"{small.image_channels} channels, task {model.task} {large.image_size_px} px and "
            f"{large.image_channels}; the smaller size must divide the larger, in equal channels"
        )
