"""Sheets of sample images as PNG, small enough to live inside a page."""

import base64
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from records.batches import read_arrays, read_header
from records.errors import UserError
from records.limits import parse_json, read_member

PER_CLASS = 6  # of a table's sheets
MAX_CLASSES = 10  # with more classes than this the first images are shown as they come
LINES = 5  # of a sheet that is not by class
SEARCHED_IMAGES = 2000  # how far to look for the images of a class
TILE_PX = 32  # a tile is shown at this size at least (the browser enlarges it), at most at twice it
GAP_PX = 1  # between tiles, transparent


def read_first_images(path: str | Path, num_images: int) -> np.ndarray:
    """Read the first images of a batch without reading the others.

    Args:
        path: .npz with arr_0, uint8 [n, h, w, c].
        num_images: how many at most.

    Returns:
        uint8 [min(n, num_images), h, w, c].

    Raises:
        UserError: not such a file, or cut short.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open("arr_0.npy") as member:
            dtype, shape, fortran_order = read_header(member, "arr_0")
            if dtype != np.uint8 or len(shape) != 4 or fortran_order:
                raise ValueError(f"arr_0 is {dtype} {list(shape)}; uint8 [n, h, w, c] is needed")
            count = min(shape[0], num_images)
            size = count * int(np.prod(shape[1:]))
            data = member.read(size)
            if len(data) != size:
                raise ValueError(f"arr_0 ends after {len(data)} of {size} bytes")
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path}: no batch of images can be read ({error}); make or fetch it again"
        ) from None
    return np.frombuffer(data, dtype=np.uint8).reshape(count, *shape[1:])


def read_labels(path: str | Path) -> np.ndarray | None:
    """Read the labels of a batch (arr_1, [n]); None when it has none."""
    try:
        return read_arrays(path, ["arr_1"]).get("arr_1")
    except (ValueError, OSError) as error:
        raise UserError(
            f"{path}: labels cannot be read ({error}); make or fetch it again"
        ) from None


def read_zip_images(path: str | Path) -> tuple[list[str], np.ndarray | None]:
    """List the PNGs of a data set with their labels (dataset.json), reading no image.

    Returns:
        Names in the data set's order, and int64 [n] or None.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if name.endswith(".png"))
            listed = None
            if "dataset.json" in archive.namelist():
                listed = parse_json(read_member(archive, "dataset.json")).get("labels")
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: no data set can be read ({error}); make it again") from None
    if not listed:
        return names, None
    return [name for name, _ in listed], np.array([label for _, label in listed], dtype=np.int64)


def read_pngs(path: str | Path, names: list[str]) -> np.ndarray:
    """Read some PNGs of a data set as uint8 [n, h, w, 3]."""
    try:
        with zipfile.ZipFile(path) as archive:
            opened = [Image.open(io.BytesIO(archive.read(name))) for name in names]
            return np.stack([np.asarray(image.convert("RGB")) for image in opened])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: its images cannot be read ({error}); make it again") from None


def choose_images(
    labels: np.ndarray | None, num_images: int, per_class: int = PER_CLASS
) -> tuple[list[int], list[int] | None]:
    """Choose which images to show: the first of each class when classes are few, else the first.

    Args:
        labels: int [n] or None.
        num_images: how many images there are to choose from.
        per_class: how many of each class; without classes five times as many in all.

    Returns:
        Indices in the order of the sheet, and the classes of its lines (None: not by class).
    """
    if labels is not None:
        labels = labels[:num_images]
        classes = sorted({int(label) for label in labels})
        if 1 < len(classes) <= MAX_CLASSES:
            chosen = [np.flatnonzero(labels == label)[:per_class] for label in classes]
            if all(len(found) == per_class for found in chosen):
                return [int(index) for found in chosen for index in found], classes
    return list(range(min(LINES * per_class, num_images))), None


