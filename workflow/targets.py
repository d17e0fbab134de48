"""What the targets of the Snakefile take as inputs, and which names its patterns let through."""

import sys
from collections.abc import Callable, Iterable
from typing import Any

from workflow.availability import explain_empty_table
from workflow.plan import Plan
from workflow.table_spec import table_inputs


def make_pattern(names: Iterable[str]) -> str:
    """Return a regular expression of some names, or one that nothing fits when there are none."""
    return "|".join(names) or "(?!)"


def find_page_inputs(plan: Plan, name: str) -> list[str] | Callable[[Any], list[str]]:
    """Return the inputs of a table's target: its page and the numbers behind it.

    Args:
        plan: the plan.
        name: the table.

    Returns:
        Paths; for a table of which the source has no row a function that Snakemake calls when the
        table is asked for, and which says why there is none and ends the run.
    """
    if name in plan.shown_tables:
        inputs = table_inputs(plan, name)
        return [f"{plan.root}/report/{name}.html", *inputs["metrics"], *inputs["ceilings"]]

    def refuse(_: Any) -> list[str]:
        sys.exit(f"error: {explain_empty_table(plan, name)}")  # an exception would be framed

    return refuse
