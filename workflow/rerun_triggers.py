"""Which changes make Snakemake do finished work again, whatever way it was started."""

from typing import Any

TRIGGERS = {"params", "input"}


def limit_rerun_triggers(workflow: Any) -> None:
    """Leave only changed specs (params) and changed sets of inputs as reasons to do work again.

    The command line's `--rerun-triggers` can narrow this further. Snakemake reads the Snakefile
    before it has its own settings for the graph, and a default profile cannot be shipped beside
    a cluster's profile, so the property that the graph asks is overridden.

    Args:
        workflow: the object of that name in a Snakefile.
    """
    limited = type(
        "Workflow",
        (type(workflow),),
        {
            "rerun_triggers": property(
                lambda self: frozenset(
                    trigger
                    for trigger in self.dag_settings.rerun_triggers
                    if str(trigger) in TRIGGERS
                )
            )
        },
    )
    workflow.__class__ = limited
