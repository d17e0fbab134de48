"""Write down what a page shows: rows, where their numbers lie, and the claims to be tested."""

from typing import Any

from adm.config import Claim, Row, Table
from workflow.plan import Plan, cell_name, variant_name

QUOTED = "published value, quoted by the authors from an earlier paper; no samples were released"
RELEASED = (
    "published value: no model of this kind here; its samples were released and can be graded"
)
UNRELEASED = "published value: no model of this kind here, and no samples were released"


def make_table_spec(plan: Plan, name: str) -> dict[str, Any]:
    """Describe one table for `reports`.

    Args:
        plan: the plan of a scale and source.
        name: `table1` to `table6`.

    Returns:
        JSON object: table, rows with the paths of their metrics and samples, ceilings, claims and
        the groups of equal models trained with different seeds.
    """
    table = plan.tables[name]
    rows = [_row(plan, table, row_id, row) for row_id, row in table.rows.items()]
    tasks = list(dict.fromkeys(row.task for row in table.rows.values()))
    return {
        "format": 1,
        "scale": plan.scale.name,
        "source": plan.source,
        "root": plan.root,
        "table": {
            "name": name,
            **table.model_dump(exclude={"rows", "claims", "seed_rows"}),
        },
        "scale_notes": [plan.scale.about + ".", *plan.scale.notes],
        "rows": rows,
        "ceilings": {task: plan.ceiling_path(task) for task in tasks},
        "claims": [_claim(plan, table, key, claim) for key, claim in table.claims.items()],
        "pages": [
            {"name": one, "title": f"Table {other.neurips}: {other.title}"}
            for one, other in plan.tables.items()
        ],
        "seed_groups": [
            [plan.metrics_path(sample) for sample in group] for group in seed_groups(plan, table)
        ],
    }


def seed_variants(plan: Plan, table: Table, row_id: str, mark: str) -> list[str]:
    """Return the sample names of a cell, one for each training seed, the shown one first."""
    row = table.rows[row_id]
    if row.model is None:
        return []
    seeds = plan.scale.models[row.model].seeds
    return [plan.cells[cell_name(table, row_id, mark, seeds, seed)] for seed in seeds]


def seed_groups(plan: Plan, table: Table) -> list[list[str]]:
    """Return the sample names of equal models that differ by their training seed alone."""
    groups = []
    for row_id in table.seed_rows:
        owner = next(one for one in plan.tables.values() if row_id in one.rows)
        groups += [seed_variants(plan, owner, row_id, mark) for mark in owner.marks]
    return [group for group in groups if len(group) > 1]


def table_inputs(plan: Plan, name: str) -> dict[str, list[str]]:
    """Return the files that a table's page is made from."""
    table = plan.tables[name]
    shown = dict.fromkeys(
        seed_variants(plan, table, row_id, mark)[0]
        for row_id, row in table.rows.items()
        for mark in table.marks
        if row.model is not None
    )
    names = dict.fromkeys([*shown, *(name for group in seed_groups(plan, table) for name in group)])
    tasks = dict.fromkeys(row.task for row in table.rows.values())
    return {
        "metrics": [plan.metrics_path(sample) for sample in names],
        "samples": [plan.samples_path(sample) for sample in shown],
        "ceilings": [plan.ceiling_path(task) for task in tasks],
    }


def _row(plan: Plan, table: Table, row_id: str, row: Row) -> dict[str, Any]:
    """Describe one row."""
    task = plan.scale.tasks[row.task]
    described: dict[str, Any] = {
        "id": row_id,
        "label": row.label,
        "task": row.task,
        "task_words": task.words,
        "kind": "baseline" if row.model is None else "model",
        "settings": row.settings,
        "published": row.published,
        "notes": row.notes,
        "assumed": row.assumed,
        "reason": None,
        "cells": {},
        "recipe_words": {},
    }
    if row.model is None or row.sampler is None:
        described["reason"] = RELEASED if row.released else UNRELEASED
        if "quoted" in row.notes:
            described["reason"] = QUOTED
        described["cells"] = {
            mark: {"metrics": None, "samples": None, "shared_with": None, "seeds": []}
            for mark in table.marks
        }
        return described
    for mark in table.marks:
        first, *others = seed_variants(plan, table, row_id, mark)
        own = cell_name(table, row_id, mark, [0], 0)
        described["cells"][mark] = {
            "metrics": plan.metrics_path(first),
            "samples": plan.samples_path(first),
            "shared_with": None if first == own else first,
            "seeds": [plan.metrics_path(other) for other in others if row_id in table.seed_rows],
        }
    model = plan.models[
        variant_name(
            row.model, plan.scale.models[row.model].seeds, plan.scale.models[row.model].seeds[0]
        )
    ]
    last = plan.samples[seed_variants(plan, table, row_id, table.marks[-1])[0]]
    described["recipe_words"] = {
        "model": model["name"],
        "iterations": ", ".join(str(plan.marks[model["name"]][mark]) for mark in table.marks),
        "sampler": f"{last['sampler']['method']}, respacing {last['sampler']['respacing']}",
        "guidance_scale": last["sampler"]["guidance_scale"],
        "classifier": row.sampler.classifier,
        "base": row.base and row.base.model,
        "base_guidance_scale": row.base and row.base.sampler.guidance_scale,
        "num_images": last["num_images"],
    }
    return described


def _claim(plan: Plan, table: Table, claim_id: str, claim: Claim) -> dict[str, Any]:
    """Describe one claim, saying which comparisons are between different trained models."""
    comparisons = []
    for one in claim.comparisons:
        sides = {
            side: None if row_id is None else {"row": row_id, "mark": one.mark}
            for side, row_id in (("left", one.left), ("right", one.right), ("towards", one.towards))
        }
        trained = {
            (table.rows[row_id].model, table.rows[row_id].base and table.rows[row_id].base.model)
            for row_id in (one.left, one.right, one.towards)
            if row_id is not None
        }
        comparisons.append(
            {
                "metric": one.metric,
                "relation": one.relation,
                "factor": one.factor,
                "margin": one.margin,
                **sides,
                "trained_models_differ": len(trained) > 1,
            }
        )
    return {
        "id": claim_id,
        "text": claim.text,
        "where": claim.where,
        "sources": claim.sources,
        "comparisons": comparisons,
    }
