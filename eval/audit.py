"""Say what a batch of images holds, and what about it would surprise who grades with it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from eval.audit_statistics import describe_statistics
from eval.images.image_set import ImageSet, describe_shape
from eval.images.npz_stream import describe_npz
from eval.images.open import STATISTICS, load_statistics, open_images
from eval.metrics.inception_score import SPLIT_SIZE
from records.errors import UserError
from records.manifest import manifest_path, read_manifest

BATCH_SIZE = 64
READ_BY_US = ("arr_0", "arr_1", *STATISTICS, "num_images", "network_sha256")
PUBLISHED_SIZES_PX = (64, 128, 256, 512)
REFERENCE_IMAGES = 10_000
FULL_SAMPLES = 50_000
# Labels drawn at random differ in their counts too, but not by so much.
UNBALANCED_RATIO = 10


def audit(path: str | Path, *, allow_jpeg: bool = False) -> dict[str, Any]:
    """Look through a batch: samples, a reference, or a data set.

    Images are read a piece at a time; of each only a hash is kept.

    Args:
        path: anything that open_images takes.
        allow_jpeg: look into JPEGs too.

    Returns:
        A JSON object: path, kind, sha256, num_images, shape, dtype, compressed (None where the
        kind has no such choice), arrays, statistics, labels, pixels (range and mean per channel),
        duplicates, num_constant, num_grey, num_jpegs, and odd, a list of sentences.

    Raises:
        UserError: the batch could not be graded at all; the message says why.
    """
    image_set = open_images(path, allow_jpeg=allow_jpeg)
    is_npz = image_set.kind == ".npz file"
    stored = describe_npz(path) if is_npz else {}
    statistics, odd_statistics = describe_statistics(
        load_statistics(path) if is_npz else {}, num_stored=image_set.num_images
    )
    result = {
        "path": image_set.path,
        "kind": image_set.kind,
        "sha256": image_set.sha256,
        "num_images": image_set.num_images,
        "shape": list(image_set.shape),
        "dtype": "uint8",
        "compressed": stored["arr_0"].compressed if stored else None,
        "arrays": {name: f"{one.dtype} {list(one.shape)}" for name, one in stored.items()},
        "statistics": statistics,
        "labels": _describe_labels(image_set),
        "num_jpegs": image_set.num_jpegs,
        **_describe_pixels(image_set),
    }
    odd = [
        *_judge_counts(image_set.num_images, bool(statistics["names"])),
        *odd_statistics,
        *_judge_images(result),
        *_judge_labels(image_set, result["labels"]),
        *_judge_file(path, result),
    ]
    return {**result, "odd": odd}


def format_audit(result: dict[str, Any]) -> str:
    """Write the result of audit as lines of text."""
    packed = {True: ", compressed", False: ", not compressed", None: ""}[result["compressed"]]
    pixels, duplicates = result["pixels"], result["duplicates"]
    rows = [
        ("file", f"{result['path']} ({result['kind']}{packed})"),
        ("sha256", result["sha256"]),
        ("images", f"{result['num_images']} of {describe_shape(result['shape'])}, uint8"),
        ("pixels", f"{pixels['min']} to {pixels['max']}, mean {_join(pixels['mean'])}"),
        ("labels", _format_labels(result["labels"])),
        ("statistics", _format_statistics(result["statistics"])),
        (
            "duplicates",
            f"{duplicates['count']}, {result['num_constant']} of one colour, "
            f"{result['num_grey']} grey",
        ),
    ]
    lines = [f"{name + ':':<12}{text}" for name, text in rows]
    if result["odd"]:
        lines += ["", "Odd about it:", *(f"- {sentence}" for sentence in result["odd"])]
    else:
        lines += ["", "Nothing odd about it."]
    return "\n".join(lines)


def _describe_labels(image_set: ImageSet) -> dict[str, Any] | None:
    """Count classes and their images."""
    labels = image_set.labels
    if labels is None:
        return None
    classes, counts = np.unique(labels, return_counts=True)
    smallest, largest = counts.argmin(), counts.argmax()
    return {
        "num_classes": len(classes),
        "min": int(classes[0]),
        "max": int(classes[-1]),
        "smallest_class": {"label": int(classes[smallest]), "num_images": int(counts[smallest])},
        "largest_class": {"label": int(classes[largest]), "num_images": int(counts[largest])},
        "sorted": image_set.comes_by_class,
    }


def _describe_pixels(image_set: ImageSet) -> dict[str, Any]:
    """Read all images once: ranges, means, duplicates, and images without structure or colour."""
    height, width, channels = image_set.shape
    counts = np.zeros((channels, 256), np.int64)
    hashes = np.empty((image_set.num_images, 2), np.uint64)
    num_constant, num_grey, start = 0, 0, 0
    for images in image_set.iterate_batches(BATCH_SIZE):
        # One tall image: Pillow counts values several times faster than numpy does.
        tall = images.reshape(-1, width, channels)
        tall = Image.fromarray(tall[..., 0] if channels == 1 else tall)
        counts += np.array(tall.histogram(), np.int64).reshape(channels, 256)
        num_constant += _count_equal(images, images[:, :1, :1])
        num_grey += _count_equal(images, images[..., :1])
        for image in images:
            hashes[start] = np.frombuffer(hashlib.sha256(image).digest()[:16], np.uint64)
            start += 1
    present = [np.flatnonzero(row) for row in counts]
    means = counts @ np.arange(256) / (image_set.num_images * height * width)
    return {
        "pixels": {
            "min": int(min(values[0] for values in present)),
            "max": int(max(values[-1] for values in present)),
            "min_by_channel": [int(values[0]) for values in present],
            "max_by_channel": [int(values[-1]) for values in present],
            "mean": means.tolist(),
        },
        "duplicates": _find_duplicates(hashes),
        "num_constant": num_constant,
        "num_grey": num_grey,
    }


def _count_equal(images: np.ndarray, part: np.ndarray) -> int:
    """Count images that equal a part of themselves, repeated."""
    part = np.broadcast_to(part, images.shape)
    few = (slice(None), slice(None, None, 8), slice(None, None, 8))
    likely = (images[few] == part[few]).all(axis=(1, 2, 3))
    return int((images[likely] == part[likely]).all(axis=(1, 2, 3)).sum())


def _find_duplicates(hashes: np.ndarray) -> dict[str, Any]:
    """Count images that equal an earlier one, and find the first such pair of rows.

    Args:
        hashes: uint64 [n, 2], one row per image.
    """
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))  # stable: equal rows stay in their order
    same = (hashes[order[1:]] == hashes[order[:-1]]).all(axis=1)
    if not same.any():
        return {"count": 0, "first_pair": None}
    pairs = np.stack([order[:-1][same], order[1:][same]], axis=1)
    return {"count": len(pairs), "first_pair": pairs[pairs[:, 1].argmin()].tolist()}


def _judge_counts(num_images: int, has_statistics: bool) -> Iterator[str]:
    """Say what the number of images does to the metrics."""
    if has_statistics and num_images < REFERENCE_IMAGES:
        words = ", as the published imagenet_512 reference has" if num_images == 1000 else ""
        yield (
            f"only {num_images} images for precision and recall{words}: both move with this number "
            f"and are not comparable with those of references of {REFERENCE_IMAGES} images"
        )
    if not has_statistics:
        yield (
            "no statistics: as a reference, FID and sFID would be against these "
            f"{num_images} images alone, not against the whole data set (samples need none)"
        )
        if num_images < FULL_SAMPLES:
            yield (
                f"only {num_images} images: FID is biased upwards by small counts, and published "
                f"values are of {FULL_SAMPLES} samples; compare equal counts alone"
            )


def _judge_images(result: dict[str, Any]) -> Iterator[str]:
    """Say what is odd about sizes, colours and contents."""
    count, (height, width, channels) = result["num_images"], result["shape"]
    if height != width or height not in PUBLISHED_SIZES_PX:
        sizes = ", ".join(str(size) for size in PUBLISHED_SIZES_PX)
        yield f"images are {height}x{width} px; the published batches are square, of {sizes} px"
    if channels == 1:
        yield "images have 1 channel; the published batches are RGB"
    elif result["num_grey"] == count:
        yield "all images are grey, though they have 3 channels"
    if result["pixels"]["max"] <= 1:
        yield (
            "no pixel is above 1: values of 0 to 1 (or -1 to 1) were probably made 8-bit without "
            "scaling; images should use 0 to 255"
        )
    if number := result["num_constant"]:
        yield f"{number} of {count} images are of one colour; samplers that failed make such images"
    duplicates = result["duplicates"]
    if duplicates["count"]:
        yield (
            f"{duplicates['count']} of {count} images equal an earlier one, pixel by pixel (first: "
            "rows {} and {}); shards with one seed make such pairs".format(
                *duplicates["first_pair"]
            )
        )
    if result["num_jpegs"]:
        yield f"{result['num_jpegs']} of {count} images are JPEGs: lossy compression moves FID"


def _judge_labels(image_set: ImageSet, about: dict[str, Any] | None) -> Iterator[str]:
    """Say what is odd about labels."""
    if image_set.comes_by_class:
        what = "images come folder by folder" if about is None else "labels are sorted by class"
        yield (
            f"{what}: each split of {SPLIT_SIZE:,} that the Inception Score is a mean "
            "of sees a few classes alone, which lowers it; grade them with --shuffle"
        )
    if image_set.label_fault:
        yield f"labels cannot be used: {image_set.label_fault}"
        return
    if about is None:
        yield "no labels (arr_1 or dataset.json): the share of each class cannot be checked"
        return
    if about["min"] < 0:
        yield f"a label is {about['min']}; classes are numbered from 0"
    smallest, largest = about["smallest_class"], about["largest_class"]
    if largest["num_images"] > UNBALANCED_RATIO * smallest["num_images"]:
        yield (
            f"classes are far from balanced: class {largest['label']} has {largest['num_images']} "
            f"images, class {smallest['label']} has {smallest['num_images']}"
        )


def _judge_file(path: str | Path, result: dict[str, Any]) -> Iterator[str]:
    """Say what is odd about the .npz itself and about the manifest beside it."""
    unread = sorted(set(result["arrays"]) - set(READ_BY_US))
    if unread:
        yield f"holds arrays that grading does not read: {', '.join(unread)}"
    if Path(path).is_file() and manifest_path(path).is_file():
        try:
            told = (read_manifest(path) or {}).get("sha256")
        except UserError as error:
            yield f"the manifest beside it cannot be read: {error}"
            return
        if told is not None and told != result["sha256"]:
            yield (
                f"{manifest_path(path).name} beside it is of another file (sha256 {told}): one of "
                "the two was replaced"
            )


def _format_labels(labels: dict[str, Any] | None) -> str:
    """Write labels in one line."""
    if labels is None:
        return "none"
    return (
        f"{labels['num_classes']} classes, {labels['min']} to {labels['max']}, of "
        f"{labels['smallest_class']['num_images']} to {labels['largest_class']['num_images']} "
        f"images, {'sorted' if labels['sorted'] else 'not sorted'}"
    )


def _format_statistics(statistics: dict[str, Any]) -> str:
    """Write statistics in one line."""
    if not statistics["names"]:
        return "none"
    dims = ", ".join(f"{name} {dims}" for name, dims in statistics["dims"].items())
    of = statistics["num_images"]
    return (
        f"{', '.join(statistics['names'])} (dims: {dims}) of "
        f"{'an untold number of' if of is None else of} images, made with "
        f"{statistics['network_sha256'] or 'an unnamed network'}"
    )


def _join(values: list[float]) -> str:
    """Write one number per channel."""
    return " ".join(f"{value:.2f}" for value in values)
