"""The numbers of metrics files."""

from collections.abc import Mapping
from typing import TypeAlias

from specs.results import MetricsFile

RowMetrics: TypeAlias = Mapping[tuple[str, str], MetricsFile | None]  # by row and mark


def read_measured(content: MetricsFile | None, metric: str) -> dict[str, float | None]:
    """Return the value of a metric as `measured`, and `low` and `high` of its interval.

    All are None when the file or the metric is missing, the interval where the file states none.
    """
    found = content.metrics.get(metric) if content is not None else None
    if found is None:
        return {"measured": None, "low": None, "high": None}
    low, high = found.interval or (None, None)
    return {"measured": found.value, "low": low, "high": high}
