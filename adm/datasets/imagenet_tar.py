"""ImageNet from its official archive: a tar of one tar per class, read where it is."""

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from adm.datasets.classes import sort_classes
from adm.datasets.own_images import (
    OTHERS,
    SPECIAL,
    Listed,
    OwnImages,
    Reader,
    check_class_names,
    is_hidden,
    is_image_name,
    make_stamp,
    read_part,
)
from records.errors import UserError

BLOCK_BYTES = 512
AGAIN = "get the archive again (the official one has 147,897,477,120 bytes)"


class _Section(io.RawIOBase):
    """A part of a file as a file of its own, for tarfile."""

    def __init__(self, file: BinaryIO, start: int, num_bytes: int) -> None:
        self._file, self._start, self._num_bytes, self._place = file, start, num_bytes, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._num_bytes}[whence]
        self._place = base + offset
        return self._place

    def read(self, size: int = -1) -> bytes:
        rest = max(0, self._num_bytes - self._place)
        content = os.pread(
            self._file.fileno(), rest if size < 0 else min(size, rest), self._start + self._place
        )
        self._place += len(content)
        return content


def open_imagenet_tar(path: str | Path) -> OwnImages:
    """Find the classes of an ImageNet archive; labels are places in the sorted WNIDs.

    Args:
        path: ILSVRC2012_img_train.tar, or another tar of one `<class>.tar` per class.

    Raises:
        UserError: no tar, compressed, cut short, damaged, no inner tars, or one of them twice.
    """
    path = Path(path)
    classes: dict[str, tuple[int, int]] = {}
    with _open(path) as file:
        members = list(_iterate_members(file, path, 0, path.stat().st_size))
    names: list[str] = []
    others: list[str] = []
    for member in members:
        name = PurePosixPath(member.name)
        if member.isreg() and name.suffix == ".tar" and not is_hidden(name.name):
            names.append(name.stem)
            classes[name.stem] = (member.offset_data, member.size)
        elif not member.isdir():
            others.append(member.name)
    check_class_names(path, names)
    if not classes:
        raise UserError(
            f"{path}: no inner tars among its {len(members)} members; needed: the official "
            "ILSVRC2012_img_train.tar (one n01440764.tar per class); unpack another archive and "
            "give the folder"
        )

    def iterate_images() -> Iterator[Listed]:
        with _open(path) as outer:
            for label, wnid in enumerate(sort_classes(classes)):
                start, num_bytes = classes[wnid]
                where = f"{path}: {wnid}.tar"
                found = list(_iterate_members(outer, where, start, num_bytes))
                for member in sorted(found, key=lambda one: one.name):
                    if member.isdir():
                        continue
                    name = f"{wnid}.tar/{member.name}"
                    if not member.isreg() or member.issparse():
                        yield Listed(name, label, [], SPECIAL)
                    elif not is_image_name(member.name):
                        yield Listed(name, label, [], OTHERS)
                    else:
                        yield Listed(name, label, [start + member.offset_data, member.size])
        for member in others:
            yield Listed(member, None, [], OTHERS)

    return OwnImages(
        kind="imagenet_tar",
        path=path,
        class_names=sort_classes(classes),
        labelled=True,
        stamp=make_stamp(path),
        iterate_images=iterate_images,
    )


def make_tar_reader(path: Path) -> Reader:
    """Return a function that reads a member from its [offset, size]."""
    handle = os.open(path, os.O_RDONLY)
    return lambda place: read_part(handle, place[0], place[1])


def _open(path: Path) -> BinaryIO:
    """Open an archive."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); give the path of ILSVRC2012_img_train.tar"
        ) from None


def _iterate_members(
    file: BinaryIO, where: object, start: int, num_bytes: int
) -> Iterator[tarfile.TarInfo]:
    """List the members of a tar that is a part of a file; only headers are read.

    tarfile takes a damaged header for the end of the archive; that the end is one is checked here.
    """
    section = _Section(file, start, num_bytes)
    head = section.read(6)
    if head[:2] == b"\x1f\x8b" or head[:3] == b"BZh" or head == b"\xfd7zXZ\x00":
        raise UserError(
            f"{where}: compressed; images cannot be read from it one by one: decompress it first"
        )
    section.seek(0)
    try:
        with tarfile.open(fileobj=section, mode="r:") as archive:
            for member in archive:
                needed = member.offset_data + member.size
                if member.size < 0:  # tarfile would go back, and round for ever
                    raise UserError(f"{where}: damaged: {member.name} has a negative size; {AGAIN}")
                if needed > num_bytes:
                    raise UserError(
                        f"{where}: cut short: {member.name} ends at byte {needed}, the archive at "
                        f"{num_bytes}; {AGAIN}"
                    )
                yield member
            end = archive.offset
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UserError(f"{where}: not a tar, damaged or cut short ({error}); {AGAIN}") from None
    section.seek(end)
    if section.read(BLOCK_BYTES) != bytes(BLOCK_BYTES):
        raise UserError(
            f"{where}: cut short or damaged at byte {end} of {num_bytes}: neither a header nor the "
            f"end of the archive is there; {AGAIN}"
        )
