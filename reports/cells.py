"""The numbers of metrics files."""

from collections.abc import Mapping
from typing import TypeAlias

from specs.results import MetricsFile

RowMetrics: TypeAlias = Mapping[tuple[str, str], MetricsFile | None]  # by row and mark


def read_measured(content: MetricsFile | None, metric: str) -> dict[str, float | None]:
    """Return a metric's value as `measured`, its `std_error`, and its interval, `low` to `high`.

    All are None when the file or the metric is missing, error and interval where the file states
    none.
    """
    found = content.metrics.get(metric) if content is not None else None
    if found is None:
        return {"measured": None, "std_error": None, "low": None, "high": None}
    low, high = found.interval or (None, None)
    return {"measured": found.value, "std_error": found.std_error, "low": low, "high": high}
