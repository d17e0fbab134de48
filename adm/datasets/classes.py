"""Which class each image has, by its name: the same for a folder and for a zip of it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from adm.datasets.own_images import check_class_names, is_image_name, show_some
from records.errors import UserError
from records.limits import MAX_CLASSES, parse_json

LABELS = ("auto", "folders", "prefix", "none")
LIST_NAME = "dataset.json"
Parts = tuple[str, ...]


@dataclass
class Survey:
    """What the names of images say of classes; it grows with the folders, not with the images.

    Attributes:
        folders: every folder, by the parts of its path, also those without images.
        holders: for each folder with images in it, how many and the first.
        prefixes: what is before the first underscore of each name; only for labels by prefix.
        no_prefix: the first name without an underscore, for labels by prefix.
    """

    folders: set[Parts] = field(default_factory=set)
    holders: dict[Parts, tuple[int, str]] = field(default_factory=dict)
    prefixes: set[str] = field(default_factory=set)
    no_prefix: str | None = None


@dataclass(frozen=True)
class Classes:
    """The classes of images: their names in the order of labels, and the label of a name.

    Attributes:
        names: None where only numbers are known.
        label_of: from the path of an image to its label; None for one that is in no class.
        around: parts of the folder that the class folders are in; None unless they are folders.
    """

    names: Parts | None
    label_of: Callable[[str], int | None]
    around: Parts | None = None


def sort_classes(names: Iterable[str]) -> Parts:
    """Put class names in the order of their labels: sorted; where all are numbers, as numbers."""
    names = list(names)
    if all(one.isascii() and one.isdecimal() for one in names):
        return tuple(sorted(names, key=lambda one: (int(one), one)))
    return tuple(sorted(names))


def survey(entries: Iterable[tuple[str, bool]], labels: str) -> Survey:
    """Look through names for what can be classes.

    Args:
        entries: path of each entry that is not hidden, and whether it is a folder.
        labels: one of LABELS.
    """
    found = Survey()
    for name, is_folder in entries:
        parts = PurePosixPath(name).parts
        found.folders.add(parts if is_folder else parts[:-1])
        if is_folder or not is_image_name(name):
            continue
        number, first = found.holders.get(parts[:-1], (0, name))
        found.holders[parts[:-1]] = (number + 1, min(first, name))
        if labels == "prefix":
            found.prefixes.add(parts[-1].split("_")[0])
            if "_" not in parts[-1]:
                found.no_prefix = min(found.no_prefix or name, name)
    return found


def find_classes(
    where: object, found: Survey, labels: str, *, advise: Callable[[str], str]
) -> Classes | None:
    """Decide what the classes are.

    By folder, a single folder around everything is passed over, and a folder without images beside
    the others is a class too, which the list of images refuses.

    Args:
        where: the images, for messages.
        found: of all names.
        labels: `folders`, one folder per class; `prefix`, the class is the file's name before the
            first underscore, as the authors' loader takes it, in whatever folder; `none`; `auto`,
            `folders` when there are some, otherwise `none`.
        advise: says how to give one folder, by its path, alone.

    Returns:
        None for images without labels.

    Raises:
        UserError: with `auto` images beside class folders, or folders of folders; no folder, a
            name without a prefix, or two classes with one name.
    """
    if labels == "prefix":
        return _find_prefixes(where, found)
    shallowest = min(map(len, found.holders), default=0)
    common = _common_parts(found.holders)
    depth = min(len(common), max(0, shallowest - 1))
    around = common[:depth]
    if labels == "none" or (labels == "auto" and found.holders.keys() <= {around}):
        return None
    folders = {one[depth] for one in found.folders if len(one) > depth and one[:depth] == around}
    if labels == "auto":
        _check_clear(where, found, around, advise)
    if not folders:
        raise UserError(f"{where}: no folders in it; one folder per class is needed")
    check_class_names(where, sorted(folders))
    names = sort_classes(folders)
    places = {name: label for label, name in enumerate(names)}

    def label_of(name: str) -> int | None:
        parts = PurePosixPath(name).parts
        return places.get(parts[depth]) if len(parts) > depth + 1 else None

    return Classes(names, label_of, around)


def _find_prefixes(where: object, found: Survey) -> Classes:
    """Take what is before the first underscore as the class."""
    if found.no_prefix is not None:
        raise UserError(
            f"{where}: {found.no_prefix!r} has no underscore; with labels by prefix every name is "
            "<class>_<anything>: rename it, or say --labels none"
        )
    check_class_names(where, sorted(found.prefixes))
    names = sort_classes(found.prefixes)
    places = {name: label for label, name in enumerate(names)}
    return Classes(names, lambda name: places.get(PurePosixPath(name).name.split("_")[0]))


def _common_parts(folders: Iterable[Parts]) -> Parts:
    """Return the first parts that all folders share."""
    common: list[str] = []
    for parts in zip(*folders, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return tuple(common)


def _check_clear(where: object, found: Survey, around: Parts, advise: Callable[[str], str]) -> None:
    """Refuse what may be classes or not: images beside folders, and folders of folders.

    Where no folder holds an image itself and one holds several with images, such as train/cat,
    train/dog, val/cat, the classes are most likely one folder deeper. One folder in each, such as
    n01/images, n02/images, is taken as a part of its class.
    """
    depth = len(around)
    if around in found.holders:
        number, first = found.holders[around]
        beside = min(one for one in found.holders if one != around)
        raise UserError(
            f"{where}: {number} images (as {first}) are beside folders of images (as "
            f"{'/'.join(beside)}), so it is not clear what the classes are; move them, or say "
            "--labels folders, prefix or none"
        )
    below: dict[str, set[str]] = {}
    for one in found.holders:
        if len(one) < depth + 2:
            return
        below.setdefault(one[depth], set()).add(one[depth + 1])
    several = sorted(name for name, inner in below.items() if len(inner) > 1)
    if several:
        meant = "train" if "train" in several else several[0]
        raise UserError(
            f"{where}: no image is in its folders themselves ({show_some(sorted(below))}), and "
            f"{meant} holds several folders of images ({show_some(sorted(below[meant]))}), so it "
            f"is not clear what the classes are; {advise('/'.join([*around, meant]))}, or say "
            "--labels folders if the outer folders are the classes, or none"
        )


def read_class_list(
    where: object, content: bytes, names: Iterable[str], num_classes: int | None
) -> Classes | None:
    """Take labels and class names from the dataset.json of EDM's and StyleGAN's tools.

    Args:
        where: the images, for messages.
        content: of the file.
        names: paths of the images that are there.
        num_classes: how many classes there are; None: as the list says.

    Returns:
        None where it says that the images have no labels.

    Raises:
        UserError: another layout, labels out of range, of images that are not there, or not of
            all that are.
    """
    try:
        about = parse_json(content)
        if about["labels"] is None:
            return None
        labels = {str(name): label for name, label in about["labels"]}
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f'{where}: {LIST_NAME} is not {{"labels": [["a.png", 5], ...]}} ({error}); correct it, '
            "or say --labels folders or none"
        ) from None
    _check_labels(where, labels, set(names), num_classes)
    known = _read_class_names(about, labels)
    return Classes(known, labels.get)


def _check_labels(
    where: object, labels: Mapping[str, Any], images: set[str], num_classes: int | None
) -> None:
    """Demand one label in range for every image, and no other."""
    for name, label in labels.items():
        if name not in images:
            raise UserError(
                f"{where}: {LIST_NAME} names {name!r}, which is not there; make the list again"
            )
        if type(label) is not int or label < 0 or label >= (num_classes or MAX_CLASSES):
            needed = f"0 to {(num_classes or MAX_CLASSES) - 1}"
            raise UserError(
                f"{where}: {LIST_NAME}: {name} has label {label!r}; labels are {needed}: correct "
                "it, or ask for another num_classes"
            )
    unlabelled = sorted(images - labels.keys())
    if unlabelled:
        raise UserError(
            f"{where}: {LIST_NAME} has no label for {unlabelled[0]!r} and "
            f"{len(unlabelled) - 1} more; complete it, or say --labels none"
        )


def _read_class_names(about: Mapping[str, Any], labels: Mapping[str, int]) -> Parts | None:
    """Return the names of the classes, where the list has one for each label."""
    names = about.get("class_names")
    if not isinstance(names, list) or len(names) <= max(labels.values(), default=0):
        return None
    return tuple(map(str, names))
