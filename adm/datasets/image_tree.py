"""Images in a folder: one folder per class, WNID_xxx.JPEG files, or without labels."""

import os
import stat
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

from adm.datasets.classes import LIST_NAME, Classes, find_classes, read_class_list, survey
from adm.datasets.own_images import (
    HIDDEN,
    LINKS,
    LOOSE,
    OTHERS,
    SPECIAL,
    Listed,
    OwnImages,
    Reader,
    UnusableImage,
    check_num_bytes,
    is_hidden,
    is_image_name,
    read_part,
)
from records.errors import UserError
from records.limits import read_bytes


def open_image_folder(
    path: str | Path, *, labels: str = "auto", num_classes: int | None = None
) -> OwnImages:
    """Find the classes of a folder of images.

    Args:
        path: the folder.
        labels: see `find_classes`; with `auto` the labels of a dataset.json come first.
        num_classes: for labels of dataset.json, how many classes there are.

    Raises:
        UserError: cannot be read, or no clear classes; see `find_classes` and `read_class_list`.
    """
    path = Path(path)
    _scan(path)
    if labels == "none":
        classes = None
    elif labels == "auto" and (path / LIST_NAME).is_file():
        names = (name for name, is_folder in _list_names(path) if not is_folder)
        content = read_bytes(path / LIST_NAME)
        classes = read_class_list(path, content, filter(is_image_name, names), num_classes)
    else:
        found = survey(_list_names(path), labels)
        classes = find_classes(path, found, labels, advise=lambda name: f"give {path / name}")
    return OwnImages(
        "folder",
        path,
        classes and classes.names,
        classes is not None,
        None,
        partial(_iterate_images, path, classes),
    )


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


def _iterate_images(path: Path, classes: Classes | None) -> Iterator[Listed]:
    """List the images class by class where folders are the classes, then what is in none."""
    if classes is None or classes.around is None:
        for one in _walk(path, ""):
            yield Listed(one.name, classes and classes.label_of(one.name), one.place, one.why)
        return
    assert classes.names is not None
    folders = ["/".join([*classes.around, name]) for name in classes.names]
    for label, folder in enumerate(folders):
        for one in _walk(path, folder):
            yield Listed(one.name, label, one.place, one.why)
    for one in _walk(path, "", skipped=frozenset(folders)):
        yield Listed(one.name, None, [], one.why or LOOSE)


def _list_names(path: Path, below: str = "") -> Iterator[tuple[str, bool]]:
    """List what is not hidden: each path, and whether it is a folder."""
    for entry in _scan(path / below):
        if is_hidden(entry.name):
            continue
        name = f"{below}/{entry.name}" if below else entry.name
        is_folder = _is_followed(entry, below)
        yield name, is_folder
        if is_folder:
            yield from _list_names(path, name)


def _walk(
    path: Path, below: str, *, skipped: Collection[str] = (), hidden: bool = False
) -> Iterator[Listed]:
    """List the files under a folder in the order of sorted names, one folder at a time."""
    for entry in _scan(path / below):
        name = f"{below}/{entry.name}" if below else entry.name
        concealed = hidden or is_hidden(entry.name)
        if name in skipped:
            continue
        if _is_followed(entry, below):
            yield from _walk(path, name, skipped=skipped, hidden=concealed)
        else:
            yield _list_file(entry, name, concealed)


def _is_followed(entry: os.DirEntry, below: str) -> bool:
    """Tell a folder; links to folders are followed where classes are, deeper they may be loops."""
    return entry.is_dir(follow_symlinks=not below)


def _list_file(entry: os.DirEntry, name: str, hidden: bool) -> Listed:
    """Describe a file; size and time are in an image's place, so that a change is noticed."""
    if hidden:
        return Listed(name, None, [], HIDDEN)
    if entry.is_dir():
        return Listed(name, None, [], LINKS)
    if not is_image_name(entry.name):
        return Listed(name, None, [], OTHERS)
    try:
        status = entry.stat()
    except OSError:  # a link to nothing: it is tried like the others, and reported
        return Listed(name, None, [name, 0, 0])
    if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for without end
        return Listed(name, None, [], SPECIAL)
    return Listed(name, None, [name, status.st_size, status.st_mtime_ns])


def _scan(path: Path) -> list[os.DirEntry]:
    """Return the sorted entries of a folder."""
    try:
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda one: one.name)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); give a folder of images that you may read"
        ) from None
