"""Batches of images in the authors' layout: an .npz with arr_0 (images) and arr_1 (labels)."""

import io
import math
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from records.errors import UserError
from records.files import atomic_write
from records.manifest import read_manifest, write_manifest
from records.usage import Usage

# What numpy raises at a header that is none: Python's own parser reads it.
MALFORMED = (
    AttributeError, MemoryError, OverflowError, RecursionError, SyntaxError, TypeError, ValueError,
    tokenize.TokenError,
)  # fmt: skip
SHOWN_CHARACTERS = 120


def write_batch(
    path: str | Path,
    images: np.ndarray,
    labels: np.ndarray | None,
    manifest: dict[str, Any],
    usage: Usage | None = None,
) -> None:
    """Write images, labels and how they were made.

    Args:
        path: the .npz file; its manifest appears beside it, after it.
        images: uint8 [n, h, w, 3].
        labels: int64 [n], or None where there are none.
        manifest: of `records.manifest.make_manifest`; count and shape are added to it.
        usage: what the images cost.

    Raises:
        UserError: the images or labels have another shape or type, or cannot be written.
    """
    path = Path(path)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise UserError(
            f"{path}: images are {images.dtype} {list(images.shape)}; "
            "a batch holds uint8 [n, h, w, 3]"
        )
    arrays = {"arr_0": images}
    if labels is not None:
        if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
            raise UserError(
                f"{path}: labels are {labels.dtype} {list(labels.shape)}; "
                f"int64 [{len(images)}] is needed"
            )
        arrays["arr_1"] = labels
    with atomic_write(path) as file, open_archive(file) as archive:
        for name, array in arrays.items():
            write_array(archive, name, array)
    write_manifest(path, {**manifest, **_describe(images.shape)}, usage)


def _describe(shape: Sequence[int]) -> dict[str, Any]:
    return {"num_images": shape[0], "shape": list(shape)}


def join_batches(
    path: str | Path, parts: Sequence[Path], manifest: dict[str, Any], usage: Usage | None = None
) -> None:
    """Write batches one after the other into one, holding one of them in memory at a time.

    The file has the same bytes as if all images had been written at once.

    Args:
        path: the .npz file to write; its manifest appears beside it, after it.
        parts: batches that write_batch wrote, of equal size, all with labels or all without.
        manifest: of `records.manifest.make_manifest`; count and shape are added to it.
        usage: what the images cost.

    Raises:
        UserError: a part cannot be read or does not fit the first, or nothing can be written.
    """
    path = Path(path)
    sizes = [(read_manifest(part) or {}).get("shape", [0]) for part in parts]
    shape = (sum(size[0] for size in sizes), *sizes[0][1:])
    labels = []
    with atomic_write(path) as file, open_archive(file) as archive:
        with open_array(archive, "arr_0") as member:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(member, header)
            for part, size in zip(parts, sizes, strict=True):
                images, y = read_batch(part)
                labels.append(y)
                if (
                    list(images.shape) != size
                    or size[1:] != sizes[0][1:]
                    or (y is None) != (labels[0] is None)
                ):
                    raise UserError(
                        f"{part}: images {list(images.shape)} {'without' if y is None else 'with'} "
                        f"labels do not fit {parts[0]}, {sizes[0]}; delete both, and draw again"
                    )
                member.write(images.data)
        if labels[0] is not None:
            write_array(archive, "arr_1", np.concatenate(labels))
    write_manifest(path, {**manifest, **_describe(shape)}, usage)


def open_archive(file: BinaryIO) -> zipfile.ZipFile:
    """Begin an uncompressed .npz of any size in an open file."""
    return zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True)


