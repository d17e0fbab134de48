"""Open batches of images in .npz and .npy files: the authors' layout, and folders of shards."""

import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from eval.images.checks import check_labels
from eval.images.damaged_files import tell_damage
from eval.images.image_set import ImageSet, describe_shape
from eval.images.npz_stream import describe_npz, inspect_images, iterate_rows, read_header
from records.errors import UserError
from records.files import digest, sha256_file

LABELS = "arr_1"


def open_npz(path: str | Path) -> ImageSet:
    """Open an .npz in the authors' layout: images in arr_0, labels in arr_1 if there are any.

    Args:
        path: the file. Nothing in it is unpickled, and other arrays in it are left alone.

    Raises:
        UserError: no such file, damaged, pickled, in Fortran order, lacking arr_0, or not 8-bit
            images. Labels that are none are no error, since metrics read none.
    """
    path = Path(path)
    whole = inspect_images(path)
    count, shape = whole[0], whole[1:]
    labels, fault = _try_labels([path], [count])
    return ImageSet(
        path=str(path),
        sha256=sha256_file(path),
        num_images=count,
        shape=shape,
        labels=labels,
        iterate_batches=partial(iterate_rows, [path], [count], shape),
        kind=".npz file",
        label_fault=fault,
    )


def open_npy(path: str | Path) -> ImageSet:
    """Open a .npy file: one bare array of images, without labels.

    Raises:
        UserError: no such file, damaged, pickled, in Fortran order, or not 8-bit images.
    """
    path = Path(path)
    whole = inspect_images(path)
    count, shape = whole[0], whole[1:]
    return ImageSet(
        path=str(path),
        sha256=sha256_file(path),
        num_images=count,
        shape=shape,
        labels=None,
        iterate_batches=partial(iterate_rows, [path], [count], shape),
        kind=".npy file",
    )


def open_npz_folder(path: str | Path) -> ImageSet:
    """Open a folder of .npz batches (shards), one after another in the order of their names.

    Args:
        path: the folder; each .npz directly in it is a shard, other files are left alone.

    Raises:
        UserError: no .npz, or one of them unreadable, of another image size or with statistics.
            Labels that are none, or that only some have, are no error.
    """
    paths = find_shards(path)
    if not paths:
        raise UserError(f"{path}: holds no .npz file; batches of images are needed")
    shapes = [inspect_images(one) for one in paths]
    for one, shape in zip(paths, shapes, strict=True):
        if shape[1:] != shapes[0][1:]:
            raise UserError(
                f"{path}: {paths[0].name} holds images of {describe_shape(shapes[0][1:])}, "
                f"{one.name} of {describe_shape(shape[1:])}; batches of one folder must be alike"
            )
    for one in paths:
        if {"mu", "mu_s"} & set(describe_npz(one)):
            raise UserError(
                f"{path}: {one.name} holds statistics (mu or mu_s), so it is a reference of its "
                "own, not a shard; give that file itself"
            )
    counts = [shape[0] for shape in shapes]
    labels, fault = _try_labels(paths, counts)
    return ImageSet(
        path=str(path),
        sha256=digest([[one.name, sha256_file(one)] for one in paths]),
        num_images=sum(counts),
        shape=shapes[0][1:],
        labels=labels,
        iterate_batches=partial(iterate_rows, paths, counts, shapes[0][1:]),
        kind=f"folder of {len(paths)} .npz file{'s' * (len(paths) != 1)}",
        label_fault=fault,
    )


def find_shards(path: str | Path) -> list[Path]:
    """List the .npz files directly in a folder, by name, without hidden ones."""
    return sorted(one for one in Path(path).glob("*.npz") if not one.name.startswith("."))


def _try_labels(
    paths: Sequence[Path], counts: Sequence[int]
) -> tuple[np.ndarray | None, str | None]:
    """Read the labels of all files, or say why there are none that can be used."""
    try:
        labels = [_read_labels(one, count) for one, count in zip(paths, counts, strict=True)]
    except UserError as error:
        return None, str(error)
    known = [some for some in labels if some is not None]
    without = [one.name for one, some in zip(paths, labels, strict=True) if some is None]
    if known and without:
        return None, (
            f"{paths[0].parent}: {len(without)} of {len(paths)} files have no labels ({LABELS}; "
            f"first: {without[0]}); give labels to all batches of a folder or to none"
        )
    return (np.concatenate(known), None) if known else (None, None)


def _read_labels(path: Path, num_images: int) -> np.ndarray | None:
    """Read labels; their header is compared with the images before their values are read."""
    where = f"{path}: {LABELS}"
    with tell_damage(where, "array of labels"), zipfile.ZipFile(path) as archive:
        if f"{LABELS}.npy" not in archive.namelist():
            return None
        with archive.open(f"{LABELS}.npy") as file:
            stored = read_header(file)
        if stored.shape != (num_images,):
            # One value seen under the whole shape takes no memory.
            check_labels(
                np.broadcast_to(np.zeros((), stored.dtype), stored.shape), num_images, where
            )
        with archive.open(f"{LABELS}.npy") as file:
            labels = np.lib.format.read_array(file, allow_pickle=False)
        return check_labels(labels, num_images, where)
