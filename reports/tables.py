"""The table as data: published and measured numbers, intervals, claims and where each came from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from reports.accuracy import make_classifiers
from reports.agreement import (
    RULES,
    count_agreements,
    judge_agreement,
    list_other_sources,
    make_other,
)
from reports.artefacts import make_artefacts
from reports.cells import RowMetrics, make_estimate, read_measured
from reports.claims import SAMPLING_DOF, Estimate, SeedSpread, compute_interval, compute_seed_spread
from reports.differences import make_differences
from reports.evaluator import compare_evaluators, flag_evaluator
from reports.files import MEASURED, list_problems, load_metrics
from reports.judging import find_published, make_claim
from reports.notes import find_status, list_notes, make_command, make_footnotes
from reports.numbers import find_measured, make_numbers, summarise_protocol
from reports.protocol import find_mixtures
from specs.page import PageRow, PageSpec
from specs.results import MetricsFile

FORMAT = 1
TINY_REFERENCE = 500  # images; below it FID is mostly bias and precision and recall are coarse

Spreads: TypeAlias = Mapping[str, SeedSpread | None]  # by metric
SeedFiles: TypeAlias = Sequence[tuple[str, Sequence[MetricsFile]]]  # by model


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
    groups = load_seed_groups(spec, problems)
    spreads = {
        metric: compute_seed_spread(metric, _seed_values(groups, metric)) for metric in metrics
    }
    footnotes = make_footnotes(spec, files)
    rows = [_make_row(row, spec, files, spreads, footnotes) for row in spec.rows]
    ceilings = {task: load_metrics(path) for task, path in sorted(spec.ceilings.items())}
    evaluator = compare_evaluators(spec, files)
    return {
        "format": FORMAT,
        **spec.table.content(),
        "scale": spec.scale,
        "source": spec.source,
        "scale_notes": spec.scale_notes,
        "differences": make_differences(spec, files),
        "command": make_command(spec),
        "groups": _make_groups(rows, ceilings, metrics),
        "footnotes": footnotes,
        "num_rows": len(rows),
        "num_measured": sum(any(m["status"] == MEASURED for m in row["marks"]) for row in rows),
        "claims": [make_claim(claim, spec, files, spreads) for claim in spec.claims],
        "agreement": RULES[spec.source] if spec.agreement else None,
        "agreements": count_agreements(rows),
        "other_sources": list_other_sources(rows, shown=True),
        "other_sources_left_out": list_other_sources(rows, shown=False),
        "artefacts": make_artefacts(spec.artefacts, problems),
        "classifiers": make_classifiers(spec.classifiers, problems),
        "seeds": _describe_seeds(groups, spreads, metrics),
        "evaluator": evaluator,
        "flags": problems + flag_evaluator(evaluator) + find_mixtures(find_measured(spec, files)),
        "numbers": make_numbers(spec, files, ceilings),
        "protocol_summary": summarise_protocol(spec, files),
        "spec_digest": spec.digest,
    }


def load_row_metrics(spec: PageSpec) -> RowMetrics:
    """Read the metrics file of every row and mark; None where there is none."""
    return {
        (row.id, mark): load_metrics(row.cells[mark].metrics)
        for row in spec.rows
        for mark in spec.table.marks
    }


def load_seed_groups(spec: PageSpec, problems: list[str]) -> SeedFiles:
    """Read the metrics of models that differ in the training seed alone, leaving out absent files.

    Args:
        spec: what the page shows.
        problems: takes a sentence for each group that is left out, as its files count different
            numbers of samples.

    Returns:
        Pairs of the trained model's name and the files of its seeds. Several marks or samplings of
        one model have its name in common.
    """
    groups = []
    for seeds in spec.seed_groups:
        group = [content for content in map(load_metrics, seeds.metrics) if content is not None]
        counts = sorted({content.counts.samples for content in group})
        if len(counts) > 1:
            problems.append(
                f"{seeds.metrics[0].path}: its training seeds were scored on {counts} samples; "
                "the spread between seeds needs equal numbers; sample and evaluate them again"
            )
        else:
            groups.append((seeds.model, group))
    return groups


def _seed_values(groups: SeedFiles, metric: str) -> list[tuple[str, list[float]]]:
    estimates = [(name, [make_estimate(c, metric) for c in group]) for name, group in groups]
    return [(name, [e.value for e in found if e]) for name, found in estimates]


def _make_row(
    row: PageRow, spec: PageSpec, files: RowMetrics, spreads: Spreads, footnotes: Sequence[Mapping]
) -> dict[str, Any]:
    marks = spec.table.marks
    contents = {mark: files[row.id, mark] for mark in marks}
    notes = list_notes(row, contents, make_command(spec))
    return {
        **row.model_dump(exclude={"published", "cells"}),
        "footnotes": [n["mark"] for n in footnotes if (n["text"], n["command"]) in notes],
        "marks": [_make_mark(row, mark, spec, files[row.id, mark]) for mark in marks],
        "cells": [
            _make_cell(row, mark, metric, spec, files, spreads)
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
    row: PageRow, mark: str, metric: str, spec: PageSpec, files: RowMetrics, spreads: Spreads
) -> dict[str, Any]:
    """Return one number: published, measured, interval and verdict.

    In a table of differences the number is the difference that the paper prints, and `absolute` is
    the row's own value, as a cell with the verdict and the other sources, which speak of it alone.
    """
    content = files[row.id, mark]
    estimate = make_estimate(content, metric)
    published = find_published(spec, row.id, mark, metric)
    cell = {
        "mark": mark,
        "after": spec.table.after[mark],
        "metric": metric,
        "published": published,
        "is_difference": False,
        "status": find_status(row, mark, content),
        **read_measured(content, metric),
        "absolute": None,
        "agreement": judge_agreement(spec.agreement, spec.source, content, metric, published),
        "others": [
            make_other(source, file, spec.agreement, metric, published)
            for source, file in row.cells[mark].others.items()
            if Path(file.path).exists()
        ],
    }
    if spec.table.layout != "deltas":
        return cell
    if estimate is not None:
        cell["low"], cell["high"] = _interval_with_seeds([estimate], spreads[metric])
    first = spec.rows[0].id
    shown = {**cell, "agreement": None, "others": [], "absolute": cell}
    if row.id == first:
        return shown
    base = make_estimate(files[first, mark], metric)
    effect, low, high = None, None, None
    if estimate is not None and base is not None:
        effect = estimate.value - base.value
        low, high = _interval_with_seeds([estimate, base], spreads[metric], effect)
    printed = row.published.get(mark, {}).get(metric)
    difference = {"published": printed, "measured": effect, "low": low, "high": high}
    return {**shown, **difference, "is_difference": True}


def _interval_with_seeds(
    estimates: Sequence[Estimate], spread: SeedSpread | None, effect: float | None = None
) -> tuple[float | None, float | None]:
    """Return the interval of a number or of a difference, widened by the spread between seeds."""
    errors = [estimate.std_error for estimate in estimates if estimate.std_error is not None]
    if len(errors) < len(estimates):
        return None, None
    parts = [(sum(error**2 for error in errors), SAMPLING_DOF)]
    if spread is not None:
        parts.append((sum(spread.variance(e.value) for e in estimates), spread.dof))
    return compute_interval(estimates[0].value if effect is None else effect, parts)


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


def _describe_seeds(
    groups: SeedFiles, spreads: Spreads, metrics: Sequence[str]
) -> list[dict[str, Any]]:
    """Return, per metric, the values of every group of training seeds and the pooled spread."""
    described = []
    for metric in metrics:
        spread = spreads[metric]
        values = zip(groups, _seed_values(groups, metric), strict=True)
        described.append(
            {
                "metric": metric,
                "spread": None if spread is None else spread.size,
                "relative": None if spread is None else spread.relative,
                "dof": 0 if spread is None else spread.dof,
                "groups": [
                    {"name": group[0].name, "values": found}
                    for (_, group), (_, found) in values
                    if len(found) > 1
                ],
            }
        )
    return described
