"""Patience with SLURM that its plugin for Snakemake lacks: no job is forgotten, none outwaited.

A class of the plugin's own kind takes its place when a run starts (`be_patient`). It asks squeue,
which every cluster has, and decides itself what each state means.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from snakemake_executor_plugin_slurm import Executor

from records.files import write_json
from workflow.endings import FROM_OUTSIDE, SHELL, Ending, read_ending
from workflow.rule_parts import RuleParts
from workflow.slurm import UNREACHABLE, explain_no_start, explain_pending, explain_refusal

FINISHED, NO_MEMORY, TIME_UP = "COMPLETED", "OUT_OF_MEMORY", "TIMEOUT"
# Not what the job did: such an attempt does not count.
TAKEN_AWAY = ("PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "CANCELLED", "REVOKED")
FAILED = ("FAILED", "DEADLINE", "ERROR", NO_MEMORY, TIME_UP, *TAKEN_AWAY)
GONE = "GONE"  # squeue does not know the job any more
# A job on its way into the queue again, or a controller that starts, may look like this for once.
DOUBTFUL = ("PREEMPTED", "UNKNOWN", GONE)
MAX_POLL_SECONDS, PATIENCE_S, MAX_FREE_ATTEMPTS = 60, 60.0, 100


class Answer(NamedTuple):
    """What squeue says of a job: its state, and why it waits."""

    state: str
    reason: str = ""


class PatientExecutor(Executor):
    """Mixed over the plugin's class.

    Attributes:
        rules: the parts of all rules, by name.
        job_name: what the names of all jobs of these results begin with.
    """

    workflow: Any  # the plugin's interfaces leave out most of what these have
    logger: Any
    rules: ClassVar[Mapping[str, RuleParts]] = {}
    job_name: ClassVar[str] = ""

    def __post_init__(self, test_mode: bool = False) -> None:
        settings = self.workflow.executor_settings
        settings.jobname_prefix = "_".join(filter(None, [self.job_name, settings.jobname_prefix]))
        super().__post_init__(test_mode)
        self._doubts: dict[str, str] = {}
        self._said: set[tuple[str, str]] = set()
        self._free_attempts: dict[Any, int] = {}
        self._had_output: dict[Any, bool] = {}  # before it was submitted first
        self._saved: dict[Any, Mapping[str, int]] = {}  # as it was submitted last
        self._is_away = False
        self._watched: set[str] = set()
        self._changed_at = time.monotonic()

    async def check_active_jobs(self, active_jobs: list[Any]) -> AsyncIterator[Any]:
        """Yield the jobs that go on, and report the others.

        Snakemake's thread may ask before this object is whole; it has no jobs then.
        """
        settings = self.workflow.executor_settings
        if not active_jobs:
            self.next_seconds_between_status_checks = settings.init_seconds_before_status_checks
            return
        if settings.status_command == "sacct" or self._submitted_job_clusters:
            async for job in self._check_as_plugin(active_jobs):
                yield job
            return
        answers = await ask_squeue(self.run_uuid)
        if (answers is None) != self._is_away:
            self._is_away = answers is None
            self.logger.warning(
                "SLURM's controller does not answer; the jobs go on, and this waits for it"
                if self._is_away
                else "SLURM's controller answers again"
            )
        goes_on = [one for one in active_jobs if answers is None or self._goes_on(one, answers)]
        self._pace({one.external_jobid for one in active_jobs}, len(goes_on) < len(active_jobs))
        for job in goes_on:
            yield job

    def _pace(self, numbers: set[str], has_changed: bool) -> None:
        """Wait a tenth of the time for which nothing has happened until the next look.

        So that what a look comes late by is small beside what the jobs take, and a month of
        computing does not ask the controller every ten seconds.
        """
        now = time.monotonic()
        if has_changed or not numbers <= self._watched:
            self._changed_at = now
        self._watched = numbers
        soonest = self.workflow.executor_settings.init_seconds_before_status_checks
        waited = (now - self._changed_at) / 10
        self.next_seconds_between_status_checks = min(max(soonest, waited), MAX_POLL_SECONDS)

    async def _check_as_plugin(self, active_jobs: list[Any]) -> AsyncIterator[Any]:
        """Let the plugin look, and go on with what it would forget when it got no answer."""
        told = {id(one) for one in active_jobs}
        inherited = {"report_job_success": self.report_job_success}
        inherited["report_job_error"] = self.report_job_error

        def watch(name: str) -> Callable[..., None]:
            def report(job: Any, *words: Any, **more: Any) -> None:
                told.discard(id(job))
                inherited[name](job, *words, **more)

            return report

        vars(self).update({name: watch(name) for name in inherited})
        try:
            async for job in super().check_active_jobs(active_jobs):
                told.discard(id(job))
                yield job
        finally:
            for name in inherited:
                vars(self).pop(name)
        for job in active_jobs:
            if id(job) in told:
                yield job

    def _goes_on(self, job: Any, answers: Mapping[str, Answer]) -> bool:
        """Tell whether a job goes on; of one that does not, report how it ended."""
        number = job.external_jobid
        answer = answers.get(number, Answer(GONE))
        if answer.state in DOUBTFUL and self._doubts.get(number) != answer.state:
            self._doubts[number] = answer.state
            return True
        if answer.state == FINISHED or self._is_done(job, answer.state):
            if not self.workflow.executor_settings.keep_successful_logs:
                with suppress(OSError):
                    job.aux["slurm_logfile"].unlink(missing_ok=True)
            self.report_job_success(job)
        elif answer.state in FAILED or answer.state in DOUBTFUL:
            self._report_end(job, answer.state)
        else:
            self._doubts.pop(number, None)
            self._explain_pending(job, answer)
            return True
        return False

    def _is_done(self, job: Any, state: str) -> bool:
        """Tell from the files whether a job had finished that SLURM has forgotten, or that died."""
        one = job.job
        if state not in (GONE, "UNKNOWN") and (
            state not in FAILED or self._had_output.get(one, True)
        ):
            return False
        parts = None if one.is_group() else self.rules.get(one.rule.name)
        return parts is not None and parts.is_whole(one.wildcards)

    def _list_saved(self, job: Any) -> Mapping[str, int]:
        parts = None if job.is_group() else self.rules.get(job.rule.name)
        return {} if parts is None else parts.list_saved(job.wildcards)

    def _explain_pending(self, job: Any, answer: Answer) -> None:
        words = explain_pending(answer.reason) if answer.state == "PENDING" else None
        if words and (job.external_jobid, answer.reason) not in self._said:
            self._said.add((job.external_jobid, answer.reason))
            self.logger.warning(
                f"SLURM job {job.external_jobid} ({job.job}) cannot start: {answer.reason}: {words}"
            )

    def _report_end(self, job: Any, state: str) -> None:
        """Report a job that did not succeed; what happened to it from outside does not count."""
        one, number = job.job, job.external_jobid
        path = None if one.is_group() else one.params.get("ended")
        ending = read_ending(path) if path else None
        if ending is not None and ending.cluster_job != number:
            ending = None  # of an attempt before
        asked = one.resources
        ended = "SLURM ended the job at the"
        if state == NO_MEMORY and path:
            words = f"{ended} {asked.get('mem_mb')} MB that it had asked for; ask for more with "
            words += "--set-resources"
            ending = Ending("out of memory", words, False, one.params.get("attempt"), number)
            write_json(path, asdict(ending))
        if state == TIME_UP and path and self._list_saved(one) == self._saved.get(one):
            words = (
                f"{ended} {asked.get('runtime')} minutes that it had asked for, before it had "
                "saved anything; ask for more with --set-resources "
                f"{one.rule.name}:runtime=MINUTES, or, if walltime_minutes in slurm/defaults.yaml "
                "is no more than that, there"
            )
            ending = Ending("out of time", words, False, one.params.get("attempt"), number)
            write_json(path, asdict(ending))
        is_free = state in (*TAKEN_AWAY, GONE)
        if ending is None:
            is_free |= was_killed(number) or met_no_controller(job.aux.get("slurm_logfile"))
        else:
            is_free |= ending.reason in FROM_OUTSIDE
        is_free |= state == TIME_UP and (ending is None or ending.can_help)
        self._free_attempts[one] = self._free_attempts.get(one, 0) + is_free
        if is_free and self._free_attempts[one] <= MAX_FREE_ATTEMPTS:
            why = f", {ending.sentence}" if ending else ""
            self.logger.warning(
                f"SLURM job {number} ({one}) ended as {state}{why}; it is submitted again"
            )
            one.attempt -= 1
            self.workflow.scheduler.error_callback(one)
            return
        if ending is not None and not ending.can_help:
            one.attempt = one.restart_times + 1  # the last one
        log = job.aux.get("slurm_logfile")
        words = f"SLURM job {number} ended as {state}. "
        if ending is None and not is_free:
            words += explain_no_start(log, sys.executable)
        self.report_job_error(job, msg=words, aux_logs=[str(log)] if log else [])

    def get_account_arg(self, job: Any) -> Iterator[str]:
        """Ask no accounting database: without an account SLURM takes the user's own default."""
        return super().get_account_arg(job) if job.resources.get("slurm_account") else iter([""])

    def run_job(self, job: Any) -> None:
        """Submit a job once the controller answers."""
        while not is_controller_there():
            self.logger.warning("SLURM's controller does not answer; submitting waits for it")
            time.sleep(5.0)
        self._had_output.setdefault(job, any(map(os.path.exists, job.output)))
        self._saved[job] = self._list_saved(job)
        super().run_job(job)

    def _report_job_error_threadsafe(self, job_info: Any, msg: str) -> None:
        if any(words in msg for words in UNREACHABLE):
            time.sleep(5.0)
            self.run_job(job_info.job)
            return
        if refusal := explain_refusal(msg):
            job_info.job.attempt = job_info.job.restart_times + 1  # the last one
        super()._report_job_error_threadsafe(job_info, refusal or msg)


