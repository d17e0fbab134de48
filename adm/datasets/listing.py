"""The list of a user's images, on disk: it is checked before the work, and memory stays flat."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from adm.datasets.own_images import SHOWN, Listed, OwnImages, show_some
from records.errors import UserError
from records.files import read_json, sha256_file, write_json


@dataclass(frozen=True)
class Summary:
    """What a list holds.

    Attributes:
        stamp: size and time of images in one file.
        class_names: names of the images' classes, see `OwnImages`.
        labelled: whether the images have labels.
        num_images: entries of the list.
        num_classes: classes of the images; None without labels.
        num_ignored: files that are left out.
        some_ignored: the first of them.
        ignored: how many are left out for each reason.
        sha256: of the list.
    """

    stamp: list[int] | None
    class_names: list[str] | None
    labelled: bool
    num_images: int
    num_classes: int | None
    num_ignored: int
    some_ignored: list[str]
    ignored: dict[str, int]
    sha256: str


def make_listing(images: OwnImages, folder: Path) -> tuple[Summary, int]:
    """List a user's images into a folder, unless that was done and nothing changed since.

    Args:
        images: the images.
        folder: where the list is kept.

    Returns:
        What the list holds, and how many images at its beginning are those of the list that was
        there before.

    Raises:
        UserError: no image at all, or a class without one.
    """
    path, summary_path = folder / "listing.jsonl", folder / "listing.json"
    if images.stamp is not None and path.exists() and summary_path.exists():
        known = read_json(summary_path, "list of images")
        same = all(known.get(name) == value for name, value in _describe(images).items())
        if same and known["sha256"] == sha256_file(path):
            return Summary(**known), known["num_images"]
    new = folder / "listing.new"
    summary = _write_listing(images, new)
    # A single file that changed may hold other bytes at the same places.
    num_same = _count_same_lines(path, new) if images.stamp is None and path.exists() else 0
    os.replace(new, path)
    write_json(summary_path, asdict(summary))
    return summary, num_same


def iterate_listing(folder: Path, start: int = 0) -> Iterator[Listed]:
    """Read a list from its image number `start` on."""
    with open(folder / "listing.jsonl", "rb") as file:
        for line in islice(file, start, None):
            yield Listed(*json.loads(line))


def describe_ignored(reasons: dict[str, int], names: list[str]) -> str:
    """Write how many files are left out, why, and which come first."""
    counts = ", ".join(f"{number} {why}" for why, number in sorted(reasons.items()))
    return f"{counts}, as {', '.join(names[:3])}"


def _describe(images: OwnImages) -> dict[str, Any]:
    """Return what decides the list of images in one file."""
    return {
        "stamp": images.stamp,
        "class_names": images.class_names and list(images.class_names),
        "labelled": images.labelled,
    }


def _write_listing(images: OwnImages, path: Path) -> Summary:
    """Write the list of images, one JSON array a line."""
    counts = dict.fromkeys(range(len(images.class_names or ())), 0)
    ignored: list[str] = []
    reasons: dict[str, int] = {}
    num_images = 0
    sha256 = hashlib.sha256()
    with open(path, "wb") as file:
        for listed in images.iterate_images():
            if not listed.place:
                reasons[listed.why] = reasons.get(listed.why, 0) + 1
                if len(ignored) < SHOWN:
                    ignored.append(listed.name)
                continue
            line = json.dumps([listed.name, listed.label, listed.place]).encode() + b"\n"
            file.write(line)
            sha256.update(line)
            num_images += 1
            if listed.label is not None:
                counts[listed.label] = counts.get(listed.label, 0) + 1
    if num_images == 0:
        beside = f"; {describe_ignored(reasons, ignored)}" if ignored else ""
        raise UserError(f"{images.path}: no image in it{beside}; give the path of the images")
    num_classes = max(counts) + 1 if images.labelled else None
    empty = [one for one in range(num_classes or 0) if not counts.get(one)]
    if empty:
        names = [images.class_names[one] if images.class_names else str(one) for one in empty]
        raise UserError(
            f"{images.path}: no image in {len(empty)} of {num_classes} classes: "
            f"{show_some(names)}; fill or remove them"
        )
    return Summary(
        **_describe(images),
        num_images=num_images,
        num_classes=num_classes,
        num_ignored=sum(reasons.values()),
        some_ignored=ignored,
        ignored=reasons,
        sha256=sha256.hexdigest(),
    )


def _count_same_lines(first: Path, second: Path) -> int:
    """Count the lines at the beginning of two files that are equal."""
    with open(first, "rb") as one, open(second, "rb") as two:
        return sum(1 for _ in _take_equal(one, two))


def _take_equal(one: Any, two: Any) -> Iterator[bytes]:
    """Yield lines while both files have the same."""
    for line, other in zip(one, two, strict=False):
        if line != other:
            return
        yield line
