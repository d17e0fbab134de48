"""Accuracy of the noisy classifiers that guide a table's rows: read, check, describe, plot."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from records.errors import UserError
from records.files import read_json

FORMAT = 1
Z_95 = 1.959964  # two-sided 95 % of the normal distribution
WIDTH_PX, HEIGHT_PX = 320, 180
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 44, 12, 8, 26  # around the plot, for the axes' words


def load_accuracy(path: str | Path) -> dict[str, Any] | None:
    """Read the accuracy of one classifier (`python -m adm accuracy`).

    Returns:
        The file's content, or None when there is no such file (not measured yet).

    Raises:
        UserError: the file is there but is not an accuracy file of a known format.
    """
    if not Path(path).exists():
        return None
    content = read_json(path, "accuracy file")
    again = "delete it and run the workflow again"
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{path}: not an accuracy file of format {FORMAT}; {again}")
    counts = ("num_images", "num_classes", "num_timesteps")
    good = all(_is_count(content.get(key), 1) for key in counts)
    good = good and isinstance(content.get("trained_on_these_images"), bool)
    ranges = content.get("ranges")
    if not good or not isinstance(ranges, list) or not ranges:
        raise UserError(
            f"{path}: needs {', '.join(counts)} (whole numbers from 1), trained_on_these_images "
            f"(true or false) and ranges; {again}"
        )
    for place, one in enumerate(ranges):
        keys = ("first", "last", "num_correct")
        whole = isinstance(one, dict) and all(_is_count(one.get(key), 0) for key in keys)
        if (
            not whole
            or one["num_correct"] > content["num_images"]
            or not one["first"] <= one["last"] < content["num_timesteps"]
        ):
            raise UserError(
                f"{path}: ranges[{place}] is {one!r}; first <= last < {content['num_timesteps']} "
                f"and num_correct of 0 to {content['num_images']} are needed; {again}"
            )
    return content


def _is_count(value: Any, smallest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= smallest


def compute_share_interval(num_correct: int, num_images: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927): the shares that a score test keeps.

    Args:
        num_correct: images read right, 0 to num_images.
        num_images: images read, at least 1.

    Returns:
        Lower and upper end in [0, 1].
    """
    share, weight = num_correct / num_images, Z_95**2 / num_images
    middle = (share + weight / 2) / (1 + weight)
    half = math.sqrt(share * (1 - share) * weight + weight**2 / 4) / (1 + weight)
    return max(0.0, middle - half), min(1.0, middle + half)


def make_classifiers(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Join the classifiers of a table's specification with the accuracy files that exist.

    Args:
        spec: checked specification.

    Returns:
        One entry for each classifier: what it is, whom it guides, on which images it was measured
        (None when it was not), and per range of timesteps the share read right with its interval.

    Raises:
        UserError: an accuracy file is broken.
    """
    entries = []
    for classifier in spec["classifiers"]:
        content = load_accuracy(classifier["accuracy"])
        entry = {**classifier, "measured": None, "ranges": []}
        if content is not None:
            keys = ("num_images", "num_classes", "num_timesteps", "trained_on_these_images")
            entry["measured"] = {key: content[key] for key in keys}
            for one in content["ranges"]:
                low, high = compute_share_interval(one["num_correct"], content["num_images"])
                share = one["num_correct"] / content["num_images"]
                place = {"first": one["first"], "last": one["last"]}
                entry["ranges"].append({**place, "share": share, "low": low, "high": high})
        entries.append(entry)
    return entries


def collect_ranges(classifiers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Turn measured classifiers into the columns of one table.

    Returns:
        Per range of timesteps its first and last and, for each classifier, the entry of that range,
        None where a classifier has other ranges.
    """
    measured = [
        {(one["first"], one["last"]): one for one in classifier["ranges"]}
        for classifier in classifiers
    ]
    places = sorted({place for ranges in measured for place in ranges})
    return [
        {"first": first, "last": last, "cells": [ranges.get((first, last)) for ranges in measured]}
        for first, last in places
    ]


def make_accuracy_plot(classifier: Mapping[str, Any]) -> dict[str, Any]:
    """Work out where the parts of a classifier's plot lie.

    Args:
        classifier: a measured entry of `make_classifiers`.

    Returns:
        Pixels from the top left: size, frame, grid lines with their words, height of the chance
        line, and the points of the curve and of the band of its intervals.
    """
    measured = classifier["measured"]
    right, bottom = WIDTH_PX - RIGHT_PX, HEIGHT_PX - BOTTOM_PX

    def place(t: float, share: float) -> str:
        x = LEFT_PX + (right - LEFT_PX) * t / measured["num_timesteps"]
        return f"{x:.1f},{height(share):.1f}"

    def height(share: float) -> float:
        return bottom - (bottom - TOP_PX) * share

    middles = [(one["first"] + one["last"] + 1) / 2 for one in classifier["ranges"]]
    ranges = list(zip(middles, classifier["ranges"], strict=True))
    upper = [place(t, one["high"]) for t, one in ranges]
    lower = [place(t, one["low"]) for t, one in reversed(ranges)]
    return {
        "width_px": WIDTH_PX,
        "height_px": HEIGHT_PX,
        "left_px": LEFT_PX,
        "right_px": right,
        "bottom_px": bottom,
        "grid": [(f"{height(share):.1f}", f"{share:.0%}") for share in (0.0, 0.5, 1.0)],
        "chance_px": f"{height(1 / measured['num_classes']):.1f}",
        "curve": " ".join(place(t, one["share"]) for t, one in ranges),
        "band": " ".join([*upper, *lower]),
    }
