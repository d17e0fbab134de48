"""The table as data: published and measured numbers, intervals, claims and where each came from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from records.errors import UserError
from records.files import digest
from reports.accuracy import make_classifiers
from reports.agreement import (
    OLDER_SETTINGS,
    RULES,
    count_agreements,
    judge_agreement,
    list_other_sources,
    make_other,
)
from reports.artefacts import make_artefacts
from reports.cells import load_metrics, make_estimate, read_interval
from reports.claims import SAMPLING_DOF, Estimate, SeedSpread, compute_interval, compute_seed_spread
from reports.evaluator import compare_evaluators, flag_evaluator
from reports.judging import find_published, make_claim
from reports.notes import MEASURED, find_status, list_notes, make_command, make_footnotes
from reports.numbers import find_measured, make_numbers, summarise_protocol
from reports.protocol import find_mixtures

FORMAT = 1
TINY_REFERENCE = 500  # images; below it FID is mostly bias and precision and recall are coarse


def make_table(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Join a table's specification with the metrics files that exist.

    Args:
        spec: checked specification (reports.spec.load_spec).

    Returns:
        A JSON object with the table's names, its groups of rows with a cell per mark and metric,
        its judged claims, the spread between training seeds, what is mixed or missing, and the
        protocol of every number. Equal inputs give equal objects.

    Raises:
        UserError: a metrics file is broken.
    """
    table = spec["table"]
    files = load_row_metrics(spec)
    groups = load_seed_groups(spec)
    spreads = {
        metric: compute_seed_spread(metric, _seed_values(groups, metric))
        for metric in table["metrics"]
    }
    footnotes = make_footnotes(spec, files)
    rows = [_make_row(row, spec, files, spreads, footnotes) for row in spec["rows"]]
    ceilings = {task: load_metrics(path) for task, path in sorted(spec["ceilings"].items())}
    claims = [make_claim(claim, spec, files, spreads) for claim in spec["claims"]]
    evaluator = compare_evaluators(spec, files)
    return {
        "format": FORMAT,
        **{
            key: table[key]
            for key in ("name", "neurips", "arxiv_v4", "alias", "title", "about", "layout")
        },
        **{key: list(table[key]) for key in ("settings", "metrics", "marks")},
        "scale": spec["scale"],
        "source": spec["source"],
        "scale_notes": list(spec["scale_notes"]),
        "command": make_command(spec),
        "groups": _make_groups(rows, ceilings, table),
        "footnotes": footnotes,
        "num_rows": len(rows),
        "num_measured": sum(any(m["status"] == MEASURED for m in row["marks"]) for row in rows),
        "claims": claims,
        "agreement": spec["agreement"] and RULES[spec["source"]],
        "agreements": count_agreements(rows),
        "other_sources": list_other_sources(rows, MEASURED),
        "older_sources": list_other_sources(rows, OLDER_SETTINGS),
        "artefacts": make_artefacts(spec),
        "classifiers": make_classifiers(spec),
        "seeds": _describe_seeds(groups, spreads, table["metrics"]),
        "evaluator": evaluator,
        "flags": flag_evaluator(evaluator) + find_mixtures(find_measured(spec, files)),
        "numbers": make_numbers(spec, files, ceilings),
        "protocol_summary": summarise_protocol(spec, files),
        "spec_digest": digest(spec),
    }


def load_row_metrics(spec: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, Any] | None]:
    """Read the metrics file of every row and mark; None where there is none."""
    return {
        (row["id"], mark): load_metrics(row["cells"][mark]["metrics"])
        for row in spec["rows"]
        for mark in spec["table"]["marks"]
    }


