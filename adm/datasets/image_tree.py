"""Images in a folder: one folder per class, WNID_xxx.JPEG files, or without labels."""

import os
from collections.abc import Iterator
from pathlib import Path

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
    read_part,
)
from records.errors import UserError

LABELS = ("auto", "folders", "prefix", "none")


def open_image_folder(path: str | Path, *, labels: str = "auto") -> OwnImages:
    """Find the classes of a folder of images.

    Args:
        path: the folder.
        labels: `folders`, one folder per class, labels in the order of their sorted names;
            `prefix`, the class is the name before the first underscore, as the authors' loader
            takes it; `none`; `auto`, `folders` when there are some, otherwise `none`.

    Raises:
        UserError: cannot be read, nothing in it, images beside class folders, with `auto` folders
            of folders (see `check_depth`), two classes with one name, or a name without a prefix.
    """
    path = Path(path)
    entries = [one for one in _scan(path) if not is_hidden(one.name)]
    folders = [one.name for one in entries if one.is_dir()]
    files = [one.name for one in entries if not one.is_dir() and is_image_name(one.name)]
    if labels == "auto":
        labels = "folders" if folders else "none"
        if folders and files:
            raise UserError(
                f"{path}: {len(files)} images (as {files[0]}) are beside {len(folders)} folders "
                f"(as {folders[0]}), so it is not clear what the classes are; move them, or say "
                "--labels folders, prefix or none"
            )
        inner = _find_inner_folders(path, folders)
        check_depth(path, inner, advise=lambda name: f"give {path / name}")
    if labels == "folders":
        return _open_tree(path, folders)
    if labels == "prefix":
        return _open_prefixed(path, files)
    return OwnImages("folder", path, None, False, None, lambda: _walk(path, "", None))


def has_folders(path: Path) -> bool:
    """Tell whether a folder has folders in it that could be classes."""
    return any(one.is_dir() and not is_hidden(one.name) for one in _scan(path))


def make_folder_reader(path: Path) -> Reader:
    """Return a function that reads a file from its [relative path, size, time]."""

    root = str(path)

    def read(place: list) -> bytes:
        try:  # no pathlib: it keeps the parts of every name
            handle = os.open(os.path.join(root, place[0]), os.O_RDONLY)
        except OSError as error:
            raise UnusableImage(f"cannot be read ({error.strerror})") from None
        try:
            num_bytes = os.fstat(handle).st_size
            check_num_bytes(num_bytes)
            return read_part(handle, 0, num_bytes)
        finally:
            os.close(handle)

    return read


def _find_inner_folders(path: Path, folders: list[str]) -> dict[str, set[str]]:
    """Return the folders with images in each folder; nothing where one holds an image itself."""
    found: dict[str, set[str]] = {}
    for folder in folders:
        inner = set()
        for entry in _scan(path / folder):
            if is_hidden(entry.name):
                continue
            below = f"{folder}/{entry.name}"
            if not entry.is_dir():
                if is_image_name(entry.name):
                    return {}
            elif not entry.is_symlink() and any(one.place for one in _walk(path, below, None)):
                inner.add(entry.name)
        found[folder] = inner
    return found


def _open_tree(path: Path, folders: list[str]) -> OwnImages:
    """Take each folder as a class."""
    check_class_names(path, folders)
    if not folders:
        raise UserError(f"{path}: no folders in it; one folder per class is needed")

    def iterate_images() -> Iterator[Listed]:
        for label, folder in enumerate(sorted(folders)):
            yield from _walk(path, folder, label)

    return OwnImages("folder", path, tuple(sorted(folders)), True, None, iterate_images)


def _open_prefixed(path: Path, files: list[str]) -> OwnImages:
    """Take what is before the first underscore as the class."""
    without = [name for name in files if "_" not in name]
    if without:
        raise UserError(
            f"{path}: {without[0]!r} has no underscore; with labels by prefix every name is "
            "<class>_<anything>: rename it, or say --labels none"
        )
    names = sorted({name.split("_")[0] for name in files})
    check_class_names(path, names)
    labels = {name: label for label, name in enumerate(names)}

    def iterate_images() -> Iterator[Listed]:
        for listed in _walk(path, "", None, deep=False):
            prefix = listed.name.split("_")[0]
            yield Listed(listed.name, labels.get(prefix), listed.place)

    return OwnImages("folder", path, tuple(names), True, None, iterate_images)


def _walk(path: Path, below: str, label: int | None, deep: bool = True) -> Iterator[Listed]:
    """List the files under a folder in the order of sorted names, one folder at a time.

    Size and time are part of an image's place, so that a continued run notices a changed file.
    """
    for entry in _scan(path / below):
        name = f"{below}/{entry.name}" if below else entry.name
        if is_hidden(entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            if deep:
                yield from _walk(path, name, label)
            continue
        place = []
        if is_image_name(entry.name) and not entry.is_dir():
            try:
                status = entry.stat()
                place = [name, status.st_size, status.st_mtime_ns]
            except OSError:  # a link to nothing: it is tried like the others, and reported
                place = [name, 0, 0]
        yield Listed(name, label, place)


def _scan(path: Path) -> list[os.DirEntry]:
    """Return the sorted entries of a folder."""
    try:
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda one: one.name)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); give a folder of images that you may read"
        ) from None
