"""What a dataset says of itself: dataset.json in the zip, and the manifest beside it."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from adm.datasets.conversion import TRAITS
from adm.datasets.imagenet_classes import NUM_TRAINING_IMAGES, WNIDS
from adm.datasets.listing import Summary, describe_ignored
from adm.datasets.own_images import OwnImages, show_some
from adm.datasets.partial import PartialZip, make_image_name
from records.errors import UserError

PREPROCESSING = {
    "centre": "RGB; while the shorter side is at least twice the size, halved with a box filter; "
    "then bicubic to the size; centre crop (the authors' loader)",
    "centre_box": "RGB; shorter side to the size with a box filter; centre crop (the authors' "
    "preparation of LSUN)",
    "none": "RGB; whole images of their own sizes",
}
WORDS = {
    "imagenet": "ImageNet, ILSVRC 2012, training images, as the user brought them",
    "lsun": "LSUN (F. Yu and others, 2015), one category, as the user brought it",
    "images": "images that the user brought",
}
LICENCES = {
    "imagenet": "ImageNet terms of access: non-commercial research and education only; the images "
    "belong to their owners and may not be passed on",
    "lsun": "none stated with LSUN; the images belong to their owners; research use",
    "images": "not stated",
}

# What is said of images that have a trait.
NOTES = {
    "enlarged": "were smaller than the size asked for and were enlarged",
    "exif_rotation_ignored": "carry an EXIF rotation, which is not applied, as in the authors' "
    "loader",
    "transparency_dropped": "are transparent in places; that is dropped, and the colour behind it "
    "shows",
    "first_of_several_frames": "have several frames, of which the first was taken",
    "sixteen_bits_cut_to_eight": "have 16 bits a channel, cut to 8",
    "colour_made_grey": "were coloured and are grey now",
    "sides_cut_off": "were not square; what is beside the middle square was cut off",
}


@dataclass
class Contents:
    """What a finished zip holds, counted over its records.

    Attributes:
        num_images: images in the zip.
        pixels_sha256: of the images' own digests of their pixels, in order (hex).
        per_class: images of each class.
        traits: how many images have each of TRAITS.
    """

    num_images: int = 0
    pixels_sha256: str = ""
    per_class: list[int] = field(default_factory=list)
    traits: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TRAITS, 0))


def count_contents(partial: PartialZip, num_classes: int | None) -> Contents:
    """Count what is in an unfinished zip."""
    contents = Contents(per_class=[0] * (num_classes or 0))
    pixels = hashlib.sha256()
    for record in partial.iterate_records():
        if record.usable:
            contents.num_images += 1
            pixels.update(record.pixels_sha256)
            if num_classes:
                contents.per_class[record.label] += 1
            for bit, name in enumerate(TRAITS):
                contents.traits[name] += record.traits >> bit & 1
    contents.pixels_sha256 = pixels.hexdigest()
    return contents


def check_contents(images: OwnImages, contents: Contents) -> None:
    """Refuse a set that the skipped images have left without images or without a class.

    Raises:
        UserError: with the classes.
    """
    if contents.num_images == 0:
        raise UserError(f"{images.path}: none of its images can be used; see the list of reasons")
    empty = [one for one, count in enumerate(contents.per_class) if count == 0]
    if empty:
        names = [images.class_names[one] if images.class_names else str(one) for one in empty]
        raise UserError(
            f"{images.path}: no image that can be used in {len(empty)} classes: "
            f"{show_some(names)}; fix or remove them"
        )


def make_about(
    partial: PartialZip, *, fields: dict[str, Any], labelled: bool
) -> Callable[[], Iterator[bytes]]:
    """Make the function that writes dataset.json: EDM's layout, sorted keys, in pieces.

    Args:
        partial: the unfinished zip.
        fields: everything but the labels.
        labelled: whether images have labels.
    """

    def iterate_labels() -> Iterator[bytes]:
        comma = ""
        for index, record in enumerate(partial.iterate_records()):
            if record.usable:
                pair = json.dumps([make_image_name(index), record.label])
                yield f"{comma}{pair}".encode()
                comma = ", "

    def about() -> Iterator[bytes]:
        opening = "{"
        for key in sorted([*fields, "labels"]):
            yield f"{opening}{json.dumps(key)}: ".encode()
            opening = ", "
            if key != "labels":
                yield json.dumps(fields[key], sort_keys=True).encode()
            elif not labelled:
                yield b"null"
            else:
                yield b"["
                yield from iterate_labels()
                yield b"]"
        yield b"}"

    return about


def make_notes(
    dataset: str, contents: Contents, summary: Summary, image_channels: int
) -> list[str]:
    """Say what a person should know about a finished set: all that was left out, cut or changed."""
    of = f"of {contents.num_images} images"
    notes = []
    if summary.ignored:
        notes.append(f"left out: {describe_ignored(summary.ignored, summary.some_ignored)}")
    notes += [
        f"{contents.traits[name]} {of} {words}"
        for name, words in NOTES.items()
        if contents.traits[name]
    ]
    if contents.traits["grey"] == contents.num_images and image_channels == 3:
        notes.append("all images are grey; `--channels 1` makes a grey set, for models of grey")
    full = dataset == "imagenet" and len(contents.per_class) == len(WNIDS)
    if full and contents.num_images != NUM_TRAINING_IMAGES:
        notes.append(
            f"ILSVRC 2012 has {NUM_TRAINING_IMAGES} training images, this copy of it "
            f"{contents.num_images}"
        )
    return notes