def open_array(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """Begin an array of an .npz; its bytes depend on the array alone (fixed time stamp)."""
    entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
    return archive.open(entry, "w", force_zip64=True)


def write_array(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    """Add a whole array to an .npz."""
    with open_array(archive, name) as member:
        np.lib.format.write_array(
            member, np.asarray(array, order="C"), version=(1, 0), allow_pickle=False
        )


def write_arrays(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an .npz of named arrays, to a temporary name first."""
    with atomic_write(path) as file, open_archive(file) as archive:
        for name, array in arrays.items():
            write_array(archive, name, array)


def read_header(
    file: IO[bytes] | io.BufferedIOBase, name: str = "an array"
) -> tuple[np.dtype, tuple[int, ...], bool]:
    """Read the header of a .npy, which leaves the file at the first value.

    Args:
        file: at its beginning.
        name: of the array, for the message.

    Returns:
        Type, shape, and whether it is in Fortran order.

    Raises:
        ValueError: not a .npy of plain numbers.
    """
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, fortran_order, dtype = np.lib.format.read_array_header_2_0(file)
        else:
            raise ValueError(f"version {version} of the .npy format does not hold plain numbers")
        if min(shape, default=0) < 0:
            raise ValueError(f"a negative size in {list(shape)}")
    except MALFORMED as error:
        said = str(error).partition("\n")[0]
        said = said if len(said) <= SHOWN_CHARACTERS else f"{said[:SHOWN_CHARACTERS]}..."
        raise ValueError(f"the header of {name} is malformed: {said}") from None
    return dtype, shape, fortran_order


def read_arrays(
    path: str | Path, names: Collection[str] | None = None, rows: range | None = None
) -> dict[str, np.ndarray]:
    """Read the arrays of an .npz by name; nothing in it is ever unpickled.

    Args:
        path: the file.
        names: those that are read, as far as they are there; None for all.
        rows: those that are read of each, as far as they are there; None for all.

    Raises:
        ValueError: damaged, not an .npz, or an array holds Python objects; or rows of one that is
            in Fortran order.
        OSError: it cannot be read.
    """
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                name = info.filename.removesuffix(".npy")
                if names is not None and name not in names:
                    continue
                with archive.open(info) as file:
                    dtype, shape, fortran_order = read_header(file, name)
                    begin = file.tell()
                left = info.file_size - begin
                if dtype.hasobject:
                    raise ValueError(f"{name} holds pickled Python objects, which are never opened")
                if left != math.prod(shape) * dtype.itemsize:
                    raise ValueError(f"{name} is {dtype} {list(shape)} and holds {left} bytes")
                with archive.open(info) as file:
                    if rows is None:
                        found[name] = np.lib.format.read_array(file, allow_pickle=False)
                        continue
                    if fortran_order or not shape:
                        raise ValueError(f"{name} has no rows one after the other")
                    wanted = range(shape[0])[rows.start : rows.stop]
                    row_bytes = math.prod(shape[1:]) * dtype.itemsize
                    file.seek(begin + wanted.start * row_bytes)
                    content = bytearray(file.read(len(wanted) * row_bytes))
                found[name] = np.frombuffer(content, dtype).reshape(len(wanted), *shape[1:])
    except (EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        # RuntimeError: encrypted, or compressed in a way that zipfile does not know.
        raise ValueError(str(error)) from None
    return found


def read_batch(path: str | Path, rows: range | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """Read the images and labels of a batch; nothing in it is ever unpickled.

    Args:
        path: the file.
        rows: those that are read, as far as they are there; None for all.

    Returns:
        Images uint8 [n, h, w, c] and labels int64 [n] or None.

    Raises:
        UserError: no such file, cut short, not an .npz, without arr_0, or holding Python objects.
    """
    try:
        arrays = read_arrays(path, ["arr_0", "arr_1"], rows)
        if "arr_0" not in arrays:
            raise UserError(f"{path}: holds no arr_0; a batch needs arr_0 (images)")
        labels = arrays["arr_1"].astype(np.int64) if "arr_1" in arrays else None
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; a batch of images is needed here") from None
    except (ValueError, OSError) as error:
        raise UserError(
            f"{path}: not a readable .npz of plain arrays ({error}); make or fetch it again"
        ) from None
    return arrays["arr_0"], labels
