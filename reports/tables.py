"""The table as data: published and measured numbers, intervals, claims and where each came from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reports.accuracy import make_classifiers
from reports.agreement import (
    RULES,
    count_agreements,
    judge_agreement,
    list_other_sources,
    make_other,
)
from reports.artefacts import make_artefacts
from reports.cell_intervals import estimate_cell, estimate_difference
from reports.cells import RowMetrics, read_measured
from reports.differences import make_differences
from reports.evaluator import compare_evaluators, flag_evaluator
from reports.files import MEASURED, list_problems, load_metrics
from reports.judging import find_published, make_claim
from reports.losses import make_losses
from reports.notes import find_status, list_notes, make_command, make_footnotes
from reports.numbers import find_measured, make_numbers, summarise_protocol
from reports.protocol import find_mixtures
from reports.ranks import rank_rows
from reports.replicates import CellReplicates, load_losses, load_replicates
from reports.seeds import describe_seeds
from specs.page import PageRow, PageSpec
from specs.results import MetricsFile

FORMAT = 1
TINY_REFERENCE = 500  # images; below it FID is mostly bias and precision and recall are coarse


def make_table(spec: PageSpec) -> dict[str, Any]:
    """Join what a page shows with the metrics files that exist.

    Args:
        spec: what the page shows.

    Returns:
        A JSON object with the table's names, its groups of rows with a cell per mark and metric,
        its judged claims, the spread between training seeds, what is mixed or missing, and the
        protocol of every number. Equal inputs give equal objects. A file that is broken or was
        made with other settings is named among the `flags`, and its cells have no number.
    """
    metrics, problems = spec.table.metrics, list_problems(spec.list_metrics())
    files = load_row_metrics(spec)
    replicates = load_replicates(spec, problems)
    losses = make_losses(spec, load_losses(spec, problems), replicates)
    footnotes = make_footnotes(spec, files)
    rows = [_make_row(row, spec, files, replicates, footnotes) for row in spec.rows]
    ceilings = {task: load_metrics(path) for task, path in sorted(spec.ceilings.items())}
    evaluator = compare_evaluators(spec, files)
    return {
        "format": FORMAT,
        **spec.table.content(),
        "scale": spec.scale,
        "source": spec.source,
        "scale_notes": spec.scale_notes,
        "differences": make_differences(spec, files),
        "command": make_command(spec, f"reproduce_{spec.table.name}"),
        "groups": _make_groups(rows, ceilings, metrics),
        "footnotes": footnotes,
        "num_rows": len(rows),
        "num_measured": sum(any(m["status"] == MEASURED for m in row["marks"]) for row in rows),
        "claims": [make_claim(claim, spec, replicates) for claim in spec.claims],
        "agreement": RULES[spec.source] if spec.agreement else None,
        "agreements": count_agreements(rows),
        "other_sources": list_other_sources(rows, shown=True),
        "other_sources_left_out": list_other_sources(rows, shown=False),
        "artefacts": make_artefacts(spec.artefacts, problems),
        "classifiers": make_classifiers(spec.classifiers, problems),
        "seeds": describe_seeds(spec, replicates),
        "losses": losses,
        "evaluator": evaluator,
        "flags": problems + flag_evaluator(evaluator) + find_mixtures(find_measured(spec, files)),
        "numbers": make_numbers(spec, files, ceilings),
        "protocol_summary": summarise_protocol(spec, files),
        "spec_digest": spec.digest,
    }


def load_row_metrics(spec: PageSpec) -> RowMetrics:
    """Read the metrics of every row and mark with its first seed that is there; None for none."""
    return {
        (row.id, mark): next(filter(None, map(load_metrics, row.cells[mark].list_metrics())), None)
        for row in spec.rows
        for mark in spec.table.marks
    }


def _make_row(
    row: PageRow,
    spec: PageSpec,
    files: RowMetrics,
    replicates: CellReplicates,
    footnotes: Sequence[Mapping],
) -> dict[str, Any]:
    marks = spec.table.marks
    contents = {mark: files[row.id, mark] for mark in marks}
    notes = list_notes(row, contents, make_command(spec, f"reproduce_{spec.table.name}"))
    return {
        **row.model_dump(exclude={"published", "cells"}),
        "footnotes": [n["mark"] for n in footnotes if (n["text"], n["command"]) in notes],
        "marks": [_make_mark(row, mark, spec, files[row.id, mark]) for mark in marks],
        "cells": [
            _make_cell(row, mark, metric, spec, files, replicates)
            for mark in marks
            for metric in spec.table.metrics
        ],
    }


def _make_mark(
    row: PageRow, mark: str, spec: PageSpec, content: MetricsFile | None
) -> dict[str, Any]:
    """Say whether a row was measured at a mark, on how many samples, and how many are copies."""
    return {
        "mark": mark,
        "after": spec.table.after[mark],
        "status": find_status(row, mark, content),
        "num_samples": content.counts.samples if content else None,
        "memorised": read_measured(content, "memorised")["measured"],
    }


def _make_cell(
    row: PageRow,
    mark: str,
    metric: str,
    spec: PageSpec,
    files: RowMetrics,
    replicates: CellReplicates,
) -> dict[str, Any]:
    """Return one number: published, measured, interval and verdict, and its difference to a row.

    In a table of differences the number is the difference that the paper prints, and `absolute` is
    the row's own value, as a cell with the verdict and the other sources, which speak of it alone.
    In other tables `difference` is the difference to the first measured row of the task.
    """
    content = files[row.id, mark]
    published = find_published(spec, row.id, mark, metric)
    cell = {
        "mark": mark,
        "after": spec.table.after[mark],
        "metric": metric,
        "published": published,
        "is_difference": False,
        "status": find_status(row, mark, content),
        **estimate_cell(spec, replicates, row, mark, metric),
        "digest": content.digest if content else None,
        "rank": None,
        "absolute": None,
        "difference": None,
        "agreement": judge_agreement(spec.agreement, spec.source, content, metric, published),
        "others": [
            make_other(source, file, spec.agreement, metric, published)
            for source, file in row.cells[mark].others.items()
            if Path(file.path).exists()
        ],
    }
    own = {**cell, "agreement": None, "others": []}
    if spec.table.layout != "deltas":
        first = next((r for r in spec.rows if r.task == row.task and files[r.id, mark]), row)
        if first.id == row.id or cell["measured"] is None:
            return cell
        base = find_published(spec, first.id, mark, metric)
        step = None if published is None or base is None else published - base
        difference = estimate_difference(spec, replicates, row, first, mark, metric)
        return {
            **cell,
            "difference": {**own, "published": step, **difference, "is_difference": True},
        }
    shown = {**own, "absolute": cell}
    if row.id == spec.rows[0].id:
        return shown
    printed = row.published.get(mark, {}).get(metric)
    difference = estimate_difference(spec, replicates, row, spec.rows[0], mark, metric)
    return {**shown, "published": printed, **difference, "is_difference": True}


def _make_groups(
    rows: Sequence[dict], ceilings: Mapping[str, MetricsFile | None], metrics: Sequence[str]
) -> list[dict[str, Any]]:
    """Gather rows by task, in the order of the rows, with the task's ceiling row."""
    groups = []
    for task in dict.fromkeys(row["task"] for row in rows):
        mine = [row for row in rows if row["task"] == task]
        ceiling = _make_ceiling(ceilings.get(task), metrics)
        counts = sorted(
            {m["num_samples"] for row in mine for m in row["marks"] if m["num_samples"]}
        )
        if ceiling:
            ceiling["same_count"] = counts in ([], [ceiling["num_samples"]])
        groups.append(
            {
                "task": task,
                "task_words": mine[0]["task_words"],
                "num_samples": counts,
                "rows": mine,
                "ceiling": ceiling,
                "orders": rank_rows(mine),
            }
        )
    return groups


def _make_ceiling(content: MetricsFile | None, metrics: Sequence[str]) -> dict[str, Any] | None:
    """Return real images scored against real ones: floor of FID, ceiling of the others."""
    if content is None:
        return None
    return {
        "name": content.name,
        "cells": [{"metric": metric, **read_measured(content, metric)} for metric in metrics],
        "num_samples": content.counts.samples,
        "num_reference": content.counts.reference,
        "memorised": read_measured(content, "memorised")["measured"],
        "tiny": (content.counts.reference or TINY_REFERENCE) < TINY_REFERENCE,
    }
