"""A batch of images of one size that is read piece by piece, whatever kind of file holds it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ImageSource:
    """Images on disk: what is known of all of them, and a way to read them in order.

    Attributes:
        path: the file or folder, as it was given.
        sha256: of the file; of a folder, the hash of its files' sorted names and hashes.
        num_images: how many there are.
        shape: height, width and channels (1 or 3), equal for all.
        labels: class of each image, int64 [num_images]; None without labels.
        iterate_batches: function of a batch size; yields uint8 [<= batch size, h, w, c] in order.
            Each call reads from the start again. Raises UserError where the data are damaged.
        kind: what holds the images, in words.
        num_jpegs: how many of them are JPEGs.
    """

    path: str
    sha256: str
    num_images: int
    shape: tuple[int, int, int]
    labels: np.ndarray | None
    iterate_batches: Callable[[int], Iterator[np.ndarray]]
    kind: str = "images"
    num_jpegs: int = 0


def describe_shape(shape: Sequence[int]) -> str:
    """Write a shape [h, w, c] in words."""
    return f"{shape[0]}x{shape[1]} px with {shape[2]} channel{'s' * (shape[2] != 1)}"
