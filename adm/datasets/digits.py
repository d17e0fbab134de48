"""The embedded image set: scikit-learn's 1,797 real handwritten digits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from adm.datasets.held_out import choose_part
from adm.datasets.image_zip import write_image_zip
from records.errors import UserError

SIZES_PX = (8, 4)
SOURCE = (
    "UCI Optical Recognition of Handwritten Digits (E. Alpaydin, C. Kaynak, 1998), the test part "
    "of 1,797 images as scikit-learn ships it (sklearn.datasets.load_digits)."
)
LICENCE = "CC BY 4.0"


def load_digit_images(image_size_px: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Load the digits as grey images.

    Values 0..16 become round(255 v / 16); at 4 px, v is the mean over 2x2 pixels.

    Args:
        image_size_px: 8 or 4.

    Returns:
        uint8 [1797, size, size] and int64 labels [1797].
    """
    from sklearn.datasets import load_digits  # late: slow to import, and needed here only

    digits = cast(Any, load_digits())  # a Bunch, though it may be a tuple by its annotation
    factor = 8 // image_size_px
    blocks = digits.images.reshape(-1, image_size_px, factor, image_size_px, factor)
    pixels = np.rint(blocks.mean(axis=(2, 4)) * 255.0 / 16.0).astype(np.uint8)
    return pixels, digits.target.astype(np.int64)


def make_digits(
    path: str | Path,
    *,
    image_size_px: int = 8,
    classes: Sequence[int] | None = None,
    held_out: int | None = None,
    part: str | None = None,
) -> None:
    """Write the digits, or some classes of them, as an image set.

    Args:
        path: the zip to write, the same bytes every time; its stem is the name of the set.
        image_size_px: 8, or 4 for area-averaged digits.
        classes: digits to keep; None keeps all. With a single class the set has no labels; the
            labels of several are their places in this list.
        held_out: see `adm.datasets.held_out.choose_part`, as for the next.
        part: of these images; None for all.

    Raises:
        UserError: another size, classes that are not different digits, or no such part.
    """
    if image_size_px not in SIZES_PX:
        raise UserError(f"digits: image_size_px: got {image_size_px}; the digits come as 8 or 4 px")
    kept = list(range(10)) if classes is None else list(classes)
    if not kept or len(set(kept)) < len(kept) or not set(kept) <= set(range(10)):
        raise UserError(
            f"digits: classes: got {kept}; needed: different digits from 0 to 9, or null"
        )
    pixels, targets = load_digit_images(image_size_px)
    chosen = np.flatnonzero(np.isin(targets, kept))
    chosen = chosen[choose_part("digits", len(chosen), held_out=held_out, part=part)]
    labelled = len(kept) > 1
    write_image_zip(
        path,
        pixels[chosen],
        labels=[kept.index(one) for one in targets[chosen].tolist()] if labelled else None,
        num_classes=len(kept) if labelled else None,
        image_size_px=image_size_px,
        name=Path(path).stem,
        source=SOURCE,
        licence=LICENCE,
    )
