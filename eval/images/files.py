"""Open images that are files of their own: a folder of PNGs, or a zip of PNGs with dataset.json."""

import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from eval.images.damaged_files import tell_damage
from eval.images.headers import ImageHeader, decode_image, read_image_header
from eval.images.image_set import ImageSet
from eval.images.prefetch import map_in_order
from records.cores import count_cores
from records.errors import UserError
from records.files import digest, sha256_file
from records.limits import demand_regular, parse_json, read_bytes, read_member

LISTING = "dataset.json"
# Files taken for images by their names; what they are is then told from their content.
SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff")
SUFFIXES += (".avif", ".heic", ".heif", ".jp2", ".jxl", ".ppm", ".pgm")
PIECE_IMAGES = 16
# A PNG needs about its pixels' bytes at most; text and colour profiles come on top.
MAX_EXTRA_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class _Image:
    """Where an image is: its name, and its header as the check found it."""

    name: str
    header: ImageHeader


def open_image_zip(path: str | Path, *, allow_jpeg: bool = False) -> ImageSet:
    """Open a zip of PNGs, with labels in its dataset.json.

    Where dataset.json lists labels, it also says which images there are and their order; else all
    PNGs are taken by name. Nothing is unpacked to disk.

    Args:
        path: the zip.
        allow_jpeg: take JPEGs too.

    Raises:
        UserError: damaged, no PNG in it, a listed image missing, mixed sizes, or an image that is
            not an 8-bit grey or RGB PNG.
    """
    with tell_damage(path, "zip"), zipfile.ZipFile(path) as archive:
        members = archive.namelist()
        listing = read_member(archive, LISTING) if LISTING in members else None
        names, labels, fault = _list_images(members, listing, path)
        images, headers = [], {}
        for name in names:
            with archive.open(name) as file:
                header = read_image_header(file, f"{path}: {name}", allow_jpeg=allow_jpeg)
            _check_size(archive.getinfo(name).file_size, header, f"{path}: {name}")
            # Equal headers are kept once: a data set can have millions.
            images.append(_Image(name, headers.setdefault(header, header)))
    return _make_source(
        path,
        sha256=sha256_file(path),
        images=images,
        labels=labels,
        label_fault=fault,
        read_images=partial(_read_zip, Path(path)),
        kind="zip of images",
    )


def open_image_folder(path: str | Path, *, allow_jpeg: bool = False) -> ImageSet:
    """Open a folder of PNGs, in folders of classes or not, with labels in its dataset.json.

    Images are taken by the order of their paths below the folder, or as dataset.json lists them.

    Args:
        path: the folder.
        allow_jpeg: take JPEGs too.

    Raises:
        UserError: no PNG in it, a listed image missing, mixed sizes, or an image that is not an
            8-bit grey or RGB PNG.
    """
    folder = Path(path)
    with tell_damage(path, "folder"):
        members = list(_walk(folder))
        listing = read_bytes(folder / LISTING) if LISTING in members else None
        names, labels, fault = _list_images(members, listing, path)
        images, headers, hashes = [], {}, []
        # Opening many small files waits for the disk more than it computes.
        inspect = partial(_inspect_file, folder, allow_jpeg=allow_jpeg)
        inspected = map_in_order(inspect, names, num_threads=4, lookahead=64)
        for name, (header, sha256) in zip(names, inspected, strict=True):
            images.append(_Image(name, headers.setdefault(header, header)))
            hashes.append([name, sha256])
    if listing is not None:
        hashes.append([LISTING, sha256_file(folder / LISTING)])
    return _make_source(
        path,
        sha256=digest(sorted(hashes)),
        images=images,
        labels=labels,
        label_fault=fault,
        read_images=partial(_read_folder, folder),
        kind="folder of images",
    )


def is_hidden(name: str) -> bool:
    """Tell files that systems leave about (.DS_Store, __MACOSX/._a.png) from those of the user."""
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def is_image_name(name: str) -> bool:
    """Tell whether a name is one of an image that counts."""
    return not is_hidden(name) and name.lower().endswith(SUFFIXES)


def _list_images(
    members: Sequence[str], listing: bytes | None, path: str | Path
) -> tuple[list[str], np.ndarray | None, str | None]:
    """Find the names of the images, in order, their labels int64 [n] or None, or why not."""
    listed, fault = ([], None) if listing is None else _parse_listing(listing, path)
    names = [name for name, _ in listed] or sorted({one for one in members if is_image_name(one)})
    labels = np.array([label for _, label in listed], dtype=np.int64) if listed else None
    if not names:
        raise UserError(f"{path}: holds no PNG; images as PNG files are needed")
    present = set(members)
    missing = [name for name in names if name not in present]
    if missing:
        raise UserError(
            f"{path}: {LISTING} lists {len(missing)} images that are not in the file "
            f"(first: {missing[0]}); make the data set again"
        )
    return names, labels, fault


def _parse_listing(listing: bytes, path: str | Path) -> tuple[list[tuple[str, int]], str | None]:
    """Read names and labels from dataset.json, none where it has none; or why it cannot be used."""
    try:
        labels: Any = parse_json(listing)["labels"]
        listed = [] if labels is None else [(str(name), int(label)) for name, label in labels]
        np.array([label for _, label in listed], dtype=np.int64)
        return listed, None
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return [], (
            f'{path}: {LISTING} is not {{"labels": [[name, number], ...]}} or '
            '{"labels": null}; make the data set again'
        )


def _walk(folder: Path) -> Iterator[str]:
    """List the files below a folder as a/b.png; linked folders too, but none twice."""
    seen = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [one for one in folders if not is_hidden(one)]
        if (real := os.path.realpath(root)) in seen:
            folders.clear()
            continue
        seen.add(real)
        for name in files:
            yield Path(root, name).relative_to(folder).as_posix()


