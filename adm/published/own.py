"""Specs for a user's own images: a known model, changed to other images and another budget."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adm.datasets.image_zip import ImageZip
from adm.published.names import PARAMS, Named, find_model, load_catalogue
from records.errors import UserError
from specs.datasets import NAME
from specs.models import AnyModelSpec, ModelSpec
from specs.strict import validated

OWN_MODELS = PARAMS / "own_images.yaml"
SMALL, SMALL_CLASSIFIER = "small", "small_classifier"
SMALLEST_MAP_PX = 4
AVERAGES = 10  # over how many times the average's memory a run lasts


def find_small(name: str) -> Named | None:
    """Return one of the small models for own images; None for another name."""
    if name not in (SMALL, SMALL_CLASSIFIER):
        return None
    return find_model(name, load_catalogue(OWN_MODELS))


def describe_data(path: str | Path) -> dict[str, Any]:
    """Return what an image set decides of a spec: arguments of `adapt_spec`.

    Raises:
        UserError: not an image set, or one of images of several sizes.
    """
    dataset = ImageZip(path)
    if dataset.image_size_px is None:
        raise UserError(
            f"{path}: images of several sizes; make the dataset again with --image-size-px"
        )
    return {
        "image_size_px": dataset.image_size_px,
        "image_channels": dataset.image_channels,
        "num_classes": dataset.num_classes or 0,
    }


def adapt_spec(
    spec: ModelSpec,
    *,
    name: str | None = None,
    image_size_px: int | None = None,
    image_channels: int | None = None,
    num_classes: int | None = None,
    iterations: int | None = None,
) -> ModelSpec:
    """Change a model's spec to other images and another number of iterations.

    Args:
        spec: what to start from; None below leaves something as it is there.
        name: of the model and of its images.
        image_size_px: levels whose maps would be smaller than 4 pixels are dropped; attention goes
            to the nearest map that is not larger.
        image_channels: 3, or 1 for grey images.
        num_classes: 0 for none; an unconditional model stays one.
        iterations: the average is shortened to a tenth of them (ema_decay 1 - 10 / iterations)
            where it is longer, since a tenth of a percent of a random start is visible noise; an
            annealed learning rate ends with them.

    Raises:
        UserError: a network that cannot be built for these images, a classifier of one class, or
            an upsampler of another size.
    """
    content = spec.content()
    shape, training = dict(content["architecture"]), dict(content["training"])
    images = {
        "image_size_px": image_size_px,
        "image_channels": image_channels,
        "num_classes": num_classes,
    }
    given = {key: value for key, value in images.items() if value is not None}
    if name is not None or given:
        content["name"] = content["task"] = _check_name(name or spec.name)
        training["dataset"] = _describe_images(training["dataset"], content["name"], given)
    if image_size_px is not None:
        _fit_levels(spec, shape, image_size_px)
    if image_channels is not None and spec.kind != "classifier":
        shape["out_channels"] = image_channels * shape["out_channels"] // shape["in_channels"]
    if image_channels is not None:
        shape["in_channels"] = image_channels
    if num_classes is not None and shape["num_classes"] is not None:
        shape["num_classes"] = num_classes or None
    if iterations is not None:
        fitting = max(0.0, round(1 - AVERAGES / iterations, 5))
        training["ema_decay"] = min(training["ema_decay"], fitting)
        if training["anneal_iterations"] is not None:
            training["anneal_iterations"] = iterations
    changed = {**content, "architecture": shape, "training": training}
    return validated(AnyModelSpec, changed, content["name"])


def _check_name(name: str) -> str:
    """Demand a name that can be one of files."""
    if not NAME.fullmatch(name):
        raise UserError(f"--name {name}: take letters, digits and _")
    return name


def _describe_images(
    known: Mapping[str, Any], name: str, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Describe the images of a user, with what is not given as in the spec to start from."""
    images = {
        key: known.get(key) for key in ("image_size_px", "image_channels", "num_classes")
    } | dict(given)
    images["num_classes"] = images["num_classes"] or None
    return {"dataset": "images", "task": name, **images}


def _fit_levels(spec: ModelSpec, shape: dict[str, Any], image_size_px: int) -> None:
    """Drop levels and attention that images of another size have no maps for."""
    if spec.kind == "upsampler":
        raise UserError(
            f"{spec.name}: an upsampler's size goes with that of its base; write its spec by hand"
        )
    smallest = min(SMALLEST_MAP_PX, shape["image_size_px"] >> (len(shape["channel_mult"]) - 1))
    num_levels = 1
    while (
        num_levels < len(shape["channel_mult"])
        and image_size_px % 2**num_levels == 0
        and image_size_px >> num_levels >= smallest
    ):
        num_levels += 1
    if num_levels < min(2, len(shape["channel_mult"])):
        near = max(8, image_size_px - image_size_px % 4)
        raise UserError(
            f"{image_size_px} px: images are square here, with a side that can be halved at least "
            f"once to {smallest} px or more; make the dataset again with --image-size-px {near} or "
            f"{near + 4}"
        )
    maps = [image_size_px >> level for level in range(num_levels)]
    shape["image_size_px"] = image_size_px
    shape["channel_mult"] = list(shape["channel_mult"])[:num_levels]
    nearest = {
        max((two for two in maps if two <= one), default=maps[-1])
        for one in shape["attention_resolutions"]
    }
    shape["attention_resolutions"] = sorted(nearest, reverse=True)
