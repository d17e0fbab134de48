"""Image sets: one zip of PNGs with dataset.json, the layout that EDM and StyleGAN tools read."""

import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from types import NoneType
from typing import Any

import numpy as np
from PIL import Image

from records.errors import UserError
from records.files import atomic_write
from records.limits import parse_json, read_member

CACHE_BYTES = 512 * 2**20
FOLDER_IMAGES = 1000


def write_image_zip(
    path: str | Path,
    images: Iterable[np.ndarray],
    *,
    labels: Sequence[int] | None,
    num_classes: int | None,
    image_size_px: int,
    name: str,
    source: str,
    licence: str,
) -> None:
    """Write images into a zip that is byte for byte the same for the same content.

    Args:
        path: the zip to write; it appears when it is whole.
        images: uint8, each [h, w] (stored grey) or [h, w, 3], in order.
        labels: class of each image, 0 to num_classes - 1; None for a set without labels.
        num_classes: number of classes; None without labels.
        image_size_px: height and width of every image.
        name: name of the set.
        source: a sentence saying where the images come from.
        licence: licence of the images.

    Raises:
        UserError: the zip cannot be written.
    """
    names: list[str] = []
    channels = 1
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for index, image in enumerate(images):
            assert image.shape[:2] == (image_size_px, image_size_px), image.shape
            channels = max(channels, 1 if image.ndim == 2 else 3)
            png = io.BytesIO()
            Image.fromarray(image).save(png, format="PNG")
            names.append(f"{index // FOLDER_IMAGES:05d}/img{index:08d}.png")
            _write_member(archive, names[-1], png.getvalue())
        assert labels is None or len(labels) == len(names), (len(names), "images")
        about = {
            "name": name,
            "image_size_px": image_size_px,
            "image_channels": channels,
            "num_classes": num_classes,
            "count": len(names),
            "source": source,
            "licence": licence,
            "labels": None
            if labels is None
            else [[one, int(label)] for one, label in zip(names, labels, strict=True)],
        }
        _write_member(archive, "dataset.json", json.dumps(about, sort_keys=True).encode())