def make_sheet(images: np.ndarray, columns: int) -> np.ndarray:
    """Lay images out in lines in their own size, large ones reduced by averaging pixels.

    Args:
        images: uint8 [n, h, w, c] with c 1 or 3.
        columns: images per line.

    Returns:
        uint8 [height, width, c + 1], the last channel 255 where there is an image and 0 elsewhere.
    """
    tiles = [reduce_image(image, 2 * TILE_PX) for image in images]
    height, width, channels = tiles[0].shape
    lines, down, right = -(-len(tiles) // columns), height + GAP_PX, width + GAP_PX
    sheet = np.zeros((lines * down - GAP_PX, columns * right - GAP_PX, channels + 1), np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // columns * down, index % columns * right
        sheet[top : top + height, left : left + width, :-1] = tile
        sheet[top : top + height, left : left + width, -1] = 255
    return sheet


def reduce_image(image: np.ndarray, most_px: int) -> np.ndarray:
    """Average blocks of a larger image, uint8 [h, w, c], so that no side is above `most_px`."""
    factor = -(-max(image.shape[:2]) // most_px)
    if factor <= 1:
        return image
    height, width = (edge // factor for edge in image.shape[:2])
    blocks = image[: height * factor, : width * factor].astype(np.float64)
    blocks = blocks.reshape(height, factor, width, factor, -1).mean(axis=(1, 3))
    return np.rint(blocks).astype(np.uint8)


def encode_png(sheet: np.ndarray) -> str:
    """Return a sheet of 1 or 3 channels, and maybe alpha, as a PNG data URI.

    Equal channels are stored once, and gaps of grey sheets as a level that no image has, if there
    is one: a fifth less than with a channel of their own.
    """
    options: dict[str, int] = {}
    if sheet.shape[-1] == 4 and np.all(sheet[..., :3] == sheet[..., :1]):
        sheet = sheet[..., 2:]
    if sheet.shape[-1] == 2:
        grey, shown = sheet[..., 0], sheet[..., 1] == 255
        free = np.setdiff1d(np.arange(256, dtype=np.uint8), grey[shown])
        if len(free) and np.all(sheet[..., 1][~shown] == 0):
            sheet = np.where(shown, grey, free[0])[..., None]
            options["transparency"] = int(free[0])
    if sheet.shape[-1] == 1 or (sheet.shape[-1] == 3 and np.all(sheet == sheet[..., :1])):
        sheet = sheet[..., 0]
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, format="PNG", optimize=True, **options)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def make_grid(
    path: str | Path | None, what: str, *, per_class: int = PER_CLASS, tile_px: int = TILE_PX
) -> dict[str, Any] | None:
    """Make the sheet of one batch or data set.

    Args:
        path: .npz of images and, maybe, labels; or .zip of PNGs and, maybe, dataset.json.
        what: whose images they are, for the alternative text.
        per_class: images per line, which are of one class where classes are few.
        tile_px: at which size small images are shown at least.

    Returns:
        JSON object with the PNG as data URI, its size and a description; None without a file or
        without images.
    """
    if path is None or not Path(path).exists():
        return None
    if Path(path).suffix == ".zip":
        names, labels = read_zip_images(path)
        indices, classes = choose_images(labels, len(names), per_class)
        images = read_pngs(path, [names[index] for index in indices]) if indices else None
    else:
        labels = read_labels(path)
        num_images = LINES * per_class if labels is None else min(len(labels), SEARCHED_IMAGES)
        indices, classes = choose_images(labels, num_images, per_class)
        images = read_first_images(path, max(indices, default=-1) + 1)
        images = images[[index for index in indices if index < len(images)]]
    if images is None or len(images) == 0:
        return None
    sheet = make_sheet(images, per_class)
    factor = max(1, -(-tile_px // max(images.shape[1:3])))
    words = f"the first {len(images)} images"
    if classes is not None:
        words = f"the first {per_class} images of each class, one class a line"
    return {
        "png": encode_png(sheet),
        "width_px": factor * sheet.shape[1],
        "height_px": factor * sheet.shape[0],
        "words": words,
        "alt": f"{what}: {words}, {images.shape[2]} by {images.shape[1]} pixels each",
    }
