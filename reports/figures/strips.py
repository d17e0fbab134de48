"""Strips of images: the same samples of several batches, one batch beneath the other."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from records.batches import read_arrays
from records.errors import UserError
from reports.figures.plot import is_number, name_axis
from reports.files import attempt
from reports.grids import encode_png, make_sheet, read_first_images, read_labels
from reports.pictures import check_batch
from specs.page import WantedFile

NEAREST = ("samples", "neighbours", "distances", "own_distances")
BETWEEN = ("strips", "images", "fractions")
DENOISING = ("strips", "timesteps")
SHOWN_PX = 34  # smaller images are enlarged by the browser

Arrays: TypeAlias = Mapping[str, np.ndarray]
Named: TypeAlias = list[tuple[str, np.ndarray]]  # images of strips, each with its words


def make_strips(figure: Mapping[str, Any], problems: list[str]) -> list[dict[str, Any]]:
    """Cut the same samples out of the batches of each line.

    Args:
        figure: evaluated (`reports.figures.points.evaluate_figures`), one that shows samples.
        problems: takes a sentence for each batch that is broken or of other settings.

    Returns:
        For each line with a batch its label, what its columns are, their samples' numbers, a strip
        for each batch that is here, and how far apart the first and the last are.
    """
    lines = []
    for line in figure["lines"]:
        points = [one for one in line["points"] if one["samples"] is not None]
        batches = [WantedFile.model_validate(one["samples"]) for one in points]
        labels = [attempt(problems, lambda b=one: _read_labels(b)) for one in batches]
        known = next((one for one in labels if one is not None), None)
        indices, columns = choose_columns(known, figure["num_images"])
        read = [attempt(problems, lambda b=one, i=indices: _read_images(b, i)) for one in batches]
        found = [
            (one, images) for one, images in zip(points, read, strict=True) if images is not None
        ]
        if found:
            lines.append(
                {
                    "label": line["label"],
                    "columns": columns,
                    "indices": indices,
                    "strips": [
                        {**make_strip(images, describe(one), columns), "anchor": one["anchor"]}
                        for one, images in found
                    ],
                    "change": _describe_change(found[0], found[-1]),
                }
            )
    return lines


def make_nearest(figure: Mapping[str, Any], problems: list[str]) -> list[dict[str, Any]]:
    """Lay samples and the real images nearest to them side by side, as `make_strips` does.

    Args:
        figure: evaluated, one that shows the nearest images.
        problems: takes a sentence for each file that is broken or of other settings.
    """
    return _lay_out(figure, problems, NEAREST, _name_nearest, _describe_distances)


def make_between(figure: Mapping[str, Any], problems: list[str]) -> list[dict[str, Any]]:
    """Lay out what lies between pairs of real images, as `make_strips` does.

    Args:
        figure: evaluated, one that shows what lies between.
        problems: takes a sentence for each file that is broken or of other settings.
    """
    return _lay_out(figure, problems, BETWEEN, _name_between, _describe_return)


def make_denoising(figure: Mapping[str, Any], problems: list[str]) -> list[dict[str, Any]]:
    """Lay out what samples were taken to be while they were drawn, as `make_strips` does.

    Args:
        figure: evaluated, one that shows the way from noise to samples.
        problems: takes a sentence for each file that is broken or of other settings.
    """
    return _lay_out(figure, problems, DENOISING, _name_denoising, _describe_approach)


def _lay_out(
    figure: Mapping[str, Any],
    problems: list[str],
    arrays: Sequence[str],
    name: Callable[[Arrays], tuple[str, Named]],
    describe_all: Callable[[Arrays], str],
) -> list[dict[str, Any]]:
    """Make the strips of each point that has pictures.

    Args:
        figure: evaluated.
        problems: takes a sentence for each file that is broken or of other settings.
        arrays: names of what such a file holds.
        name: returns what the columns are, and the images of each strip with its words.
        describe_all: says what the arrays tell.
    """
    lines = []
    for line in figure["lines"]:
        for point in line["points"]:
            found = attempt(problems, lambda p=point: _read_pictures(p["pictures"], arrays))
            if found is not None:
                columns, named = name(found)
                strips = [make_strip(images, words, columns) for words, images in named]
                about = {"label": line["label"], "columns": columns, "strips": strips}
                lines.append({**about, "change": describe_all(found)})
    return lines


def _name_nearest(found: Arrays) -> tuple[str, Named]:
    ranks = enumerate(found["neighbours"].swapaxes(0, 1))
    named = [("samples", found["samples"]), *((_name_rank(rank), one) for rank, one in ranks)]
    return f"the first {len(found['samples'])} samples", named


def _name_between(found: Arrays) -> tuple[str, Named]:
    last, (first_end, last_end) = len(found["strips"]) - 1, found["images"]
    words = ["drawn again", *(f"{n}/{last} of the way" for n in range(1, last)), "drawn again"]
    named = [*zip(words, found["strips"], strict=True)]
    columns = f"{found['strips'].shape[1]} random pairs of real images"
    return columns, [("real image", first_end), *named, ("real image", last_end)]


def _name_denoising(found: Arrays) -> tuple[str, Named]:
    words = [f"t = {t}" if t else "t = 0, the sample" for t in found["timesteps"].tolist()]
    columns = f"the first {found['strips'].shape[1]} samples"
    return columns, [*zip(words, found["strips"], strict=True)]


def _describe_approach(found: Arrays) -> str:
    """Say how far predictions are from the samples that they end in."""
    strips = found["strips"].astype(np.float64)
    far = 100 * np.abs(strips[:-1] - strips[-1]).mean(axis=(1, 2, 3, 4)) / 255
    places = sorted({0, len(far) // 2, len(far) - 1})
    said = [f"{far[one]:.1f}\u00a0% at t = {found['timesteps'][one]}" for one in places]
    return (
        "the prediction differs from the sample, as a share of a pixel's range on average, by "
        + ", ".join(said)
    )


def _describe_return(found: Arrays) -> str:
    """Say how near images that are drawn from their own latents come to themselves."""
    drawn = found["strips"][[0, -1]].astype(np.float64)
    far = 100 * np.abs(drawn - found["images"]).mean() / 255
    return (
        "an image that is drawn again from its own latent differs by "
        f"{far:.1f}\u00a0% of a pixel's range on average"
    )


def _read_pictures(
    wanted: Mapping[str, str] | None, names: Sequence[str]
) -> dict[str, np.ndarray] | None:
    """Read arrays of images and what belongs to them; None where they are not here."""
    if wanted is None or not check_batch(WantedFile.model_validate(wanted)):
        return None
    try:
        found = read_arrays(wanted["path"], names)
        images, counted = (found[names[place]] for place in (0, -1))
        if names is BETWEEN and images.shape[1:] != found["images"].shape[1:]:
            raise ValueError(f"strips {images.shape} between images {found['images'].shape}")
        if len(images) != len(counted):
            raise ValueError(f"{len(images)} {names[0]} and {len(counted)} {names[-1]}")
    except (ValueError, OSError, KeyError) as error:
        raise UserError(
            f"{wanted['path']}: its images cannot be read ({error}); run reproduce_figures again"
        ) from None
    return found


def _name_rank(rank: int) -> str:
    return "nearest real image" if rank == 0 else f"{rank + 1}. nearest"


def _describe_distances(found: Arrays) -> str:
    """Say how near samples are to real images, measured by how near these are to each other."""
    nearest, own = found["distances"][:, 0], found["own_distances"]
    num_nearer = int((nearest < own).sum())
    ratio = float(np.median(nearest / np.maximum(own, np.finfo(np.float64).tiny)))
    return (
        f"{num_nearer} of {len(nearest)} samples lie nearer to a real image than any other real "
        f"image does; at the median it is {ratio:.2f} times as far away"
    )


def choose_columns(labels: np.ndarray | None, num_images: int) -> tuple[list[int], str]:
    """Choose the samples to show: the first of each class where classes are few, else the first.

    Args:
        labels: int [n] of a batch, or None.
        num_images: how many to show at most.

    Returns:
        Their numbers, and what they are in words.
    """
    if labels is not None:
        classes, first = np.unique(labels, return_index=True)
        if 1 < len(classes) <= num_images:
            return [int(one) for one in first], (
                f"the first sample of each class ({classes[0]} to {classes[-1]})"
            )
    return [*range(num_images)], f"the first {num_images} samples"


def _read_labels(batch: WantedFile) -> np.ndarray | None:
    return read_labels(batch.path) if check_batch(batch) else None


def _read_images(batch: WantedFile, indices: list[int]) -> np.ndarray | None:
    """Return some images of a batch; None where it is not here, or has too few."""
    if not check_batch(batch):
        return None
    images = read_first_images(batch.path, max(indices) + 1)
    return images[indices] if len(images) > max(indices) else None


def make_strip(images: np.ndarray, words: str, columns: str) -> dict[str, Any]:
    """Lay images side by side in their own size, with what a page needs to show them.

    Args:
        images: uint8 [n, h, w, c] with c 1 or 3.
        words: what the strip is.
        columns: what the images are.

    Returns:
        JSON object with the PNG as data URI, the size at which it is shown, words and description.
    """
    strip = make_sheet(images, len(images))
    factor = max(1, round(SHOWN_PX / strip.shape[0]))
    return {
        "png": encode_png(strip),
        "width_px": strip.shape[1] * factor,
        "height_px": strip.shape[0] * factor,
        "words": words,
        "anchor": "",
        "alt": f"{words}: {columns}, {images.shape[2]} by {images.shape[1]} pixels each",
    }


def describe(point: Mapping[str, Any]) -> str:
    """Name a point by the settings that lie across."""
    return ", ".join(
        f"{name_axis(key)} {value:g}" if is_number(value) else str(value)
        for key, value in point["settings"].items()
    )


def _describe_change(
    first: tuple[Mapping[str, Any], np.ndarray], last: tuple[Mapping[str, Any], np.ndarray]
) -> str:
    """Say how far apart the images of two strips are."""
    (start, one), (end, two) = first, last
    if one.shape != two.shape or start is end:
        return ""
    change = np.abs(one.astype(np.float64) - two).mean() / 255
    return (
        f"from {describe(start)} to {describe(end)} a pixel of these images changes by "
        f"{100 * change:.0f}\u00a0% of its range on average"
    )
