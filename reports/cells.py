"""Metrics files turned into estimates."""

from collections.abc import Mapping
from typing import TypeAlias

from reports.claims import Estimate
from specs.results import MetricsFile

RowMetrics: TypeAlias = Mapping[tuple[str, str], MetricsFile | None]  # by row and mark


def make_estimate(content: MetricsFile | None, metric: str) -> Estimate | None:
    """Return one metric of a file as an estimate; None when the file or the metric is missing."""
    if content is None or metric not in content.metrics:
        return None
    found = content.metrics[metric]
    return Estimate(found.value, found.std_error, content.counts.samples)


def read_measured(content: MetricsFile | None, metric: str) -> dict[str, float | None]:
    """Return the value of a metric as `measured`, and `low` and `high` of its interval.

    All are None when the file or the metric is missing, the interval where the file states none.
    """
    found = content.metrics.get(metric) if content is not None else None
    if found is None:
        return {"measured": None, "low": None, "high": None}
    low, high = found.interval or (None, None)
    return {"measured": found.value, "low": low, "high": high}
