"""What other sources say of a row, side by side on its page."""

from functools import cache
from typing import Any

from records.files import digest
from specs.page import WantedMetrics
from specs.tables import Source, Table
from workflow.availability import SOURCES
from workflow.plan import Plan, cell_name, make_plan


def find_others(plan: Plan, table: Table, row_id: str, mark: str) -> dict[Source, WantedMetrics]:
    """Return the metrics files of a cell by the other sources that have it.

    Args:
        plan: the plan of one source.
        table: a table of it.
        row_id: a row of the table.
        mark: a mark of the table.

    Returns:
        By source, in the order of SOURCES. Empty at a scale of which nothing was published.
    """
    if plan.scale.evaluation.reference != "released":
        return {}
    found: dict[Source, WantedMetrics] = {}
    for source in SOURCES:
        if source == plan.source:
            continue
        other = _make_other(tuple(plan.settings.items()), source)
        sample = other.cells.get(cell_name(table, row_id, mark, [0], 0))
        if sample is not None:
            found[source] = name_metrics(other, sample)
    return found


def name_metrics(plan: Plan, sample: str) -> WantedMetrics:
    """Name the metrics file of a sample batch, with the digests that it must have."""
    return WantedMetrics(
        path=plan.layout.metrics(sample),
        digest=digest(plan.metric_spec(sample)),
        samples=plan.samples[sample].digest,
    )


@cache
def _make_other(settings: tuple[tuple[str, str], ...], source: str) -> Plan:
    """Make the plan of another source with the same settings."""
    changed: dict[str, Any] = {**dict(settings), "source": source}
    return make_plan(**changed)
