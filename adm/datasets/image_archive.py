"""Images in a zip: one folder per class, the zips of EDM and StyleGAN tools, or without labels."""

import json
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from adm.datasets.own_images import (
    Listed,
    OwnImages,
    Reader,
    UnusableImage,
    check_class_names,
    check_depth,
    check_num_bytes,
    is_hidden,
    is_image_name,
    make_stamp,
    read_part,
)
from records.errors import UserError

LOCAL_HEADER_BYTES = 30
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def open_image_archive(
    path: str | Path, *, labels: str = "auto", num_classes: int | None = None
) -> OwnImages:
    """Find the images and classes of a zip; Python keeps its directory, about 1 kB an image.

    Args:
        path: the zip.
        labels: as for `open_image_folder`; with `auto` the labels of a dataset.json come first. A
            single folder around everything is passed over.
        num_classes: for labels of dataset.json, how many classes there are.

    Raises:
        UserError: no zip or cut short, a name twice, two classes with one name, labels out of
            range or of images that are not there, or no clear classes; see `open_image_folder`.
    """
    path = Path(path)
    stamp, infos, folders = _read_directory(path)
    images = sorted(name for name in infos if is_image_name(name))
    given = _read_labels(path, infos, num_classes) if labels == "auto" else None
    class_names: tuple[str, ...] | None = None
    found: dict[str, int] = {}
    if given:
        unlabelled = [name for name in images if name not in given]
        if unlabelled:
            raise UserError(
                f"{path}: dataset.json has no label for {unlabelled[0]!r} and "
                f"{len(unlabelled) - 1} more; complete it, or say --labels none"
            )
        found = given
    elif given is None:
        found, class_names = _find_classes(path, images, folders, labels)

    def iterate_images() -> Iterator[Listed]:
        for name in sorted(infos, key=lambda one: (found.get(one) or 0, one)):
            info = infos[name]
            place = []
            if is_image_name(name):
                place = [
                    info.header_offset,
                    info.compress_size,
                    info.file_size,
                    info.compress_type if not info.flag_bits & 1 else -1,
                    info.CRC,
                ]
            yield Listed(name, found.get(name), place)

    return OwnImages("zip", path, class_names, bool(found), stamp, iterate_images)


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


def _read_directory(
    path: Path,
) -> tuple[list[int], dict[str, zipfile.ZipInfo], set[tuple[str, ...]]]:
    """Return the zip's stamp, its files by name, and the parts of its folders, empty ones too."""
    infos: dict[str, zipfile.ZipInfo] = {}
    folders: set[tuple[str, ...]] = set()
    try:
        stamp = make_stamp(path)
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                parts = PurePosixPath(info.filename).parts
                if any(map(is_hidden, parts)):
                    continue
                folders.add(parts if info.is_dir() else parts[:-1])
                if info.is_dir():
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


def _read_labels(
    path: Path, infos: dict[str, zipfile.ZipInfo], num_classes: int | None
) -> dict[str, int] | None:
    """Return the labels of dataset.json by name, None where there are none."""
    if "dataset.json" not in infos:
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            labels = json.loads(archive.read("dataset.json"))["labels"]
        if labels is None:
            return {}
        pairs = [(str(name), label) for name, label in labels]
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            f'{path}: dataset.json is not {{"labels": [["a.png", 5], ...]}} ({error}); correct it, '
            "or say --labels folders or none"
        ) from None
    for name, label in pairs:
        if name not in infos:
            raise UserError(
                f"{path}: dataset.json names {name!r}, which is not in the zip; make it again"
            )
        if type(label) is not int or label < 0 or (num_classes and label >= num_classes):
            needed = f"0 to {num_classes - 1}" if num_classes else "integers from 0"
            raise UserError(
                f"{path}: dataset.json: {name} has label {label!r}; labels are {needed}: correct "
                "it, or ask for another num_classes"
            )
    return dict(pairs)


def _find_classes(
    path: Path, images: list[str], folders: set[tuple[str, ...]], labels: str
) -> tuple[dict[str, int], tuple[str, ...] | None]:
    """Return the label of each image and the class names, by folder or by prefix.

    A folder without images beside the others is a class too, which the list of images refuses.
    """
    parts = {name: PurePosixPath(name).parts for name in images}
    # Archives often have one folder around everything.
    depth = 0
    while len({one[depth] for one in parts.values()}) == 1 and all(
        len(one) > depth + (1 if labels == "prefix" else 2) for one in parts.values()
    ):
        depth += 1
    flat = [name for name, one in parts.items() if len(one) == depth + 1]
    if labels == "auto":
        labels = "folders" if len(flat) < len(images) else "none"
        if flat and labels == "folders":
            raise UserError(
                f"{path}: {len(flat)} images (as {flat[0]}) are beside folders of images, so it is "
                "not clear what the classes are; move them, or say --labels folders, prefix or none"
            )
        if all(len(one) > depth + 2 for one in parts.values()):
            inner: dict[str, set[str]] = {}
            for one in parts.values():
                inner.setdefault(one[depth], set()).add(one[depth + 1])
            check_depth(
                path,
                inner,
                advise=lambda name: f"give its folder {name} alone, as a folder or in a zip",
            )
    if labels == "none":
        return {}, None
    if labels == "prefix":
        without = [name for name in images if "_" not in parts[name][-1]]
        if without:
            raise UserError(
                f"{path}: {without[0]!r} has no underscore; with labels by prefix every name is "
                "<class>_<anything>: rename it, or say --labels none"
            )
        classes = {name: parts[name][-1].split("_")[0] for name in images}
        found = set(classes.values())
    else:
        if flat:
            raise UserError(
                f"{path}: {flat[0]!r} is in no folder; with labels by folder every image is in "
                "the folder of its class: move it, or say --labels none"
            )
        classes = {name: parts[name][depth] for name in images}
        around = parts[images[0]][:depth] if images else ()
        found = {one[depth] for one in folders if len(one) > depth and one[:depth] == around}
    names = sorted(found)
    check_class_names(path, names)
    places = {name: label for label, name in enumerate(names)}
    return {name: places[one] for name, one in classes.items()}, tuple(names)
