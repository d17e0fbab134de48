"""Which sheets of images a table's page shows: real images first, then one for each row."""

from pathlib import Path
from typing import Any

from reports.format import mark_suffix
from reports.grids import make_grid
from specs.page import PageSpec
from specs.results import load_metrics


def make_pictures(spec: PageSpec) -> list[dict[str, Any]]:
    """Make the sheets of every task of a table.

    Args:
        spec: what the page shows.

    Returns:
        Per task its words and its sheets, real images first where the reference is a batch that
        lies here. Rows that share one batch share its sheet.
    """
    tasks = dict.fromkeys(row.task for row in spec.rows)
    groups = []
    for task in tasks:
        rows = [row for row in spec.rows if row.task == task]
        sheets = _real_sheet(spec.ceilings.get(task), rows[0].task_words)
        batches: dict[str, list[str]] = {}
        for row in rows:
            for mark in spec.table.marks:
                path = row.cells[mark].samples
                if path is not None:
                    batches.setdefault(path, []).append(row.label + mark_suffix(mark))
        for path, labels in batches.items():
            title = " = ".join(dict.fromkeys(labels))
            grid = make_grid(path, f"Samples of {title}")
            if grid is not None:
                sheets.append({"title": title, **grid})
        if sheets:
            groups.append({"task": task, "task_words": rows[0].task_words, "sheets": sheets})
    return groups


def _real_sheet(ceiling_path: str | None, task_words: str) -> list[dict[str, Any]]:
    """Return the sheet of real images when the ceiling names a reference batch that is here."""
    ceiling = load_metrics(ceiling_path)
    path = ((ceiling and ceiling.protocol.reference) or {}).get("path")
    if not isinstance(path, str) or Path(path).suffix not in (".npz", ".zip"):
        return []
    grid = make_grid(path, f"Real images of {task_words}")
    return [{"title": "real images", **grid}] if grid else []
