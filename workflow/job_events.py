"""The options by which a job records its events."""

from functools import cache

from records.runs import PAPER
from workflow.plan import Plan, cell_name, find_pages


def tag_events(plan: Plan, name: str = "") -> list[str]:
    """Put scale, source, and the pages of a model, a batch or a table, into events."""
    tags = {"scale": plan.scale.name, "source": plan.source}
    if pages := {name} & {*plan.tables} or find_pages(plan, name):
        tags["pages"] = ",".join(sorted(pages))
    return [word for key, value in tags.items() for word in ("--tag", f"{key}={value}")]


def tag_paper(plan: Plan, sample: str) -> list[str]:
    """Put what the paper prints for a batch beside what is measured of it, so that both compare."""
    values = find_published(plan).get(sample, {})
    text = ",".join(f"{metric}={value}" for metric, value in sorted(values.items()))
    return ["--tag", f"{PAPER}={text}"] if text else []


@cache
def find_published(plan: Plan) -> dict[str, dict[str, float]]:
    """Return the paper's values by the batch of samples that stands for a cell.

    Tables of differences print no values.
    """
    found: dict[str, dict[str, float]] = {}
    for table in plan.tables.values():
        if table.layout == "deltas":
            continue
        for row_id, row in table.rows.items():
            for mark, values in row.published.items():
                for seed in plan.cell_seeds(table, row) if row.model else []:
                    cell = cell_name(table, row_id, mark, plan.cell_seeds(table, row), seed)
                    if (sample := plan.cells.get(cell)) is not None:
                        printed = {one: value for one, value in values.items() if value is not None}
                        found.setdefault(sample, {}).update(printed)
    return found


def record_events(plan: Plan, job: str, name: str = "") -> list[str]:
    """Record events in a file to which one job writes; `name` is as of `tag_events`."""
    return ["--events", plan.layout.events(job), *tag_events(plan, name)]