def _write_member(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add a file whose header tells nothing of when and where it was written."""
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.create_system = 3
    info.external_attr = 0o644 << 16
    archive.writestr(info, content)


class ImageZip:
    """Read an image set.

    Attributes:
        name: name of the set.
        labels: int64 [len], or None for a set without labels.
        num_classes: number of classes, or None.
        class_names: their names in the order of the labels, or None.
        image_size_px: height and width of every image, or None when they differ.
        image_channels: 1 when every image is grey, else 3; images are returned with 3 all the same.
    """

    def __init__(self, path: str | Path, image_size_px: int | None = None) -> None:
        """Open a set and check its list of images.

        Args:
            path: the zip.
            image_size_px: the size that is needed, if it matters.

        Raises:
            UserError: missing, truncated or foreign; no dataset.json; names that leave the folder;
                labels out of range or not for every image; images of another size.
        """
        self.path = Path(path)
        try:
            self._archive = zipfile.ZipFile(self.path)
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; make the dataset first") from None
        except zipfile.BadZipFile as error:
            raise UserError(
                f"{path}: not a zip, or cut short ({error}); delete it and make the dataset again"
            ) from None
        except OSError as error:
            raise UserError(
                f"{path}: cannot be read ({error.strerror}); give the zip of a dataset"
            ) from None
        about = self._read_about()
        self.name = str(about.get("name", self.path.stem))
        members = sorted(one for one in self._archive.namelist() if one.endswith(".png"))
        self._names = members
        self.labels: np.ndarray | None = None
        self.num_classes: int | None = None
        self.class_names: tuple[str, ...] | None = None
        if about["labels"] is not None:
            self._read_labels(about, set(members))
        for one in self._names:
            if one.startswith("/") or "\\" in one or ".." in PurePosixPath(one).parts:
                raise UserError(f"{path}: the name {one!r} leaves the folder; do not use this file")
        expected = about.get("count", len(self._names))
        if not self._names or expected != len(self._names):
            raise UserError(
                f"{path}: {len(self._names)} PNG images, dataset.json says {expected}; delete it "
                "and make the dataset again"
            )
        first = self._open(0)
        self.image_size_px: int | None = about.get("image_size_px", first.width)
        self.image_channels: int = about.get("image_channels", 1 if first.mode == "L" else 3)
        if image_size_px is not None and self.image_size_px != image_size_px:
            got = "several sizes" if self.image_size_px is None else f"{self.image_size_px} px"
            raise UserError(
                f"{path}: images of {got}; {image_size_px} px are needed: give the dataset of that "
                "size"
            )
        self._cache: np.ndarray | None = None

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._names)

    @property
    def fits_memory(self) -> bool:
        """Tell whether the decoded set is small enough to be kept in memory."""
        size = self.image_size_px
        return size is not None and len(self) * size * size * 3 < CACHE_BYTES

    def _read_about(self) -> dict[str, Any]:
        """Read dataset.json."""
        try:
            about = parse_json(read_member(self._archive, "dataset.json"))
            labels = about["labels"]
            if labels is not None:
                about["labels"] = [(str(one), label) for one, label in labels]
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{self.path}: no dataset.json with `labels` in it ({error}); the zip needs "
                '{"labels": [["00000/img00000000.png", 5], ...]} or {"labels": null}: '
                "make the dataset again"
            ) from None
        for key in ("num_classes", "image_size_px", "image_channels", "count"):
            if type(about.get(key)) not in (int, NoneType):
                raise UserError(
                    f"{self.path}: dataset.json: {key} is {about[key]!r}; a whole number is "
                    "needed: make the dataset again"
                )
        return about

    def _read_labels(self, about: dict[str, Any], members: set[str]) -> None:
        """Take names and labels from dataset.json and check them."""
        for one, label in about["labels"]:
            if type(label) is not int:
                raise UserError(
                    f"{self.path}: {one} has label {label!r}; labels are whole numbers from 0: "
                    "correct dataset.json"
                )
        self._names = [one for one, _ in about["labels"]]
        labels = [label for _, label in about["labels"]]
        num_classes: int = about.get("num_classes") or max(labels, default=-1) + 1
        for one, label in about["labels"]:
            if one not in members:
                raise UserError(
                    f"{self.path}: dataset.json names {one!r}, which is not a PNG in the zip; "
                    "delete it and make the dataset again"
                )
            if not 0 <= label < num_classes:
                raise UserError(
                    f"{self.path}: {one} has label {label}; labels are 0 to "
                    f"{num_classes - 1}: correct dataset.json"
                )
        unlisted = sorted(members - set(self._names))
        if unlisted:
            raise UserError(
                f"{self.path}: dataset.json has no label for {unlisted[0]!r} and "
                f"{len(unlisted) - 1} more PNGs in the zip; complete it"
            )
        self.labels, self.num_classes = np.array(labels, dtype=np.int64), num_classes
        names = about.get("class_names")
        if isinstance(names, list) and len(names) == num_classes:
            self.class_names = tuple(map(str, names))

    def _open(self, index: int) -> Image.Image:
        """Read the bytes of an image and its header; the pixels are not decoded yet."""
        try:
            return Image.open(io.BytesIO(self._archive.read(self._names[index])), formats=["PNG"])
        except (OSError, zipfile.BadZipFile) as error:
            raise self._damaged(index, error) from None

    def _damaged(self, index: int, error: Exception) -> UserError:
        return UserError(
            f"{self.path}: {self._names[index]} cannot be read ({error}); delete it and make the "
            "dataset again"
        )

    def read(self, index: int) -> np.ndarray:
        """Decode one image to uint8 [h, w, 3].

        Raises:
            UserError: damaged, or of another size than the set's.
        """
        image = self._open(index)
        size = self.image_size_px
        if size is not None and image.size != (size, size):
            raise UserError(
                f"{self.path}: {self._names[index]} has {image.width}x{image.height} px, the set "
                f"{size}x{size}; make the dataset again"
            )
        try:
            return np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError) as error:  # Pillow's word for a damaged PNG chunk
            raise self._damaged(index, error) from None

    def load(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Decode images of one size; a small set is decoded once and kept.

        Args:
            indices: [n], each 0 to len - 1.

        Returns:
            uint8 [n, h, w, 3]; grey images are repeated.
        """
        if not self.fits_memory:
            return np.stack([self.read(int(index)) for index in indices])
        if self._cache is None:
            self._cache = np.stack([self.read(index) for index in range(len(self))])
        return self._cache[np.asarray(indices)]
