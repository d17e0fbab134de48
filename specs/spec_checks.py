"""Check a spec before any work begins: of which kind it is, its keys and their types.

What was read is handed on as it is, so that its digest stays. Imports no torch.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from records.errors import UserError
from records.files import read_json, spec_digest
from specs.checks import check_training
from specs.config import (
    TASKS,
    ClassifierArchitecture,
    DiffusionArchitecture,
    Positive,
    TrainingSettings,
)
from specs.schedule import make_betas, space_timesteps
from specs.strict import Strict, validated

MAX_LINES = 3
SPEC_FILES = "the workflow writes one beside what it makes"
# Where each kind of spec comes from.
SOURCES = {
    "model": "`python -m adm spec NAME --out FILE` writes one",
    "sample": f"{SPEC_FILES}: samples/<name>/spec.json",
    "accuracy": f"{SPEC_FILES}: models/<classifier>/accuracy-<mark>.spec.json",
    "dataset": f"{SPEC_FILES}: data/<task>.spec.json",
}
# Keys that one kind of file alone has; the first that is there tells.
TELLING = {
    "sha256": "the protocol of a file that was made",
    "architecture": "a model spec",
    "sampler": "a sample spec",
    "num_ranges": "an accuracy spec",
    "rows": "the specification of a table",
    "counts": "a metrics file",
    "iterations": "the spec of a feature network",
    "released": "the spec of published samples",
}


class _Weights(Strict):
    """The weights of a model at a mark."""

    name: str
    digest: str
    mark: str
    iteration: Positive


class _Base(Strict):
    """The batch of samples that an upsampler enlarges."""

    name: str
    digest: str


class _Sampler(Strict):
    """How samples are drawn, with the process of the model that draws them."""

    method: Literal["ancestral", "ddim"]
    respacing: str
    eta: Annotated[float, Field(ge=0, le=1)]
    guidance_scale: Annotated[float, Field(ge=0)] | None
    schedule: Literal["linear", "cosine"]
    num_timesteps: Positive


class _Sample(Strict):
    """A sample spec (`adm.sampling.shards.write_samples`)."""

    recipe: Positive
    name: str
    task: str
    num_images: Positive
    seed: int
    label_policy: Literal["random", "balanced"]
    num_classes: Positive | None
    model: _Weights
    sampler: _Sampler
    classifier: _Weights | None
    low_res: _Base | None


class _Accuracy(Strict):
    """An accuracy spec (`adm.sampling.accuracy.write_accuracy`)."""

    recipe: Positive
    name: str
    classifier: _Weights
    dataset: dict[str, Any]
    num_ranges: int
    max_images: Positive
    seed: int


class _Digits(Strict):
    """A dataset spec of embedded digits."""

    recipe: Positive = 1
    task: str = ""
    dataset: Literal["digits"]
    image_size_px: Positive
    image_channels: Literal[1] = 1
    classes: list[int] | None
    num_classes: Positive | None = None


class _Images(Strict):
    """A dataset spec of images that a user brings; one written by hand may leave most out."""

    recipe: Positive = 1
    task: str = ""
    dataset: Literal["imagenet", "lsun", "images"]
    image_size_px: Positive | None = None
    image_channels: Literal[3] = 3
    place: str = ""
    crop: Literal["centre", "centre_box", "none"] | None = None
    labels: Literal["auto", "folders", "prefix", "none"] = "auto"
    classes: list[str] | None = None
    num_classes: Positive | None = None
    skip_broken: bool = False


class _Denoiser(DiffusionArchitecture):
    """The network of a diffusion model or an upsampler (`adm.networks.unet.make_unet`)."""

    image_size_px: Positive
    in_channels: Positive
    out_channels: Positive
    num_classes: Positive | None
    low_res_px: Positive | None = None
    heads_upsample: Positive | None = None
    conv_resample: bool = True


class _Guide(ClassifierArchitecture):
    """The network of a classifier (`adm.networks.classifier.make_classifier`)."""

    image_size_px: Positive
    in_channels: Positive
    num_classes: Positive
    dropout: float = 0.0
    rescale_residual: bool = False
    conv_resample: bool = True


class _Augmentation(Strict):
    """How training images are changed."""

    flip: bool
    random_crop: bool


class _Process(Strict):
    """What is read of a training where weights are used; the rest is as it was then."""

    model_config = ConfigDict(extra="allow")

    schedule: Literal["linear", "cosine"]
    num_timesteps: Positive
    objective: str
    dataset: dict[str, Any] | None = None
    augmentation: _Augmentation | None = None


class _Header(Strict):
    """The model spec in the header of a weights file."""

    kind: Literal["diffusion", "upsampler", "classifier"]
    recipe: Positive
    name: str
    task: str
    architecture: dict[str, Any]
    training: _Process


class _Training(TrainingSettings):
    """The training of a model spec; published weights have no seed but a file."""

    dataset: dict[str, Any]
    augmentation: _Augmentation
    seed: int | None
    released: str = ""


class _Model(_Header):
    """A model spec (`adm.training.loop.train`)."""

    training: _Training


KINDS: dict[str, type[Strict]] = {"model": _Model, "sample": _Sample, "accuracy": _Accuracy}


def load_spec(path: str | Path, what: str, digest: str | None = None) -> dict[str, Any]:
    """Read a spec.

    Args:
        path: JSON file.
        what: the kind that is needed: model, sample, accuracy or dataset.
        digest: refuse a spec with another digest.

    Returns:
        The object as it is in the file.

    Raises:
        UserError: missing, no JSON, a spec of another kind, an unknown or missing key, a wrong
            type, settings that contradict each other, or another digest.
    """
    spec = read_json(path, f"{what} spec")
    check_spec(spec, what, str(path))
    got = spec_digest(spec)
    if digest is not None and got != digest:
        raise UserError(
            f"{path}: digest {got[:12]}, but {digest[:12]} was planned; the parameters changed "
            "in between: run the workflow again"
        )
    return spec


def check_spec(spec: Any, what: str, where: str) -> None:
    """Refuse what is not a spec of a kind, or cannot be worked with.

    Args:
        spec: what was read from JSON.
        what: model, sample, accuracy or dataset.
        where: the file, for the message.

    Raises:
        UserError: see `load_spec`.
    """
    needed = f"{'an' if what[0] in 'aeiou' else 'a'} {what} spec"
    found = tell_kind(spec)
    known = _Images.model_fields if what == "dataset" else KINDS[what].model_fields
    foreign = found is not None and found != needed
    if foreign or not isinstance(spec, dict) or not set(spec) & set(known):
        raise UserError(
            f"{where}: is {found or 'an object of none of the kinds known here'}; {needed} is "
            f"needed: {SOURCES[what]}"
        )
    if what == "dataset":
        _check_dataset(spec, where)
        return
    value = _validated(KINDS[what], spec, where)
    if what == "model":
        _check_dataset(spec["training"]["dataset"], f"{where}: training: dataset")
        _check_network(spec, where)
        check_training(where, value.training, spec["kind"])
    elif what == "sample":
        _check_sampling(spec, where)


def check_header(spec: Any, path: str | Path) -> None:
    """Refuse a model spec in the header of a weights file that the weights cannot be used with.

    Raises:
        UserError: no object, an unknown or missing key, a wrong type.
    """
    where = f"{path}: model spec in its header"
    _validated(_Header, spec, where)
    _check_network(spec, where)


def tell_kind(content: Any) -> str | None:
    """Say what was read from JSON, with its article; None for an object that tells nothing."""
    if not isinstance(content, dict):
        return f"JSON of type {type(content).__name__}"
    found = next((words for key, words in TELLING.items() if key in content), None)
    return found or ("a dataset spec" if isinstance(content.get("dataset"), str) else None)


def _validated(model: type[Strict], content: Any, where: str) -> Any:
    """Do what `validated` does, with all that is wrong in one line, unknown keys first."""
    try:
        return validated(model, content, where)
    except UserError as error:
        lines = [line.removeprefix(f"{where}: ") for line in str(error).splitlines()]
        lines.sort(key=lambda line: "unknown key" not in line)
        more = f"; and {len(lines) - MAX_LINES} more" if len(lines) > MAX_LINES else ""
        raise UserError(f"{where}: {'; '.join(lines[:MAX_LINES])}{more}") from None


def _check_dataset(spec: dict[str, Any], where: str) -> None:
    """Check a dataset spec by the kind of its images."""
    dataset = spec.get("dataset", "images")
    if not isinstance(dataset, str) or dataset not in TASKS:
        raise UserError(f"{where}: dataset: got {dataset!r}; needed: {', '.join(TASKS)}")
    _validated(_Digits if dataset == "digits" else _Images, spec, where)


def _check_network(spec: dict[str, Any], where: str) -> None:
    """Check the keywords of a network, and that it puts out a variance where one is learned."""
    shape, objective = spec["architecture"], spec["training"]["objective"]
    denoises = spec["kind"] != "classifier"
    _validated(_Denoiser if denoises else _Guide, shape, f"{where}: architecture")
    needed = (1 if objective == "simple" else 2) * shape["in_channels"]
    if denoises and shape["out_channels"] != needed:
        raise UserError(
            f"{where}: architecture: out_channels: got {shape['out_channels']}; {objective} "
            f"training with in_channels {shape['in_channels']} needs {needed}"
        )


def _check_sampling(spec: dict[str, Any], where: str) -> None:
    """Check that the settings of sampling fit one another."""
    sampler, classifier = spec["sampler"], spec["classifier"]
    if (sampler["guidance_scale"] is None) != (classifier is None):
        raise UserError(
            f"{where}: sampler: guidance_scale {sampler['guidance_scale']} with classifier "
            f"{classifier and classifier['name']}; guidance needs both, no guidance neither"
        )
    if classifier is not None and spec["num_classes"] is None:
        raise UserError(
            f"{where}: num_classes: got None; a classifier guides to a class: write how many"
        )
    try:
        make_betas(sampler["schedule"], sampler["num_timesteps"])
        space_timesteps(sampler["num_timesteps"], sampler["respacing"])
    except ValueError as error:
        raise UserError(f"{where}: sampler: {error}") from None
