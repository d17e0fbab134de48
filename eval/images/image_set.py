"""A batch of images of one size that is read piece by piece, whatever kind of file holds it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np


@dataclass(frozen=True)
class ImageSet:
    """Images on disk: what is known of all of them, and a way to read them in order.

    Attributes:
        path: the file or folder, as it was given.
        sha256: of the file; of a folder, the hash of its files' sorted names and hashes.
        num_images: how many there are.
        shape: height, width and channels (1 or 3), equal for all.
        labels: class of each image, int64 [num_images]; None without labels.
        label_fault: why labels that are there cannot be used, for who needs them; None for no
            such fault.
        iterate_batches: function of a batch size; yields uint8 [<= batch size, h, w, c] in order.
            Each call reads from the start again. Raises UserError where the data are damaged.
        kind: what holds the images, in words.
        num_jpegs: how many of them are JPEGs.
        folders: where no labels are known, the folder that each image is in, by number, int64
            [num_images]; None where all are in one, or in folders that only count images.
        rows: of the whole set those that take has kept, int64 [num_images]; None for all.
        iterate_some: function of rising rows int64 [k] and a batch size; yields these images as
            iterate_batches does, and reads no others. None where all must be read for some.
    """

    path: str
    sha256: str
    num_images: int
    shape: tuple[int, int, int]
    labels: np.ndarray | None
    iterate_batches: Callable[[int], Iterator[np.ndarray]]
    kind: str = "images"
    num_jpegs: int = 0
    label_fault: str | None = None
    folders: np.ndarray | None = None
    rows: np.ndarray | None = None
    iterate_some: Callable[[np.ndarray, int], Iterator[np.ndarray]] | None = None

    @property
    def comes_by_class(self) -> bool:
        """Whether labels, or else folders, come in one piece each, as nothing random does."""
        classes = self.folders if self.labels is None else self.labels
        if classes is None:
            return False
        num_pieces = 1 + int(np.count_nonzero(np.diff(classes)))
        return 1 < num_pieces == len(np.unique(classes)) < len(classes)

    def take(self, rows: np.ndarray) -> "ImageSet":
        """Return some of the images as a set; where they are files, the others are not read.

        Args:
            rows: which, rising, int64 [k].
        """
        iterate = self.iterate_some or partial(_keep_rows, self.iterate_batches)
        return replace(
            self,
            num_images=len(rows),
            labels=None if self.labels is None else self.labels[rows],
            folders=None if self.folders is None else self.folders[rows],
            rows=rows if self.rows is None else self.rows[rows],
            iterate_batches=partial(iterate, rows),
            iterate_some=None,
        )


def _keep_rows(
    iterate_batches: Callable[[int], Iterator[np.ndarray]], rows: np.ndarray, batch_size: int
) -> Iterator[np.ndarray]:
    """Read all images, and put batches together of those that are wanted."""
    start, kept = 0, []
    for batch in iterate_batches(batch_size):
        first, last = np.searchsorted(rows, (start, start + len(batch)))
        kept.extend(batch[rows[first:last] - start])
        start += len(batch)
        while len(kept) >= batch_size:
            yield np.stack(kept[:batch_size])
            del kept[:batch_size]
    if kept:
        yield np.stack(kept)


def describe_shape(shape: Sequence[int]) -> str:
    """Write a shape [h, w, c] in words."""
    return f"{shape[0]}x{shape[1]} px with {shape[2]} channel{'s' * (shape[2] != 1)}"
