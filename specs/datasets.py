"""What stands for one of the paper's tasks at a scale, and the specs of its images."""

import re
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from specs.architecture import Positive
from specs.strict import Spec, Strict

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*")  # names become names of files and of jobs
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]  # of files and their parts
DATASET_RECIPE = 1
DIGIT_SIZES_PX = (8, 4)
# On what terms the images may be used, as far as those who published them say.
TERMS = {
    "digits": "UCI's Optical Recognition of Handwritten Digits, by scikit-learn: CC BY 4.0",
    "imagenet": "ImageNet: terms of access, for non-commercial research and education",
    "lsun": "LSUN: no licence is stated; published for research",
    "images": "the terms of whoever published them; CIFAR-10 states no licence",
}


class BaseTask(Strict):
    """What every task has, whatever its images come from; `num_samples` are drawn for each row.

    `held_out` images are kept out of training, spread evenly over the set's order: they are a set
    of their own, on which the loss of denoisers is measured. Null, or left out: there are none.
    """

    words: str
    image_size_px: Positive
    image_channels: Literal[1, 3]
    num_classes: Positive | None
    flip: bool
    num_samples: Positive
    held_out: Positive | None = None


class DigitsTask(BaseTask):
    """The embedded digits, or some of their classes."""

    dataset: Literal["digits"]
    classes: list[int] | None

    @model_validator(mode="after")
    def _check(self) -> "DigitsTask":
        if self.image_size_px not in DIGIT_SIZES_PX or self.image_channels != 1:
            raise ValueError(
                f"{self.image_size_px} px and {self.image_channels} channels; the digits come with "
                "8 or 4 px and 1 channel"
            )
        kept = list(range(10)) if self.classes is None else self.classes
        if not kept or len(set(kept)) < len(kept) or not set(kept) <= set(range(10)):
            raise ValueError(f"classes: got {kept}; needed: different digits from 0 to 9, or null")
        if self.num_classes != (len(kept) if len(kept) > 1 else None):
            raise ValueError(
                f"num_classes: got {self.num_classes} for the digits {kept}; write their number, "
                "or null for a single one, which has no labels"
            )
        return self


class OwnTask(BaseTask):
    """A user's own images; `place` is the environment variable that says where they are.

    `crop` is how they are made square (`adm.datasets`); `whole` names the set of the same images
    uncropped, from which random crops are taken (null: from the square ones); `classes` keeps some
    WNIDs or folders; with one of `image_channels` colour images are made grey; without num_classes
    no labels are written; `skip_broken` leaves out, and lists in the manifest, what cannot be used,
    which otherwise ends the preparation.
    """

    dataset: Literal["imagenet", "lsun", "images"]
    place: str
    crop: Literal["centre", "centre_box"]
    whole: str | None
    classes: list[str] | None
    skip_broken: bool = False

    @model_validator(mode="after")
    def _check(self) -> "OwnTask":
        if self.dataset == "lsun" and (self.classes is not None or self.num_classes is not None):
            raise ValueError(
                f"classes {self.classes} and num_classes {self.num_classes}; an lmdb of LSUN "
                "holds one category without labels: write null for both"
            )
        if self.classes is not None and not 0 < len(set(self.classes)) == len(self.classes):
            raise ValueError(
                f"classes: got {self.classes}; needed: different names, or null for all"
            )
        if self.classes is not None and self.num_classes not in (None, len(self.classes)):
            raise ValueError(
                f"num_classes {self.num_classes} for the classes {self.classes}; write their "
                "number, or null for images without labels"
            )
        return self


Part = Literal["training", "held_out"]  # of a set's images
Task = Annotated[DigitsTask | OwnTask, Field(discriminator="dataset")]


class DigitsSpec(Spec):
    """A set of embedded digits; one written by hand may leave most out."""

    recipe: Positive = 1
    task: str = ""
    dataset: Literal["digits"]
    image_size_px: Positive
    image_channels: Literal[1] = 1
    classes: list[int] | None
    num_classes: Positive | None = None
    held_out: Positive | None = None
    part: Part | None = None


class OwnImagesSpec(Spec):
    """A set made from a user's own images; one written by hand may leave most out."""

    recipe: Positive = 1
    task: str = ""
    dataset: Literal["imagenet", "lsun", "images"]
    image_size_px: Positive | None = None
    image_channels: Literal[1, 3] = 3
    place: str = ""
    crop: Literal["centre", "centre_box", "none"] | None = None
    labels: Literal["auto", "folders", "prefix", "none"] = "auto"
    classes: list[str] | None = None
    num_classes: Positive | None = None
    skip_broken: bool = False
    held_out: Positive | None = None
    part: Part | None = None


ImageSpec: TypeAlias = DigitsSpec | OwnImagesSpec
DatasetSpec = Annotated[ImageSpec, Field(discriminator="dataset")]


def make_dataset_specs(name: str, task: DigitsTask | OwnTask) -> dict[str, ImageSpec]:
    """Describe the images of a task, and its whole images, without what only people read.

    Returns:
        Specs by name: that of the task, that of its `whole` images where it has some, and that of
        the images that are held out.
    """
    kind = DigitsSpec if isinstance(task, DigitsTask) else OwnImagesSpec
    shared = {
        key: getattr(task, key) for key in kind.model_fields if key in type(task).model_fields
    }
    if task.held_out is None:
        del shared["held_out"]  # as if there were no such key: digests are of what is written
    else:
        shared["part"] = "training"
    spec = kind(recipe=DATASET_RECIPE, task=name, **shared)
    specs: dict[str, ImageSpec] = {name: spec}
    if isinstance(task, OwnTask) and task.whole is not None:
        uncropped = {"task": task.whole, "image_size_px": None, "crop": "none"}
        specs[task.whole] = spec.model_copy(update=uncropped)
    if task.held_out is not None:
        held_out = name_held_out(name)
        specs[held_out] = spec.model_copy(update={"task": held_out, "part": "held_out"})
    return specs


def name_held_out(task: str) -> str:
    """Return the name of the set of a task's images that are held out; no task has such a name."""
    return f"{task}-held_out"
