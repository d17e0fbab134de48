"""Which changes make Snakemake do finished work again, whatever way it was started."""

import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from snakemake.exceptions import WorkflowError
from snakemake.jobs import Job

from records.errors import UserError
from records.interrupts import end_at_ctrl_c
from workflow.finished_work import mend
from workflow.persistence import FilesFirst
from workflow.rule_parts import RuleParts
from workflow.running_jobs import await_running, name_jobs

AGAIN = "ADM_STARTED_AGAIN"  # set where SLURM itself has started a job again
TRIGGERS = {"params", "input"}


def limit_rerun_triggers(workflow: Any) -> None:
    """Leave only changed specs (params) and changed sets of inputs as reasons to do work again.

    The command line's `--rerun-triggers` can narrow this further. Snakemake reads the Snakefile
    before it has its own settings for the graph, and a default profile cannot be shipped beside
    a cluster's profile, so the property that the graph asks is overridden.

    Args:
        workflow: the object of that name in a Snakefile.
    """

    def limit(self: Any) -> frozenset[Any]:
        triggers = self.dag_settings.rerun_triggers
        return frozenset(one for one in triggers if str(one) in TRIGGERS)

    _override(workflow, rerun_triggers=property(limit))


def take_read_only_outputs() -> None:
    """Let jobs make read-only files again: DVC leaves what it has pulled read-only.

    Snakemake takes such files for protected by their rule. No rule here protects any, and all
    commands write under another name and rename, so the copy in DVC's cache stays as it is.
    """

    async def check_nothing(self: Job) -> None:
        pass

    Job.check_protected_output = check_nothing


def keep_finished_outputs(rules: Mapping[str, RuleParts]) -> None:
    """Let no job lose what it had finished when it died, as it fails or as it starts again.

    Snakemake removes a job's outputs at both times. A job that SLURM started again finds them all
    there, and the frame of its command leaves it at that (`workflow/attempt.sh`).

    Args:
        rules: the parts of all rules, by name.
    """
    if os.environ.get("SLURM_RESTART_COUNT"):
        os.environ[AGAIN] = "1"  # for the job's step, to which that variable does not come
    for name in ("cleanup", *(["remove_existing_output"] if AGAIN in os.environ else [])):
        setattr(Job, name, _keep_whole(getattr(Job, name), rules))


def _keep_whole(inherited: Any, rules: Mapping[str, RuleParts]) -> Any:
    async def remove(self: Job, *words: Any, **more: Any) -> None:
        parts = rules.get(self.rule.name)
        if parts is None or not parts.is_whole(self.wildcards):
            await inherited(self, *words, **more)

    return remove


def ask_files_first(workflow: Any, rules: Mapping[str, RuleParts]) -> None:
    """Let the files beside finished work say whether it is what is planned (`FilesFirst`).

    What an interrupted run left half-written is made again, as with `--rerun-incomplete`, once the
    jobs that outlived it have ended.

    Args:
        workflow: as in `limit_rerun_triggers`; of the process that plans, not of a single job.
        rules: the parts of all rules, by name.
    """
    inherited, graph = type(workflow).persistence, next(iter(rules.values())).graph

    def mix(self: Any) -> Any:
        records = inherited.fget(self)
        if records is not None and not isinstance(records, FilesFirst):
            refuse_lost_target(
                self.dag_settings, {one.name for one in self.rules if one.name not in rules}
            )
            kind = type(records)
            records.__class__ = type(kind.__name__, (FilesFirst, kind), {"rules": dict(rules)})
            self.dag_settings = replace(self.dag_settings, force_incomplete=True)
            if self.executor_plugin is not None and not self.dryrun:
                on_slurm = self.executor_plugin.name == "slurm"
                if not records.is_held(graph.makers):  # else the locks end this in a moment
                    try:
                        with end_at_ctrl_c("no job was started"):
                            await_running(graph, on_slurm=on_slurm)
                    except UserError as error:
                        raise WorkflowError(str(error)) from None
                mend(graph)
                if on_slurm:
                    from workflow.slurm_polling import be_patient  # loads SLURM's plugin

                    be_patient(self.executor_plugin, rules, name_jobs(graph))
        return records

    _override(workflow, persistence=property(mix))


def refuse_lost_target(settings: Any, targets: Collection[str]) -> None:
    """Refuse a run for which an option has taken the only target as one more of its rules.

    It would make all tables. What takes settings (`--config`, `--set-resources`) is refused by
    Snakemake itself, before it has read anything of this project.

    Args:
        settings: Snakemake's for the graph.
        targets: names of the rules that are targets.
    """
    if settings.targets or settings.target_jobs:
        return
    for option in ("forcerun", "until", "omit_from", "allowed_rules"):
        if lost := sorted({*(getattr(settings, option) or ())} & {*targets}):
            option = f"--{option.replace('_', '-')}"
            raise SystemExit(
                f"error: {option} has taken {', '.join(lost)} for one of its rules, and no target "
                f"is left; end its list with two dashes: snakemake {option} ... -- {lost[0]}"
            )


def _override(workflow: Any, **members: Any) -> None:
    workflow.__class__ = type("Workflow", (type(workflow),), members)
