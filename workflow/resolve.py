"""Write down what each table depends on: the files from which `dvc repro` sees what has changed."""

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from records.errors import UserError
from records.files import digest, write_json
from specs.sampling import SampleSpec
from workflow.accuracy import make_accuracy_spec
from workflow.availability import explain_empty_table
from workflow.code_digest import digest_code
from workflow.layout import PAGE_ENDINGS, ROOT
from workflow.plan import NONE, Plan, cell_name
from workflow.settings import load_plan
from workflow.table_spec import list_samples, make_table_spec, table_inputs

FORMAT = 1
STAGES = tuple(f"table{number}" for number in range(1, 7))  # dvc.yaml has one for each


def load_run(scale: str, source: str, overrides: str = NONE) -> Plan:
    """Make the plan of what params/run.yaml names; dvc.yaml looks for its results below the name.

    Raises:
        UserError: no such scale, a scale whose `name` is another than its file's, or anything that
            `load_plan` refuses.
    """
    folder = ROOT / "params" / "scales"
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    if scale not in names:
        raise UserError(
            f"params/run.yaml: scale: got {scale!r}; needed: the name of a file in params/scales, "
            f"one of {', '.join(names)}"
        )
    plan = load_plan({"scale": scale, "source": source, "overrides": overrides})
    if plan.scale.name != scale:
        raise UserError(
            f"params/scales/{scale}.yaml: name: got {plan.scale.name!r}; needed: {scale}, as the "
            f"file is called, or its results would be among those of {plan.scale.name}"
        )
    return plan


def resolve_tables(plan: Plan) -> list[str]:
    """Write what each table depends on.

    Returns:
        The files.

    Raises:
        UserError: something is in the way of a file.
    """
    paths = [plan.layout.table_plan(name) for name in STAGES]
    check_places(paths)
    renderer = digest_code("reports")
    for name, path in zip(STAGES, paths, strict=True):
        write_json(path, make_table_plan(plan, name, renderer=renderer))
    return paths


def check_places(paths: Iterable[str]) -> None:
    """Demand that some files can be made: no folder of their names, no file in place of a folder.

    Raises:
        UserError: something is in the way; results of another run, perhaps.
    """
    for path in paths:
        found = [(place, "file", "folder") for place in Path(path).parents if os.path.isfile(place)]
        if os.path.isdir(path):
            found = [(Path(path), "folder", "file")]
        for place, there, needed in found:
            raise UserError(
                f"{place}: there is a {there} where a {needed} is needed; move it away "
                f"(mv {place} {place}.old) and run the same command again"
            )


def make_table_plan(plan: Plan, name: str, *, renderer: str) -> dict[str, Any]:
    """Describe everything that the numbers and words of a table depend on.

    Args:
        plan: the plan of a scale and source.
        name: one of STAGES.
        renderer: digest of the code and templates that render pages.

    Returns:
        JSON object: the files that its stage makes (`pages`, `numbers`); what the page shows
        (`page`) and what renders it; the specs of the samples, models (classifiers among them),
        references and accuracies behind it; the metrics files with the digests that they must
        have, and which of them each cell shows. `reason` says why there is no number, and is null
        where there are some.
    """
    about: dict[str, Any] = {"page": None, "cells": {}, "metrics": {}, "samples": {}, "models": {}}
    about |= {"references": {}, "accuracies": {}}
    if name not in plan.tables:
        about["reason"] = f"{name}: scale {plan.scale.name} has no such table (params/tables.yaml)"
    else:
        about |= _describe_table(plan, name)
    return {
        "format": FORMAT,
        "scale": plan.scale.name,
        "source": plan.source,
        "root": plan.layout.root,
        "name": name,
        "pages": [plan.layout.page(name, ending) for ending in PAGE_ENDINGS],
        "numbers": plan.layout.numbers(name),
        "renderer": renderer,
        **about,
    }


def _describe_table(plan: Plan, name: str) -> dict[str, Any]:
    """Describe the page and everything behind it, of a table that the scale has."""
    inputs, files = table_inputs(plan, name), plan.layout
    samples = _find_samples(plan, name)
    tasks = [task for task in plan.datasets if files.ceiling(task) in inputs["ceilings"]]
    tasks = sorted({*tasks, *(plan.samples[sample].task for sample in samples)})
    metrics = {files.metrics(one): digest(plan.metric_spec(one)) for one in samples}
    metrics |= {files.ceiling(task): digest(plan.reference_spec(task)) for task in tasks}
    read = {*inputs["metrics"], *inputs["ceilings"]}
    page = make_table_spec(plan, name)
    return {
        "page": page.content(),
        "reason": None if name in plan.shown_tables else explain_empty_table(plan, name),
        "cells": _find_cells(plan, name, read),
        "metrics": {path: value for path, value in metrics.items() if path in read},
        "samples": {sample: plan.samples[sample].content() for sample in samples},
        "models": {name: plan.models[name].content() for name in _find_models(plan, samples)},
        "references": {task: plan.reference_spec(task) for task in tasks},
        "accuracies": {
            one.accuracy: make_accuracy_spec(plan, one.name, one.mark).content()
            for one in page.classifiers
        },
    }


def _find_samples(plan: Plan, name: str) -> list[str]:
    """Return the sample batches behind a table's numbers, and those that they are drawn from."""
    table = plan.tables[name]
    found = {*list_samples(plan, table)}
    drawn = [spec for spec in map(plan.samples.get, found) if isinstance(spec, SampleSpec)]
    return sorted({*found, *(spec.low_res.name for spec in drawn if spec.low_res)})


def _find_models(plan: Plan, samples: Iterable[str]) -> list[str]:
    """Return the models and classifiers that some sample batches are drawn with."""
    drawn = [spec for spec in map(plan.samples.get, samples) if isinstance(spec, SampleSpec)]
    return sorted({one.name for spec in drawn for one in (spec.model, spec.classifier) if one})


def _find_cells(plan: Plan, name: str, read: Collection[str]) -> dict[str, str]:
    """Return the metrics files that a table's page reads, by the cells of its own rows."""
    table = plan.tables[name]
    cells = {}
    for row_id, row in table.rows.items():
        if row_id in plan.absent:
            continue
        seeds = plan.cell_seeds(table, row)
        for mark in table.marks:
            for seed in seeds:
                cell = cell_name(table, row_id, mark, seeds, seed)
                path = plan.layout.metrics(plan.cells[cell])
                if path in read:
                    cells[cell] = path
    return cells
