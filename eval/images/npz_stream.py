"""Arrays of images in .npz and .npy files, read a piece at a time instead of all at once.

An .npz is a zip of .npy members; a .npy is a short header (numpy.lib.format) and then the values in
order, so the first axis can be read piece by piece, compressed or not.
"""

import io
import math
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np

from eval.images.checks import NUM_VALUES_LOOKED_AT, check_image_array
from eval.images.damaged_files import DAMAGE, PICKLED, tell_damage
from records.batches import read_header as read_npy_header
from records.errors import UserError

IMAGES = "arr_0"
PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class StoredArray:
    """What the header of an array says: type, shape, order, and whether the zip compresses it."""

    dtype: np.dtype
    shape: tuple[int, ...]
    fortran_order: bool = False
    compressed: bool = False


def read_header(file: IO[bytes] | io.BufferedIOBase, *, compressed: bool = False) -> StoredArray:
    """Read the header of a .npy, which leaves the file at the first value.

    Raises:
        ValueError: not a .npy of plain numbers.
    """
    return StoredArray(*read_npy_header(file), compressed)


def describe_npz(path: str | Path) -> dict[str, StoredArray]:
    """Read what arrays an .npz holds, by name, from their headers alone.

    Raises:
        UserError: no such file, or damaged.
    """
    found = {}
    with tell_damage(path, ".npz"), zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.filename.endswith(".npy"):
                compressed = info.compress_type != zipfile.ZIP_STORED
                with archive.open(info) as file:
                    name = info.filename.removesuffix(".npy")
                    found[name] = read_header(file, compressed=compressed)
    return found


def inspect_images(path: Path) -> tuple[int, int, int, int]:
    """Check an array of images by its header, its number of bytes and, if wrong, its first values.

    Args:
        path: an .npz with the images in arr_0, or a .npy.

    Returns:
        Number of images, height, width and channels.

    Raises:
        UserError: no such file, damaged, pickled, in Fortran order, lacking arr_0, or not 8-bit
            images.
    """
    with tell_damage(path, path.suffix or ".npz"), _open_images(path) as (file, num_bytes, where):
        stored = read_header(file)
        if stored.dtype.hasobject:
            raise UserError(f"{where}: {PICKLED}")
        num_bytes -= file.tell()
        check_image_array(stored.dtype, stored.shape, _read_first_values(file, stored), where)
        if stored.fortran_order:
            raise UserError(
                f"{where}: stored in Fortran order, so that no image can be read before all are; "
                "save np.ascontiguousarray(images) instead"
            )
        if num_bytes != math.prod(stored.shape):
            raise ValueError(
                f"{list(stored.shape)} needs {math.prod(stored.shape)} bytes, it holds {num_bytes}"
            )
    num_images, height, width, channels = stored.shape
    return num_images, height, width, channels


def iterate_rows(
    paths: Sequence[Path], counts: Sequence[int], shape: tuple[int, int, int], batch_size: int
) -> Iterator[np.ndarray]:
    """Read the images of one or more files that inspect_images has seen.

    Args:
        paths: the files, in order.
        counts: images in each.
        shape: height, width, channels of all.
        batch_size: images at a time; batches go on across the borders of files.

    Yields:
        uint8 [batch_size, h, w, c], fewer in the last one; a new array each time.

    Raises:
        UserError: a file is damaged (where, as closely as its checksums tell) or was changed.
    """
    left = sum(counts)
    batch, filled = np.empty((min(batch_size, left), *shape), np.uint8), 0
    for path, count in zip(paths, counts, strict=True):
        with tell_damage(path, path.suffix), _open_images(path) as (file, _, where):
            if read_header(file).shape != (count, *shape):
                raise UserError(f"{path}: changed while it was read; run the same command again")
            row = 0
            while row < count:
                num_rows = min(len(batch) - filled, count - row)
                _fill(batch[filled : filled + num_rows], file, row, count, where)
                row, filled = row + num_rows, filled + num_rows
                if filled == len(batch):
                    left -= filled
                    full, batch = batch, np.empty((min(batch_size, left), *shape), np.uint8)
                    filled = 0
                    yield full


@contextmanager
def _open_images(path: Path) -> Iterator[tuple[io.BufferedIOBase, int, str]]:
    """Open the array of images of an .npz or .npy; yields also its bytes and words for where."""
    with open(path, "rb") as file:
        if file.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX:
            file.seek(0)
            yield file, path.stat().st_size, str(path)
            return
    with zipfile.ZipFile(path) as archive:
        if f"{IMAGES}.npy" not in archive.namelist():
            names = sorted(name.removesuffix(".npy") for name in archive.namelist())
            raise UserError(
                f"{path}: holds {names} and lacks ['{IMAGES}']; images belong in {IMAGES}, labels "
                "in arr_1, statistics in mu, sigma, mu_s and sigma_s (alone they can be REFERENCE, "
                "for FID and sFID)"
            )
        info = archive.getinfo(f"{IMAGES}.npy")
        with archive.open(info) as member:
            yield cast(zipfile.ZipExtFile, member), info.file_size, f"{path}: {IMAGES}"


def _read_first_values(file: io.BufferedIOBase, stored: StoredArray) -> np.ndarray:
    """Read some values of an array of the wrong type, to tell their range."""
    if stored.dtype == np.uint8 or stored.dtype.kind not in "fiub":
        return np.empty(0, stored.dtype)
    num_values = min(math.prod(stored.shape), NUM_VALUES_LOOKED_AT)
    data = file.read(num_values * stored.dtype.itemsize)
    return np.frombuffer(data, stored.dtype, count=len(data) // stored.dtype.itemsize)


def _fill(rows: np.ndarray, file: io.BufferedIOBase, row: int, count: int, where: str) -> None:
    """Read rows; after the last one also the file's end, where a zip holds its checksum."""
    view, done = rows.data.cast("B"), 0
    try:
        while done < len(view):
            num_read = file.readinto(view[done : done + PIECE_BYTES])
            if not num_read:
                raise EOFError("it ends there")
            done += num_read
        if row + len(rows) == count:
            file.read(1)
    except DAMAGE as error:
        row = min(row + done // rows[0].size, count - 1)
        raise UserError(
            f"{where}: damaged at row {row} of {count}, or before ({error}); "
            "make or fetch the file again"
        ) from None