def load_seed_groups(spec: Mapping[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Read the metrics of models that differ in the training seed alone, leaving out absent files.

    Returns:
        Pairs of the trained model's name and the files of its seeds. Several marks or samplings of
        one model have its name in common.

    Raises:
        UserError: the files of a group count different numbers of samples.
    """
    groups = []
    for seeds in spec["seed_groups"]:
        paths = seeds["metrics"]
        group = [content for content in map(load_metrics, paths) if content is not None]
        counts = sorted({content["counts"]["samples"] for content in group})
        if len(counts) > 1:
            raise UserError(
                f"{paths[0]}: its training seeds were scored on {counts} samples; "
                "the spread between seeds needs equal numbers; sample and evaluate them again"
            )
        groups.append((seeds["model"], group))
    return groups


def _seed_values(groups: Sequence[tuple[str, list]], metric: str) -> list[tuple[str, list[float]]]:
    estimates = [(name, [make_estimate(c, metric) for c in group]) for name, group in groups]
    return [(name, [e.value for e in found if e]) for name, found in estimates]


def _make_row(
    row: Mapping, spec: Mapping, files: Mapping, spreads: Mapping, footnotes: Sequence[Mapping]
) -> dict[str, Any]:
    table = spec["table"]
    notes = list_notes(row, [files[row["id"], mark] for mark in table["marks"]], make_command(spec))
    return {
        **{key: row[key] for key in ("id", "label", "task", "task_words", "kind", "settings")},
        **{key: row[key] for key in ("notes", "assumed", "reason", "recipe_words")},
        "footnotes": [n["mark"] for n in footnotes if (n["text"], n["command"]) in notes],
        "marks": [_make_mark(row, mark, files) for mark in table["marks"]],
        "cells": [
            _make_cell(row, mark, metric, spec, files, spreads[metric])
            for mark in table["marks"]
            for metric in table["metrics"]
        ],
    }


def _make_mark(row: Mapping, mark: str, files: Mapping) -> dict[str, Any]:
    """Say whether a row was measured at a mark, on how many samples, and how many are copies."""
    content = files[row["id"], mark]
    memorised = make_estimate(content, "memorised")
    return {
        "mark": mark,
        "status": find_status(row, content),
        "num_samples": content["counts"]["samples"] if content else None,
        "memorised": memorised.value if memorised else None,
    }


def _make_cell(
    row: Mapping, mark: str, metric: str, spec: Mapping, files: Mapping, spread: SeedSpread | None
) -> dict[str, Any]:
    """Return one number: published, measured, interval and verdict.

    In a table of differences the number is the difference that the paper prints, and `absolute` is
    the row's own value, as a cell with the verdict and the other sources, which speak of it alone.
    """
    content = files[row["id"], mark]
    estimate = make_estimate(content, metric)
    published = find_published(spec, row["id"], mark, metric)
    cell = {
        "mark": mark,
        "metric": metric,
        "published": published,
        "is_difference": False,
        "status": find_status(row, content),
        "measured": estimate.value if estimate else None,
        "low": None,
        "high": None,
        "absolute": None,
        "agreement": judge_agreement(spec["agreement"], spec["source"], content, metric, published),
        "others": [
            make_other(source, file, spec["agreement"], metric, published)
            for source, file in row["cells"][mark].get("others", {}).items()
            if Path(file["path"]).exists()
        ],
    }
    if spec["table"]["layout"] != "deltas":
        cell["low"], cell["high"] = read_interval(content, metric)
        return cell
    if estimate is not None:
        cell["low"], cell["high"] = _interval_with_seeds([estimate], spread)
    first = spec["rows"][0]
    shown = {**cell, "agreement": None, "others": [], "absolute": cell}
    if row["id"] == first["id"]:
        return shown
    base = make_estimate(files[first["id"], mark], metric)
    effect, low, high = None, None, None
    if estimate is not None and base is not None:
        effect = estimate.value - base.value
        low, high = _interval_with_seeds([estimate, base], spread, effect)
    printed = row["published"].get(mark, {}).get(metric)
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


def _make_groups(rows: Sequence[dict], ceilings: Mapping, table: Mapping) -> list[dict[str, Any]]:
    """Gather rows by task, in the order of the rows, with the task's ceiling row."""
    groups = []
    for task in dict.fromkeys(row["task"] for row in rows):
        mine = [row for row in rows if row["task"] == task]
        ceiling = _make_ceiling(ceilings.get(task), table["metrics"])
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


def _make_ceiling(
    content: Mapping[str, Any] | None, metrics: Sequence[str]
) -> dict[str, Any] | None:
    """Return real images scored against real ones: floor of FID, ceiling of the others."""
    if content is None:
        return None
    cells = []
    for metric in metrics:
        estimate = make_estimate(content, metric)
        low, high = read_interval(content, metric)
        cells.append(
            {
                "metric": metric,
                "measured": estimate.value if estimate else None,
                "low": low,
                "high": high,
            }
        )
    memorised = make_estimate(content, "memorised")
    return {
        "name": content["name"],
        "cells": cells,
        "num_samples": content["counts"]["samples"],
        "num_reference": content["counts"]["reference"],
        "memorised": memorised.value if memorised else None,
        "tiny": content["counts"]["reference"] < TINY_REFERENCE,
    }


def _describe_seeds(
    groups: Sequence[tuple[str, list]], spreads: Mapping, metrics: Sequence[str]
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
                    {"name": group[0]["name"], "values": found}
                    for (_, group), (_, found) in values
                    if len(found) > 1
                ],
            }
        )
    return described