def _inspect_file(folder: Path, name: str, *, allow_jpeg: bool) -> tuple[ImageHeader, str]:
    """Check one image of a folder by its header, and hash it."""
    where = f"{folder}: {name}"
    demand_regular(folder / name)
    with open(folder / name, "rb") as file:
        header = read_image_header(file, where, allow_jpeg=allow_jpeg)
        _check_size(os.fstat(file.fileno()).st_size, header, where)
    return header, sha256_file(folder / name)


def _check_size(num_bytes: int, header: ImageHeader, where: str) -> None:
    """Refuse files that unpack to far more than their pixels need, before they are read."""
    needed = header.height * header.width * header.channels
    if num_bytes > 2 * needed + MAX_EXTRA_BYTES:
        raise UserError(
            f"{where}: takes {num_bytes} bytes for {header.height}x{header.width} px, as "
            "decompression bombs do; make it again"
        )


def _make_source(
    path: str | Path,
    *,
    sha256: str,
    images: list[_Image],
    labels: np.ndarray | None,
    label_fault: str | None,
    read_images: Callable[[Iterable[_Image]], Iterator[bytes | Path]],
    kind: str,
) -> ImageSet:
    """Check that images are of one size, and put the set together.

    Grey images among RGB ones become RGB by repetition, which loses nothing.
    """
    sizes: dict[tuple[int, int], str] = {}
    for image in images:
        sizes.setdefault((image.header.height, image.header.width), image.name)
    if len(sizes) > 1:
        (one, first), (other, second) = list(sizes.items())[:2]
        raise UserError(
            f"{path}: images have {len(sizes)} sizes (height x width): {first} is "
            f"{one[0]}x{one[1]} px, {second} is {other[0]}x{other[1]} px; all must be equal, "
            "resize them first"
        )
    (height, width), _ = sizes.popitem()
    shape = (height, width, max(image.header.channels for image in images))
    iterate = partial(_iterate, str(path), images, shape, read_images)
    return ImageSet(
        path=str(path),
        sha256=sha256,
        num_images=len(images),
        shape=shape,
        labels=labels,
        iterate_batches=partial(iterate, range(len(images))),
        iterate_some=iterate,
        kind=kind,
        label_fault=label_fault,
        num_jpegs=sum(image.header.is_jpeg for image in images),
        folders=_number_folders([image.name for image in images]) if labels is None else None,
    )


def _number_folders(names: Sequence[str]) -> np.ndarray | None:
    """Number the folders of images, int64 [n]; None where they cannot be those of classes."""
    folders = [name.rpartition("/")[0] for name in names]
    if all(folder == f"{index // 1000:05d}" for index, folder in enumerate(folders)):
        return None  # EDM's and StyleGAN's tools put every thousand images into one
    numbers = {folder: number for number, folder in enumerate(dict.fromkeys(folders))}
    if len(numbers) < 2:
        return None
    return np.array([numbers[folder] for folder in folders], dtype=np.int64)


def _read_zip(path: Path, images: Iterable[_Image]) -> Iterator[bytes]:
    """Read the files of images out of a zip, whose reader is for one thread."""
    with zipfile.ZipFile(path) as archive:
        for image in images:
            with tell_damage(f"{path}: {image.name}", "member of a zip"):
                data = archive.read(image.name)
            yield data


def _read_folder(folder: Path, images: Iterable[_Image]) -> Iterator[Path]:
    """Leave the reading to the threads that decode."""
    for image in images:
        yield folder / image.name


def _iterate(
    path: str,
    images: list[_Image],
    shape: tuple[int, int, int],
    read_images: Callable[[Iterable[_Image]], Iterator[bytes | Path]],
    rows: Sequence[int] | np.ndarray,
    batch_size: int,
) -> Iterator[np.ndarray]:
    """Decode images in threads, pieces of a batch at a time, about one batch ahead."""
    num_threads = min(4, count_cores())
    pieces = _cut(images, read_images, rows, batch_size)
    decode = partial(_decode_piece, path, shape)
    lookahead = max(num_threads, -(-batch_size // PIECE_IMAGES))
    left = len(rows)
    batch, filled = np.empty((min(batch_size, left), *shape), np.uint8), 0
    for pixels in map_in_order(decode, pieces, num_threads=num_threads, lookahead=lookahead):
        batch[filled : filled + len(pixels)] = pixels
        filled += len(pixels)
        if filled == len(batch):
            left -= filled
            full, batch = batch, np.empty((min(batch_size, left), *shape), np.uint8)
            filled = 0
            yield full


def _cut(
    images: list[_Image],
    read_images: Callable[[Iterable[_Image]], Iterator[bytes | Path]],
    rows: Sequence[int] | np.ndarray,
    batch_size: int,
) -> Iterator[list[tuple[int, _Image, bytes | Path]]]:
    """Yield rows, images and their files in pieces that never cross a batch's border."""
    piece = []
    files = read_images(images[row] for row in rows)
    for index, (row, data) in enumerate(zip(rows, files, strict=True), start=1):
        piece.append((row, images[row], data))
        if len(piece) == PIECE_IMAGES or index % batch_size == 0 or index == len(rows):
            yield piece
            piece = []


def _decode_piece(
    path: str, shape: tuple[int, int, int], piece: list[tuple[int, _Image, bytes | Path]]
) -> np.ndarray:
    """Decode some images to uint8 [n, h, w, c]."""
    pixels = np.empty((len(piece), *shape), np.uint8)
    for index, (row, image, data) in enumerate(piece):
        where = f"{path}: {image.name} (row {row})"
        if isinstance(data, Path):
            with tell_damage(where, "file"):
                data = data.read_bytes()
        pixels[index] = decode_image(data, image.header, where)
    return pixels
