"""Metrics files: read, check, and turn into estimates."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from records.errors import UserError
from records.files import read_json
from reports.claims import Estimate

FORMAT = 1
AGAIN = "delete it and run the evaluation again"


def load_metrics(path: str | Path | None) -> dict[str, Any] | None:
    """Read the metrics of one set of samples.

    Args:
        path: metrics file; None when there is to be none.

    Returns:
        The file's content, or None when there is no such file (the row was not run).

    Raises:
        UserError: the file is there but is not a metrics file of a known format.
    """
    if path is None or not Path(path).exists():
        return None
    metrics = read_json(path, "metrics file")
    check_metrics(metrics, str(path))
    return metrics


def check_metrics(content: Any, where: str) -> None:
    """Raise UserError, saying where, unless a metrics file holds what a report needs."""
    if not isinstance(content, dict):
        raise UserError(
            f"{where}: got {type(content).__name__}; a metrics file is an object; {AGAIN}"
        )
    if content.get("format") != FORMAT:
        raise UserError(
            f"{where}: format {content.get('format')!r}; format {FORMAT} is needed; {AGAIN}"
        )
    for key, kind in (("name", str), ("metrics", dict), ("counts", dict), ("protocol", dict)):
        if not isinstance(content.get(key), kind):
            raise UserError(
                f"{where}: {key} is {content.get(key)!r}; {kind.__name__} is needed; {AGAIN}"
            )
    for key in ("samples", "reference"):
        # A published reference does not say of how many images its statistics are.
        unstated = key == "reference" and content["counts"].get(key, 0) is None
        if not unstated and not _is_count(content["counts"].get(key)):
            raise UserError(
                f"{where}: counts.{key} is {content['counts'].get(key)!r}; "
                f"a positive whole number is needed; {AGAIN}"
            )
    stored = content["counts"].get("reference_precision_recall")
    if stored is not None and not _is_count(stored):
        raise UserError(
            f"{where}: counts.reference_precision_recall is {stored!r}; a positive whole number or "
            f"null is needed; {AGAIN}"
        )
    for key in ("samples", "reference", "network"):
        part = content["protocol"].get(key)
        if part is not None and not isinstance(part, dict):
            raise UserError(f"{where}: protocol.{key} is {part!r}; an object is needed; {AGAIN}")
    for metric, entry in content["metrics"].items():
        _check_entry(entry, f"{where}: metrics.{metric}")


def _check_entry(entry: Any, where: str) -> None:
    if not isinstance(entry, dict) or not _is_number(entry.get("value")):
        raise UserError(f"{where}: got {entry!r}; an object with a finite value is needed; {AGAIN}")
    std_error = entry.get("std_error")
    if std_error is not None and (not _is_number(std_error) or std_error < 0):
        raise UserError(
            f"{where}.std_error: got {std_error!r}; a number from 0 or null is needed; {AGAIN}"
        )
    interval = entry.get("interval")
    if interval is None:
        return
    good = isinstance(interval, list) and len(interval) == 2 and all(map(_is_number, interval))
    if not good or interval[0] > interval[1]:
        raise UserError(
            f"{where}.interval: got {interval!r}; [low, high] or null is needed; {AGAIN}"
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def make_estimate(content: Mapping[str, Any] | None, metric: str) -> Estimate | None:
    """Return one metric of a file as an estimate; None when the file or the metric is missing."""
    if content is None or metric not in content["metrics"]:
        return None
    entry = content["metrics"][metric]
    std_error = entry.get("std_error")
    return Estimate(
        value=float(entry["value"]),
        std_error=None if std_error is None else float(std_error),
        num_samples=content["counts"]["samples"],
    )


def read_interval(
    content: Mapping[str, Any] | None, metric: str
) -> tuple[float | None, float | None]:
    """Return the interval that the metrics file states; (None, None) when it states none."""
    entry = (content or {"metrics": {}})["metrics"].get(metric) or {}
    low, high = entry.get("interval") or (None, None)
    return low, high