def be_patient(plugin: Any, rules: Mapping[str, RuleParts], job_name: str) -> None:
    """Let a run on SLURM be followed by `PatientExecutor`.

    Args:
        plugin: Snakemake's plugin for SLURM, before its executor is made.
        rules: the parts of all rules, by name.
        job_name: what the names of the jobs begin with.
    """
    members = {"rules": rules, "job_name": job_name}
    plugin.executor = type("Executor", (PatientExecutor,), members)


async def ask_squeue(name: str, *, patience_s: float = PATIENCE_S) -> dict[str, Answer] | None:
    """Ask SLURM how the jobs of a name are.

    Returns:
        States by the jobs' numbers; None without an answer.
    """
    command = list_jobs_command("--name", name, fields=("%i", "%T", "%r"))
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        out, _ = await asyncio.wait_for(process.communicate(), timeout=patience_s)
    except (OSError, TimeoutError):
        return None
    if process.returncode:
        return None
    lines = [line.split("|", 2) for line in out.decode().splitlines()]
    return {one[0].strip(): Answer(one[1].strip(), one[2].strip()) for one in lines if one[2:]}


def was_killed(number: str, *, patience_s: float = PATIENCE_S) -> bool:
    """Tell whether a job that could not say why it ended died of a signal, as SLURM knows it."""
    try:
        done = subprocess.run(
            ["scontrol", "--oneliner", "show", "job", number],
            capture_output=True, text=True, timeout=patience_s,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    found = re.search(r"\bExitCode=(\d+):(\d+)", done.stdout)
    return found is not None and (int(found[1]) > SHELL or int(found[2]) > 0)


def met_no_controller(log: Path | None) -> bool:
    """Tell whether a job could not start its step because the controller was away just then."""
    try:
        said = "" if log is None else log.read_text(errors="replace")
    except OSError:
        return False
    return any(words in said for words in UNREACHABLE)


def list_jobs_command(*which: str, fields: Sequence[str]) -> list[str]:
    """Return the command that lists jobs in all states, tasks of arrays one by one."""
    return [
        "squeue",
        "--noheader",
        "--array",
        "--states=all",
        *which,
        f"--format={'|'.join(fields)}",
    ]


def is_controller_there(*, patience_s: float = PATIENCE_S) -> bool:
    """Tell whether SLURM's controller answers; a machine without SLURM has none to wait for."""
    if shutil.which("sinfo") is None:
        return True
    try:
        done = subprocess.run(["sinfo", "--noheader"], capture_output=True, timeout=patience_s)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
