"""Images in a zip: one folder per class, the zips of EDM and StyleGAN tools, or without labels."""

import os
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path, PurePosixPath

from adm.datasets.classes import LIST_NAME, Classes, find_classes, read_class_list, survey
from adm.datasets.own_images import (
    HIDDEN,
    LOOSE,
    OTHERS,
    Listed,
    OwnImages,
    Reader,
    UnusableImage,
    check_num_bytes,
    is_hidden,
    is_image_name,
    make_stamp,
    read_part,
)
from records.errors import UserError
from records.limits import read_member

LOCAL_HEADER_BYTES = 30
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def open_image_archive(
    path: str | Path, *, labels: str = "auto", num_classes: int | None = None
) -> OwnImages:
    """Find the images and classes of a zip; Python keeps its directory, about 1 kB an image.

    Args:
        path: the zip.
        labels: see `find_classes`; with `auto` the labels of a dataset.json come first.
        num_classes: for labels of dataset.json, how many classes there are.

    Raises:
        UserError: no zip or cut short, a name twice, or no clear classes; see `find_classes` and
            `read_class_list`.
    """
    path = Path(path)
    stamp, infos, folders = _read_directory(path)
    shown = {name: info for name, info in infos.items() if not _is_concealed(name)}
    if labels == "none":
        classes = None
    elif labels == "auto" and LIST_NAME in shown:
        images = filter(is_image_name, shown)
        classes = read_class_list(path, _read_member(path, LIST_NAME), images, num_classes)
    else:
        entries = chain(((name, True) for name in folders), ((name, False) for name in shown))
        found = survey(entries, labels)
        classes = find_classes(
            path,
            found,
            labels,
            advise=lambda name: f"give its folder {name} alone, as a folder or in a zip",
        )

    def iterate_images() -> Iterator[Listed]:
        listed = [_list_member(info, classes) for info in infos.values()]
        by_class = classes is not None and classes.around is not None
        last = sys.maxsize  # what is in no class
        yield from sorted(
            listed,
            key=lambda one: (
                (last if one.label is None else one.label) if by_class else 0,
                PurePosixPath(one.name).parts,
            ),
        )

    names = classes and classes.names
    return OwnImages("zip", path, names, classes is not None, stamp, iterate_images)


def make_archive_reader(path: Path) -> Reader:
    """Return a function that reads a member from [header offset, sizes, method, CRC-32]."""
    handle = os.open(path, os.O_RDONLY)

    def read(place: list[int]) -> bytes:
        offset, packed_bytes, num_bytes, method, crc = place
        if method not in METHODS:
            what = "encrypted" if method < 0 else f"packed by method {method}"
            raise UnusableImage(f"{what}; only stored and deflated members are read")
        check_num_bytes(num_bytes)
        header = read_part(handle, offset, LOCAL_HEADER_BYTES)
        if header[:4] != b"PK\x03\x04":
            raise UnusableImage("the zip's directory does not fit its content")
        name_bytes, extra_bytes = struct.unpack("<HH", header[26:30])
        start = offset + LOCAL_HEADER_BYTES + name_bytes + extra_bytes
        content = read_part(handle, start, packed_bytes)
        if method == zipfile.ZIP_DEFLATED:
            try:
                content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, num_bytes + 1)
            except zlib.error as error:
                raise UnusableImage(f"cannot be unpacked ({error})") from None
        if len(content) != num_bytes or zlib.crc32(content) != crc:
            raise UnusableImage("damaged in the zip: its size or CRC-32 is another")
        return content

    return read


def _read_directory(path: Path) -> tuple[list[int], dict[str, zipfile.ZipInfo], set[str]]:
    """Return the zip's stamp, its files by name, and its folders that are members themselves."""
    infos: dict[str, zipfile.ZipInfo] = {}
    folders: set[str] = set()
    try:
        stamp = make_stamp(path)
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.is_dir():
                    if not _is_concealed(info.filename):
                        folders.add(info.filename)
                    continue
                if info.filename in infos:
                    raise UserError(
                        f"{path}: the name {info.filename!r} is there twice; make the zip again"
                    )
                infos[info.filename] = info
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise UserError(
            f"{path}: not a zip, or cut short ({error}); get it again, or give a folder"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give another path") from None
    return stamp, infos, folders


def _read_member(path: Path, name: str) -> bytes:
    """Return the content of a file in the zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            return read_member(archive, name)
    except ValueError as error:
        raise UserError(f"{path}: {error}; make the zip again, or say --labels none") from None


def _is_concealed(name: str) -> bool:
    """Tell whether a member is one that tools leave behind, or in such a folder."""
    return any(map(is_hidden, PurePosixPath(name).parts))


def _list_member(info: zipfile.ZipInfo, classes: Classes | None) -> Listed:
    """Describe a member, which is listed as an image or left out."""
    name = info.filename
    label = classes and classes.label_of(name)
    why = ""
    if _is_concealed(name):
        why = HIDDEN
    elif not is_image_name(name):
        why = OTHERS
    elif classes is not None and label is None:
        why = LOOSE
    if why:
        return Listed(name, None if why == LOOSE else label, [], why)
    method = info.compress_type if not info.flag_bits & 1 else -1
    place = [info.header_offset, info.compress_size, info.file_size, method, info.CRC]
    return Listed(name, label, place)
