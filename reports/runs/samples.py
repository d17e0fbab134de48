"""What the page of a sample set shows: images, numbers, protocol and cost of its batches."""

from collections.abc import Mapping
from typing import Any

from records.metrics import METRICS
from reports.cells import read_measured
from reports.files import attempt, find_metrics
from reports.grids import make_grid
from reports.notes import make_command
from reports.numbers import find_tracked
from reports.pictures import check_batch
from reports.protocol import flatten, make_headline
from reports.runs.costs import read_cost
from specs.results import MetricsFile
from specs.run_pages import PageBatch, PageSamples, RunPages

PER_CLASS, PER_CLASS_OF_OTHERS = 6, 2  # images of the first training seed, and of others
TILE_PX = 48
SETTINGS = ("labels", "sampler", "guidance scale")  # which the page lists from the plan
MODEL_SPECS = ("samples.model.", "samples.classifier.")


def make_samples(runs: RunPages, one: PageSamples, problems: list[str]) -> dict[str, Any]:
    """Join a sample set with its files that exist.

    Args:
        runs: the pages to which it belongs.
        one: the sample set.
        problems: takes a sentence for each file that is left out, as it is broken or of other
            settings.
    """
    found = {batch.name: find_metrics(batch.metrics) for batch in one.batches}
    problems += [each.problem for each in found.values() if each.problem]
    contents = {
        batch.seed: content for batch in one.batches if (content := found[batch.name].content)
    }
    first = next(iter(contents.values()), None)
    return {
        **one.content(),
        "title": one.cells[0].label + (f" ({role})" if (role := one.cells[0].role) else ""),
        "graded": [*contents],
        "metrics": _list_metrics(contents),
        "counts": first.counts.content() if first else {},
        "batches": [
            {
                **batch.content(),
                "words": f"training seed {batch.seed}",
                "grid": attempt(problems, lambda b=batch: _make_grid(one, b)),
                "cost": attempt(problems, lambda b=batch: read_cost(b.samples.path)),
                "tracked": find_tracked(runs, batch.name),
                "command": make_command(runs, batch.metrics.path),
            }
            for batch in one.batches
        ],
        "reference": (first.protocol.reference or {}).get("path") if first else None,
        "headline": [
            fact for fact in (make_headline(first) if first else []) if fact[0] not in SETTINGS
        ],
        "protocol": _list_protocol(first) if first else [],
    }


def _list_protocol(content: MetricsFile) -> list[tuple[str, str]]:
    """List the whole protocol, without the specs of models, which have pages of their own."""
    facts = flatten(content.protocol.content())
    return [fact for fact in facts if not fact[0].startswith(MODEL_SPECS)]


def _make_grid(one: PageSamples, batch: PageBatch) -> dict[str, Any] | None:
    """Return the sheet of a batch, of other training seeds than the first a smaller one."""
    check_batch(batch.samples)
    per_class = PER_CLASS if batch == one.batches[0] else PER_CLASS_OF_OTHERS
    what = f"Samples of {batch.name}"
    return make_grid(batch.samples.path, what, per_class=per_class, tile_px=TILE_PX)


def _list_metrics(contents: Mapping[int, MetricsFile]) -> list[dict[str, Any]]:
    """Return every metric with its number of each training seed, and their mean."""
    names = {name for content in contents.values() for name in content.metrics}
    rows = []
    for name in sorted(names & {*METRICS}, key=[*METRICS].index):
        values = [{"metric": name, **read_measured(content, name)} for content in contents.values()]
        known = [one["measured"] for one in values if one["measured"] is not None]
        mean = sum(known) / len(known) if len(known) > 1 else None
        rows.append({"metric": name, "values": values, "mean": mean})
    return rows
