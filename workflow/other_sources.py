"""What other sources say of a row, side by side on its page."""

from functools import cache
from typing import Any

from records.files import digest
from specs.config import Table
from workflow.availability import SOURCES
from workflow.plan import Plan, cell_name, make_plan


def find_others(plan: Plan, table: Table, row_id: str, mark: str) -> dict[str, dict[str, str]]:
    """Return the metrics files of a cell by the other sources that have it.

    Args:
        plan: the plan of one source.
        table: a table of it.
        row_id: a row of the table.
        mark: a mark of the table.

    Returns:
        By source, in the order of SOURCES, `path` and the `digest` that the file has when it was
        made with the settings of today; it need not be there. Empty at a scale of which nothing was
        published.
    """
    if plan.scale.evaluation.reference != "released":
        return {}
    found = {}
    for source in SOURCES:
        if source == plan.source:
            continue
        other = _make_other(tuple(sorted(plan.files.items())), source)
        sample = other.cells.get(cell_name(table, row_id, mark, [0], 0))
        if sample is not None:
            found[source] = {
                "path": other.metrics_path(sample),
                "digest": digest(other.metric_spec(sample)),
            }
    return found


@cache
def _make_other(files: tuple[tuple[str, Any], ...], source: str) -> Plan:
    """Make the plan of another source from the same files."""
    return make_plan(**dict(files), source=source)
