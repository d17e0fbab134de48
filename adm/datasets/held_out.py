"""Images that are kept out of training: which of a set's they are, and the set without them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from adm.datasets.own_images import Listed, OwnImages, show_some
from records.errors import UserError


def choose_part(where: object, num_images: int, *, held_out: int | None, part: str | None) -> Any:
    """Choose one part of a set's images.

    Held out are the images floor((i + 1/2) num_images / held_out), i = 0 .. held_out - 1: evenly
    spread over the set's order, and so over its classes where it is ordered by them.

    Args:
        where: the images, for the message.
        num_images: size of the whole set.
        held_out: how many are held out; None for a set that has no parts.
        part: `training` or `held_out`; None likewise.

    Returns:
        bool [num_images], True for the images of the part.

    Raises:
        UserError: no image would be left for training; one of the two without the other.
    """
    if (held_out is None) != (part is None):
        raise UserError(
            f"{where}: held_out {held_out} with part {part}; give both (part: training or "
            "held_out), or leave both out"
        )
    if held_out is None:
        return np.ones(num_images, dtype=bool)
    if held_out >= num_images:
        raise UserError(
            f"{where}: held_out: got {held_out} of {num_images} images; some must be left to train "
            "on: lower it"
        )
    chosen = np.zeros(num_images, dtype=bool)
    chosen[(2 * np.arange(held_out) + 1) * num_images // (2 * held_out)] = True
    return chosen if part == "held_out" else ~chosen


def take_part(images: OwnImages, *, held_out: int | None, part: str | None) -> OwnImages:
    """Return one part of a user's images; the list is read twice, and never whole in memory.

    Args:
        images: the whole set.
        held_out: see `choose_part`.
        part: see `choose_part`.

    Raises:
        UserError: see `choose_part`; a class that has no image in the part.
    """
    if held_out is None and part is None:
        return images
    labels = np.array(
        [-1 if one.label is None else one.label for one in images.iterate_images() if one.place],
        dtype=np.int64,
    )
    chosen = choose_part(images.path, len(labels), held_out=held_out, part=part)
    if empty := sorted(set(labels.tolist()) - set(labels[chosen].tolist())):
        names = images.class_names
        shown = show_some([names[one] if names else str(one) for one in empty])
        raise UserError(
            f"{images.path}: held_out: {held_out} of {len(labels)} images leave no image of "
            f"{shown} in the part {part}; each class needs one in both: give another number"
        )

    def iterate_images() -> Iterator[Listed]:
        number = 0
        for one in images.iterate_images():
            if not one.place:
                yield one
                continue
            if chosen[number]:
                yield one
            number += 1

    stamp = images.stamp and [*images.stamp, held_out or 0, int(part == "held_out")]
    return replace(images, stamp=stamp, iterate_images=iterate_images)
