"""Open batches of images, whatever holds them, and small arrays of an .npz."""

import zipfile
from pathlib import Path

import numpy as np

from eval.images.damaged_files import PICKLED, tell_damage
from eval.images.files import is_image_name, open_image_folder, open_image_zip
from eval.images.image_set import ImageSet
from eval.images.npz_images import find_shards, open_npy, open_npz, open_npz_folder
from eval.images.npz_stream import IMAGES, describe_npz
from records.errors import UserError
from records.limits import demand_regular

STATISTICS = ("mu", "sigma", "mu_s", "sigma_s")
# Single values that a reference made here holds beside them.
ABOUT_STATISTICS = ("num_images", "network_sha256")
KINDS = (
    ".npz with arr_0 (uint8 [n, h, w, 3]), .npy, folder of .npz batches, zip of PNGs or folder of "
    "PNGs"
)
# What people give instead, by how it begins: bytes to skip, then bytes that tell.
FOREIGN = (
    (0, b"\x89HDF", "an HDF5 file; write its images to an .npz"),
    (0, b"\x1f\x8b", "a gzip file; unpack it"),
    (257, b"ustar", "a tar file; unpack it"),
    (0, b"\x89PNG", "a single image; put the images into a folder and give that"),
    (0, b"\xff\xd8\xff", "a single image; put the images into a folder and give that"),
    (0, b"\x80", PICKLED),
)


def open_images(path: str | Path, *, allow_jpeg: bool = False) -> ImageSet:
    """Open a batch of images, which is then read piece by piece.

    Taken are: an .npz in the authors' layout (arr_0 images, arr_1 labels), a .npy, a folder of
    .npz batches, a zip of PNGs, a folder of PNGs (both with or without dataset.json). Type, sizes
    and labels of all images are checked here, from headers.

    Args:
        path: the file or folder; what it is is told from its content.
        allow_jpeg: take JPEGs too, which are refused since lossy compression moves FID.

    Raises:
        UserError: nothing of that kind, unreadable, or not 8-bit images of one size.
    """
    path = Path(path)
    if path.is_dir():
        return _open_folder(path, allow_jpeg=allow_jpeg)
    with tell_damage(path, path.suffix if path.suffix in (".npz", ".npy", ".zip") else "file"):
        demand_regular(path)
        with open(path, "rb") as file:
            start = file.read(512)
        if start.startswith(np.lib.format.MAGIC_PREFIX):
            return open_npy(path)
        for skip, magic, words in FOREIGN:
            if start[skip:].startswith(magic):
                raise UserError(f"{path}: {words}; needed is one of: {KINDS}")
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    if path.suffix == ".npz" or f"{IMAGES}.npy" in names:
        return open_npz(path)
    return open_image_zip(path, allow_jpeg=allow_jpeg)


def read_all(image_set: ImageSet, batch_size: int = 256) -> tuple[np.ndarray, np.ndarray | None]:
    """Read all images of a small set into memory.

    Returns:
        uint8 [n, h, w, 1 or 3] and int64 [n], or None where there are no labels.

    Raises:
        UserError: the data are damaged.
    """
    images = np.empty((image_set.num_images, *image_set.shape), np.uint8)
    start = 0
    for batch in image_set.iterate_batches(batch_size):
        images[start : start + len(batch)] = batch
        start += len(batch)
    return images, image_set.labels


def list_statistics(path: str | Path) -> list[str]:
    """List which statistics an .npz holds by its headers; none for what is not an .npz."""
    if Path(path).is_dir() or not zipfile.is_zipfile(path):
        return []
    stored = describe_npz(path)
    return [name for name in STATISTICS if name in stored]


def holds_statistics_alone(path: str | Path) -> bool:
    """Tell whether a file is an .npz of statistics without images."""
    return bool(list_statistics(path)) and IMAGES not in describe_npz(path)


def load_statistics(path: str | Path) -> dict[str, np.ndarray]:
    """Load what an .npz says beside its images, which are left alone.

    Args:
        path: any file or folder that open_images takes.

    Returns:
        Of mu, sigma, mu_s and sigma_s those that are there, and num_images and network_sha256
        where they are single values; nothing for what is not an .npz.

    Raises:
        UserError: an .npz that is damaged or holds Python objects in those places.
    """
    if Path(path).is_dir() or not zipfile.is_zipfile(path):
        return {}
    stored = describe_npz(path)
    arrays = {}
    with tell_damage(path, ".npz"), np.load(path, allow_pickle=False) as loaded:
        for name, one in stored.items():
            if name in STATISTICS or (name in ABOUT_STATISTICS and one.shape == ()):
                with tell_damage(f"{path}: {name}", "array"):
                    arrays[name] = loaded[name]
    return arrays


def _open_folder(path: Path, *, allow_jpeg: bool) -> ImageSet:
    """Tell a folder of .npz batches from one of PNGs."""
    shards = find_shards(path)
    if not shards:
        return open_image_folder(path, allow_jpeg=allow_jpeg)
    images = sorted(one.name for one in path.iterdir() if is_image_name(one.name))
    if images:
        raise UserError(
            f"{path}: holds both batches ({shards[0].name}) and images ({images[0]}); "
            "it is not clear which are meant, give a folder of one kind"
        )
    return open_npz_folder(path)
