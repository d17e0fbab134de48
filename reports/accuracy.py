"""Accuracy of the noisy classifiers that guide a table's rows: read, describe, plot."""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from records.errors import UserError
from reports.files import attempt, explain_digest
from specs.page import PageClassifier, WantedFile
from specs.results import AccuracyFile, read_accuracy

Z_95 = 1.959964  # two-sided 95 % of the normal distribution
WIDTH_PX, HEIGHT_PX = 320, 180
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 44, 12, 8, 26  # around the plot, for the axes' words


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


def make_classifiers(
    classifiers: Iterable[PageClassifier], problems: list[str]
) -> list[dict[str, Any]]:
    """Join the classifiers of a table with the accuracy files that exist.

    Args:
        classifiers: those of the page.
        problems: takes a sentence for each file that is left out, as it is broken or was made with
            other settings.

    Returns:
        One entry for each classifier: what it is, whom it guides, on which images it was measured
        (None when it was not), and per range of timesteps the share read right with its interval.
    """
    entries = []
    for classifier in classifiers:
        accuracy = attempt(problems, lambda one=classifier: _read_accuracy(one))
        entry = {**classifier.content(), "measured": None, "ranges": []}
        if accuracy is not None:
            entry["measured"] = accuracy.model_dump(exclude={"format", "digest", "ranges"})
            for one in accuracy.ranges:
                low, high = compute_share_interval(one.num_correct, accuracy.num_images)
                share = one.num_correct / accuracy.num_images
                place = {"first": one.first, "last": one.last}
                entry["ranges"].append({**place, "share": share, "low": low, "high": high})
        entries.append(entry)
    return entries


def _read_accuracy(classifier: PageClassifier) -> AccuracyFile | None:
    """Return the accuracy of a classifier, None where it was not measured."""
    if not os.path.exists(classifier.accuracy):
        return None
    accuracy = read_accuracy(classifier.accuracy)
    wanted = WantedFile(path=classifier.accuracy, digest=classifier.digest)
    problem = explain_digest(wanted, accuracy.digest)
    if problem:
        raise UserError(problem)
    return accuracy


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
        "grid": [
            (f"{height(share):.1f}", f"{100 * share:.0f}\u00a0%") for share in (0.0, 0.5, 1.0)
        ],
        "chance_px": f"{height(1 / measured['num_classes']):.1f}",
        "curve": " ".join(place(t, one["share"]) for t, one in ranges),
        "band": " ".join([*upper, *lower]),
    }
