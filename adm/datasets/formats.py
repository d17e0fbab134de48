"""Which format a user's images have, and how each format is read."""

import tarfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from adm.datasets.classes import LABELS, sort_classes
from adm.datasets.image_archive import make_archive_reader, open_image_archive
from adm.datasets.image_tree import has_folders, make_folder_reader, open_image_folder
from adm.datasets.imagenet_classes import WNIDS
from adm.datasets.imagenet_tar import make_tar_reader, open_imagenet_tar
from adm.datasets.lsun_lmdb import make_lmdb_reader, open_lsun
from adm.datasets.own_images import OwnImages, Reader, check_num_classes, show_some
from records.errors import UserError
from records.limits import demand_regular

READERS: dict[str, Callable[[Path], Reader]] = {
    "imagenet_tar": make_tar_reader,
    "folder": make_folder_reader,
    "zip": make_archive_reader,
    "lmdb": make_lmdb_reader,
}
DATASETS = ("imagenet", "lsun", "images")


def open_own_images(
    dataset: str,
    path: str | Path,
    *,
    labels: str = "auto",
    classes: Sequence[str] | None = None,
    num_classes: int | None = None,
) -> OwnImages:
    """Open the images that a user brings.

    Args:
        dataset: `imagenet` (its tar, a folder per class, or WNID_xxx.JPEG files; 1,000 classes
            unless num_classes says otherwise), `lsun` (an lmdb), `images` (a folder or a zip).
        path: the file or folder.
        labels: where labels come from, one of LABELS; only folders and zips leave a choice.
        classes: names of the classes to keep, labelled as `sort_classes` orders them; None: all.
        num_classes: the number of classes that must be there; None takes what is found.

    Raises:
        UserError: see the function of each kind; another number of classes; a class to keep that
            is not there.
    """
    path = Path(path)
    if dataset not in DATASETS:
        raise UserError(f"dataset: got {dataset!r}; needed: one of {', '.join(DATASETS)}")
    if labels not in LABELS:
        raise UserError(f"labels: got {labels!r}; needed: one of {', '.join(LABELS)}")
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; give the path of the images")
    demand_regular(path)
    if dataset == "lsun":
        return open_lsun(path)
    _check_kind(dataset, path)
    way = "auto" if labels == "none" and classes is not None else labels
    if dataset == "imagenet" and way == "auto" and path.is_dir():
        way = "folders" if has_folders(path) else "prefix"
    if path.is_dir():
        images = open_image_folder(path, labels=way, num_classes=num_classes)
    elif dataset == "imagenet" and path.suffix != ".zip":
        images = open_imagenet_tar(path)
    else:
        images = open_image_archive(path, labels=way, num_classes=num_classes)
    expected = num_classes or (len(WNIDS) if dataset == "imagenet" and classes is None else None)
    if classes is not None:
        images = _keep_classes(images, classes)
    if expected is not None and images.class_names is not None:
        check_num_classes(
            path, images.class_names, expected=expected, imagenet=dataset == "imagenet"
        )
    elif num_classes is not None and not images.labelled:
        raise UserError(
            f"{path}: no labels; {expected} classes are needed: one folder per class, or say "
            "--labels prefix"
        )
    return _drop_labels(images) if labels == "none" and images.labelled else images


def _check_kind(dataset: str, path: Path) -> None:
    """Tell what is no folder or zip of images, by what it is."""
    if path.name == "data.mdb" or (path / "data.mdb").is_file():
        raise UserError(f"{path}: an lmdb, as LSUN comes; say --dataset lsun")
    if dataset == "images" and path.is_file() and tarfile.is_tarfile(path):
        raise UserError(
            f"{path}: a tar; of images a folder or a zip is read: unpack it with `tar xf` and give "
            "the folder, or say --dataset imagenet for ImageNet's own archive"
        )


def _keep_classes(images: OwnImages, classes: Sequence[str]) -> OwnImages:
    """Return the images of some classes, labelled by their places in the sorted names."""
    names = images.class_names or ()
    missing = sorted(set(classes) - set(names))
    if missing or not classes or len(set(classes)) < len(classes):
        there = show_some(list(names)) if names else "none with names"
        raise UserError(
            f"{images.path}: classes: got {list(classes)}; needed: different classes out of those "
            f"there are: {there}"
        )
    kept = sort_classes(classes)
    labels = {names.index(name): label for label, name in enumerate(kept)}
    return replace(
        images,
        class_names=kept,
        iterate_images=lambda: (
            replace(one, label=None if one.label is None else labels.get(one.label))
            for one in images.iterate_images()
            if one.label in labels or not one.place
        ),
    )


def _drop_labels(images: OwnImages) -> OwnImages:
    """Return the same images without labels."""
    return replace(
        images,
        class_names=None,
        labelled=False,
        iterate_images=lambda: (replace(one, label=None) for one in images.iterate_images()),
    )
