"""The targets: which files each asks for, in the Snakefile and in a forecast."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from records.errors import UserError
from workflow.availability import explain_empty_table
from workflow.figures import figure_inputs
from workflow.graph import Graph
from workflow.job import Key
from workflow.plan import FIGURES, Plan, find_pages
from workflow.table_spec import table_inputs

# Targets that ask for all that some rules make.
MADE_BY = {
    "datasets": ("dataset", "prepare"),
    "models": ("train", "import_weights"),
    "metrics": ("evaluate", "ceiling"),
    "losses": ("loss",),
}
OF_A_BATCH = ("sample", "evaluate")  # rules whose jobs have the name of a batch


def find_files(plan: Plan, target: str) -> list[str]:
    """Return the files that a target asks for.

    Args:
        plan: the plan.
        target: `reproduce_all`, `datasets`, `models`, `samples`, `metrics`, `losses`, `figures`, or
            a shown table: of the last two the page and the numbers behind it are asked for. What
            only a figure shows is part of `figures` alone.
    """
    files = plan.layout
    if target in MADE_BY:
        graph = Graph(plan)
        return [
            graph.write(key)["file"]
            for key in graph.jobs
            if key[0] in MADE_BY[target]
            and not (key[0] in OF_A_BATCH and find_pages(plan, key[1]) == {FIGURES})
        ]
    if target == "samples":
        return [
            files.samples(batch).file
            for name, batch in plan.samples.items()
            if find_pages(plan, name) != {FIGURES}
        ]
    if target == "reproduce_all":
        pages = [files.page(name) for name in ("index", *plan.shown_tables)]
        shown = {one for one in plan.cells.values() if find_pages(plan, one) != {FIGURES}}
        return [*pages, *(files.metrics(sample) for sample in sorted(shown))]
    if target == FIGURES:
        return [files.page(FIGURES), *figure_inputs(plan)["metrics"]]
    inputs = table_inputs(plan, target)
    return [files.page(target), *inputs["metrics"], *inputs["ceilings"]]


def make_targets(plan: Plan) -> dict[str, list[str] | Callable[[Any], list[str]]]:
    """Return the inputs of every target by its name, tables' by all their names.

    Returns:
        Paths; for a table of which the source has no row a function that Snakemake calls when the
        table is asked for, and which says why there is none and ends the run.
    """

    def refuse(table: str, _: Any) -> list[str]:
        sys.exit(f"error: {explain_empty_table(plan, table)}")  # an exception would be framed

    targets: dict[str, Any] = {
        name: find_files(plan, name) for name in ("reproduce_all", "samples", *MADE_BY)
    }
    for name, table in plan.tables.items():
        shown = name in plan.shown_tables
        files = find_files(plan, name) if shown else partial(refuse, name)
        targets |= {f"reproduce_{alias}": files for alias in (name, table.alias)}
    if plan.figures:
        targets[f"reproduce_{FIGURES}"] = find_files(plan, FIGURES)
    return targets


def find_tables(plan: Plan, targets: Sequence[str]) -> list[str]:
    """Return the names of the tables that targets ask for, and `figures`.

    Args:
        plan: the plan.
        targets: `reproduce_all`, names and aliases of tables, or `figures`, with `reproduce_`
            before them or without.

    Raises:
        UserError: an unknown target, or a table of which the plan's source has no row.
    """
    names = {alias: name for name, table in plan.tables.items() for alias in (name, table.alias)}
    if plan.figures:
        names[FIGURES] = FIGURES
    found: dict[str, None] = {}
    for target in targets:
        short = target.removeprefix("reproduce_")
        if short != "all" and short not in names:
            raise UserError(
                f"target: got {target!r}; needed: reproduce_all, or one of "
                f"{', '.join(names)} (with reproduce_ before it or without)"
            )
        if short not in ("all", FIGURES) and names[short] not in plan.shown_tables:
            raise UserError(explain_empty_table(plan, names[short]))
        found |= dict.fromkeys(plan.shown_tables if short == "all" else [names[short]])
    return list(found)


def find_jobs(plan: Plan, targets: Sequence[str]) -> dict[Key, list[Key]]:
    """Return the jobs behind some targets, each after those that it needs, with their keys.

    Args:
        plan: the plan.
        targets: as of `find_tables`.

    Raises:
        UserError: see `find_tables`.
    """
    wanted = find_tables(plan, targets)
    if any(target.removeprefix("reproduce_") == "all" for target in targets):
        wanted = ["reproduce_all"]
    files = [file for target in wanted for file in find_files(plan, target)]
    return Graph(plan).find_needs(files)
