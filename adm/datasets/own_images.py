"""What every format tells: which images there are, in which order, and where they are."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from unicodedata import normalize

from adm.datasets.imagenet_classes import WNIDS
from records.errors import UserError

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp"}
    | {".tif", ".tiff", ".ppm", ".pgm"}
)
MAX_FILE_BYTES = 2**28
SHOWN = 10

# What is left out, and counted.
HIDDEN = "hidden files"
LINKS = "links to folders"
SPECIAL = "things that are no regular files"
OTHERS = "files that are no images by their names"
LOOSE = "images in no class folder"

Reader = Callable[[list[Any]], bytes]


@dataclass(frozen=True)
class Listed:
    """One entry of a user's images.

    Attributes:
        name: what a person finds it by: path, member or key.
        label: place of its class in the sorted class names; None without labels.
        place: JSON values with which the format's reader finds the bytes; empty for what is left
            out.
        why: what is left out, as a plural; empty for an image.
    """

    name: str
    label: int | None
    place: list[Any]
    why: str = ""


@dataclass(frozen=True)
class OwnImages:
    """Images that a user brings, not decoded yet.

    Attributes:
        kind: key of `READERS`.
        path: the file or folder.
        class_names: names of the classes in the order of their labels; None where only numbers, or
            no labels, are known.
        labelled: whether every image has a label.
        stamp: size and time of a single file; None for a folder, which is listed again each time.
        iterate_images: lists the images from the start, in their order, class by class where the
            format allows it, so that the list is never whole in memory.
    """

    kind: str
    path: Path
    class_names: tuple[str, ...] | None
    labelled: bool
    stamp: list[int] | None
    iterate_images: Callable[[], Iterator[Listed]]


class UnusableImage(ValueError):
    """An image that cannot be used; the words say why."""


def is_image_name(name: str) -> bool:
    """Tell from its ending whether a file is meant to be an image."""
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder is one that tools leave behind, no class and no image."""
    return name.startswith(".") or name == "__MACOSX"


def make_stamp(path: Path) -> list[int]:
    """Return a file's size in bytes and its time of change in ns."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def read_part(handle: int, offset: int, num_bytes: int) -> bytes:
    """Read a part of an open file without moving its place.

    Raises:
        UnusableImage: the file ends before, or the system cannot read it.
    """
    check_num_bytes(num_bytes)
    content = b""
    try:
        while len(content) < num_bytes:
            piece = os.pread(handle, num_bytes - len(content), offset + len(content))
            if not piece:
                raise UnusableImage(f"the file ends after {len(content)} of {num_bytes} bytes")
            content += piece
    except OSError as error:
        raise UnusableImage(f"cannot be read ({error.strerror})") from None
    return content


def check_num_bytes(num_bytes: int) -> None:
    """Refuse what no photograph is, before memory is filled with it.

    Raises:
        UnusableImage: empty, or larger than MAX_FILE_BYTES.
    """
    if num_bytes == 0:
        raise UnusableImage("empty file")
    if num_bytes > MAX_FILE_BYTES:
        raise UnusableImage(f"{num_bytes} bytes, more than the {MAX_FILE_BYTES} that are read")


def check_class_names(where: object, names: list[str]) -> None:
    """Refuse two classes with one name: equal, or equal on a disk that ignores case or accents.

    Args:
        where: the images, for the message.
        names: names of all classes, as they were found.

    Raises:
        UserError: with both names.
    """
    seen: dict[str, str] = {}
    for name in names:
        same = seen.setdefault(normalize("NFC", name).casefold(), name)
        if same is not name:
            raise UserError(
                f"{where}: two classes with one name, {same!r} and {name!r}; every class must be "
                "there once: rename or remove one"
            )


def check_num_classes(
    where: object, names: tuple[str, ...], *, expected: int, imagenet: bool
) -> None:
    """Refuse another number of classes than is needed, or other classes than ImageNet's.

    Args:
        where: the images, for the message.
        names: sorted names of the classes that were found.
        expected: how many are needed.
        imagenet: whether 1,000 classes must be those of ILSVRC 2012.

    Raises:
        UserError: with the names that are missing, where that is known.
    """
    known = imagenet and expected == len(WNIDS)
    missing = sorted(set(WNIDS) - set(names)) if known else []
    foreign = sorted(set(names) - set(WNIDS)) if known else []
    if len(names) == expected and not missing:
        return
    words = f"{where}: {len(names)} classes; {expected} are needed"
    if missing:
        words += f"; missing: {show_some(missing)}"
    if foreign:
        words += f"; not of ILSVRC 2012: {show_some(foreign)}"
    raise UserError(words + "; get the rest of the data, or ask for another num_classes")


def show_some(names: Sequence[str]) -> str:
    """Write the first names of a list and how many more there are."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
