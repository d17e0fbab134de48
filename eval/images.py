"""Read batches of images: .npz as the authors published them, .zip of PNGs with dataset.json."""

import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from eval.checks import check_images
from records.errors import UserError

DAMAGE = (ValueError, zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError)


def load_arrays(path: str | Path, needed: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Load all arrays of an .npz; nothing in it is ever unpickled.

    Args:
        path: the file.
        needed: names that must be there.

    Raises:
        UserError: no such file, damaged, not an .npz, holding Python objects, or lacking a name.
    """
    try:
        # The file is opened here since numpy leaves it open when the zip turns out to be damaged.
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                raise UserError(f"{path}: one bare array (.npy); an .npz with {needed} is needed")
            missing = [name for name in needed if name not in loaded.files]
            if missing:
                raise UserError(
                    f"{path}: holds {sorted(loaded.files)} and lacks {missing}; "
                    "images belong in arr_0, statistics in mu, sigma, mu_s and sigma_s"
                )
            return {name: loaded[name] for name in loaded.files}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; an .npz of images is needed here") from None
    except DAMAGE as error:
        if "pickle" in str(error):
            raise UserError(
                f"{path}: holds pickled Python objects, which are never opened since they can run "
                "code; save plain uint8 arrays instead"
            ) from None
        raise UserError(
            f"{path}: not a readable .npz, it may be cut short ({error}); make or fetch it again"
        ) from None


def load_images(path: str | Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Load images and labels from an .npz (arr_0, arr_1) or a .zip data set, by the file's ending.

    Returns:
        uint8 [n, h, w, 1 or 3] and int64 [n], or None where there are no labels.

    Raises:
        UserError: unreadable, or not 8-bit images of one size.
    """
    if Path(path).suffix == ".zip":
        return load_dataset(path)
    arrays = load_arrays(path, ("arr_0",))
    check_images(arrays["arr_0"], f"{path}: arr_0")
    return arrays["arr_0"], arrays.get("arr_1")


def load_dataset(path: str | Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Load a zip of PNGs, with labels in its dataset.json.

    Where dataset.json lists labels, it also says which images there are and their order; else all
    PNGs are taken by name.

    Returns:
        uint8 [n, h, w, 1 or 3] and int64 [n], or None where there are no labels.

    Raises:
        UserError: damaged, no PNG in it, a listed image missing, mixed sizes, or a PNG that is
            neither 8-bit grey nor RGB.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            listed = _read_labels(archive, path) if "dataset.json" in names else None
            if listed is None:
                listed = [(name, None) for name in sorted(names) if name.endswith(".png")]
            if not listed:
                raise UserError(f"{path}: holds no PNG; images as PNG files are needed")
            missing = [name for name, _ in listed if name not in names]
            if missing:
                raise UserError(
                    f"{path}: dataset.json lists {len(missing)} images that are not in the file "
                    f"(first: {missing[0]}); make the data set again"
                )
            images = [_read_png(archive.read(name), f"{path}: {name}") for name, _ in listed]
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; a zip of PNGs is needed here") from None
    except DAMAGE as error:
        raise UserError(
            f"{path}: not a readable zip, it may be cut short ({error}); make or fetch it again"
        ) from None
    shapes = sorted({image.shape for image in images})
    if len(shapes) > 1:
        raise UserError(
            f"{path}: images have {len(shapes)} shapes (height, width, channels), "
            f"{shapes[0]} and {shapes[1]} among them; all must be equal, resize them first"
        )
    labels = [label for _, label in listed]
    return np.stack(images), None if None in labels else np.array(labels, dtype=np.int64)


def _read_labels(archive: zipfile.ZipFile, path: str | Path) -> list[tuple[str, int]] | None:
    """Read the names and labels of a data set; None when its dataset.json says there are none."""
    try:
        labels: Any = json.loads(archive.read("dataset.json"))["labels"]
        return None if labels is None else [(str(name), int(label)) for name, label in labels]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError):
        raise UserError(
            f'{path}: dataset.json is not {{"labels": [[name, number], ...]}} or '
            '{"labels": null}; make the data set again'
        ) from None


def _read_png(data: bytes, where: str) -> np.ndarray:
    """Decode one image to uint8 [h, w, 1 or 3]; only lossless 8-bit grey or RGB is taken."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.format != "PNG" or image.mode not in ("L", "RGB"):
                raise UserError(
                    f"{where}: a {image.format} of mode {image.mode}; PNG, 8-bit grey or RGB, is "
                    "needed (lossy compression and conversions move FID)"
                )
            pixels = np.asarray(image)
    except (UnidentifiedImageError, SyntaxError, OSError) as error:
        raise UserError(f"{where}: not a readable PNG ({error}); make the data set again") from None
    return pixels[:, :, None] if pixels.ndim == 2 else pixels
