"""Which sheets of images a table's page shows: real images first, then one for each row."""

from pathlib import Path
from typing import Any

from records.errors import UserError
from records.manifest import read_manifest
from reports.files import attempt, explain_digest, load_metrics
from reports.grids import make_grid
from specs.page import PageSpec, WantedFile, WantedMetrics


def make_pictures(spec: PageSpec, problems: list[str]) -> list[dict[str, Any]]:
    """Make the sheets of every task of a table.

    Args:
        spec: what the page shows.
        problems: takes a sentence for each batch that is left out, as it is broken or was drawn
            with other settings.

    Returns:
        Per task its words, its sheets, real images first where the reference is a batch that lies
        here, and the names of rows whose images are not here (`lacking`). Rows that share one batch
        share its sheet.
    """
    tasks = dict.fromkeys(row.task for row in spec.rows)
    groups = []
    for task in tasks:
        rows = [row for row in spec.rows if row.task == task]
        ceiling, words = spec.ceilings.get(task), rows[0].task_words
        sheets = attempt(problems, lambda c=ceiling, w=words: _real_sheet(c, w)) or []
        batches: dict[WantedFile, list[str]] = {}
        lacking: list[str] = []
        for row in rows:
            for mark in spec.table.marks:
                batch = row.cells[mark].samples
                if batch is not None:
                    batches.setdefault(batch, []).append(row.label + spec.table.after[mark])
        for batch, labels in batches.items():
            title = " = ".join(dict.fromkeys(labels))
            grid = attempt(problems, lambda b=batch, t=title: _make_sheet(b, t))
            if grid is not None:
                sheets.append({"title": title, **grid})
            else:
                lacking.append(title)
        if sheets or lacking:
            about = {"task": task, "task_words": rows[0].task_words}
            groups.append({**about, "sheets": sheets, "lacking": lacking})
    return groups


def _make_sheet(batch: WantedFile, title: str) -> dict[str, Any] | None:
    """Return the sheet of a batch; one of other settings is a UserError."""
    check_batch(batch)
    return make_grid(batch.path, f"Samples of {title}")


def check_batch(batch: WantedFile) -> bool:
    """Tell whether a batch is here; one of other settings is a UserError."""
    found = (read_manifest(batch.path) or {}).get("digest")
    problem = None if found is None else explain_digest(batch, str(found))
    if problem:
        raise UserError(problem)
    return Path(batch.path).exists()


def _real_sheet(wanted: WantedMetrics | None, task_words: str) -> list[dict[str, Any]]:
    """Return the sheet of real images when the ceiling names a reference batch that is here."""
    ceiling = load_metrics(wanted)
    path = ((ceiling and ceiling.protocol.reference) or {}).get("path")
    if not isinstance(path, str) or Path(path).suffix not in (".npz", ".zip"):
        return []
    grid = make_grid(path, f"Real images of {task_words}")
    return [{"title": "real images", **grid}] if grid else []
