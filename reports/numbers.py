"""Where each number of a table came from: its protocol, and what all of them share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from records.tracking import STORE
from reports.cells import RowMetrics
from reports.files import load_metrics
from reports.notes import make_command
from reports.protocol import NOT_RECORDED, flatten, make_headline
from specs.page import PageSpec
from specs.results import MetricsFile
from specs.run_pages import RunPages


def find_measured(spec: PageSpec, files: RowMetrics) -> list[tuple[str, str, MetricsFile]]:
    """Return label, task and file of every measured cell; labels alone are not unique by task."""
    several_tasks = len({row.task for row in spec.rows}) > 1
    found = []
    for row in spec.rows:
        for mark in spec.table.marks:
            content = files[row.id, mark]
            if content is not None:
                label = f"{row.task}: {row.label}" if several_tasks else row.label
                found.append((label + spec.table.after[mark], row.task, content))
    return found


def make_numbers(
    spec: PageSpec, files: RowMetrics, ceilings: Mapping[str, MetricsFile | None]
) -> list[dict[str, Any]]:
    """Return how every measured cell and every ceiling was made, headline first."""
    numbers = []
    for row in spec.rows:
        for mark in spec.table.marks:
            content, cell = files[row.id, mark], row.cells[mark]
            if content is not None:
                number = _make_number(f"{row.id}-{mark}", row.label, row.task, content)
                wanted = [one.metrics for one in cell.seeds[1:]]
                seeds = [other for other in map(load_metrics, wanted) if other is not None]
                number["after"] = spec.table.after[mark]
                number["recipe_words"] = row.recipe_words
                number["shared_with"] = cell.shared_with
                number["run"] = cell.run
                number["command"] = make_command(spec, cell.metrics.path) if cell.metrics else ""
                number["tracked"] = find_tracked(spec, cell.shared_with or f"{row.id}-{mark}")
                number["seeds"] = [
                    {
                        "name": other.name,
                        "metrics": {key: found.value for key, found in other.metrics.items()},
                    }
                    for other in seeds
                ]
                numbers.append(number)
    for task in dict.fromkeys(row.task for row in spec.rows):
        if (ceiling := ceilings.get(task)) is not None:
            label = "real images against real images"
            number = _make_number(f"real-{task}", label, task, ceiling)
            # Real images have no sampler: what does not apply to them is left out.
            number["headline"] = [
                fact for fact in number["headline"] if NOT_RECORDED not in fact[1]
            ]
            numbers.append(number)
    return numbers


def _make_number(anchor: str, label: str, task: str, content: MetricsFile) -> dict[str, Any]:
    """Return the part of an entry that a metrics file alone decides."""
    return {
        "anchor": anchor,
        "label": label,
        "task": task,
        "after": "",
        "recipe_words": None,
        "shared_with": None,
        "seeds": [],
        "run": {},
        "command": "",
        "tracked": "",
        "digest": content.digest,
        "counts": content.counts.content(),
        "headline": make_headline(content),
        "details": flatten(content.protocol.content()),
        "errors": [
            (metric, found.value, found.std_error)
            for metric, found in sorted(content.metrics.items())
        ],
    }


def find_tracked(spec: PageSpec | RunPages, run: str) -> str:
    """Say where MLflow has a run, where results were copied there."""
    if not (Path(spec.root).parent / STORE).exists():
        return ""
    return f"experiment {spec.scale}-{spec.source}, run {run}"


def summarise_protocol(spec: PageSpec, files: RowMetrics) -> list[tuple[str, str]]:
    """Return each headline fact once, with all its values in the table."""
    headlines = [make_headline(content) for _, _, content in find_measured(spec, files)]
    if not headlines:
        return []
    names = [name for name, _ in headlines[0]]
    facts = {name: list(dict.fromkeys(dict(h)[name] for h in headlines)) for name in names}
    # These differ by row on purpose.
    skipped = ("samples", "seeds", "sampler", "guidance scale", "published at", "retrieved")
    summary = [(name, "; ".join(values)) for name, values in facts.items() if name not in skipped]
    counts = sorted({content.counts.samples for _, _, content in find_measured(spec, files)})
    return [("samples per row", ", ".join(f"{count:,}" for count in counts)), *summary]
