"""What a run on SLURM needs before its first job: a controller, and partitions that are there."""

import math
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from records.errors import UserError

PATIENCE_S = 10.0
# As long a start waits for a controller that is away, such as one that is started again.
AWAY_S, PAUSE_S = 90.0, 5.0
# What SLURM's commands say where the controller is not there, and not the job is wrong.
UNREACHABLE = ("Unable to contact slurm controller", "Socket timed out", "temporarily unable")
UNKNOWN = "<TBD>"  # what Snakemake says of a resource that depends on files not yet made
# Why a job waits, as squeue says it, where waiting alone does not help; longest words first.
PENDING = {
    "PartitionTimeLimit": "it asks for more time than its partition allows; lower walltime_minutes "
    "in slurm/defaults.yaml",
    "PartitionNodeLimit": "it asks for more nodes than its partition has; lower "
    "processes_per_training or raise processes_per_node in slurm/defaults.yaml",
    "PartitionDown": "its partition is down; wait, or name another in slurm/config.yaml",
    "PartitionInactive": "its partition is inactive; name another in slurm/config.yaml",
    "ReqNodeNotAvail": "the nodes that could run it are down, drained or reserved; wait for them, "
    "or name another partition in slurm/config.yaml",
    "BadConstraints": "no node has what it asks for; look at constraint in slurm/config.yaml",
    "AccountNotAllowed": "its partition does not take your account; look at slurm_account",
    "InvalidAccount": "SLURM does not know its account; look at slurm_account",
    "InvalidQOS": "SLURM does not know its QOS; look at slurm-qos in slurm/config.yaml",
    "DependencyNeverSatisfied": "a job that it waits for has failed; cancel it with scancel",
    "JobHeld": "it is held; type `scontrol release` with its number, or ask who administers SLURM",
    "launch failed requeued held": "its node could not start it; type `scontrol release` with its "
    "number, and tell who administers SLURM of the node",
    "job requeued in held state": "it is held; type `scontrol release` with its number",
    "Assoc": "a limit of your account is reached; it starts when your other jobs have ended, or "
    "ask for less",
    "QOS": "a limit of its QOS is reached; it starts when other jobs have ended, or ask for less",
}
# Why sbatch takes no job, where trying again does not help.
NO_SUCH_NODE = (
    "no node has as many GPUs and CPUs, or as much memory, as it asks for; lower "
    "processes_per_node, or processes_per_training, in slurm/defaults.yaml, or name another "
    "partition in slurm/config.yaml"
)
REFUSALS = {
    "Requested node configuration is not available": NO_SUCH_NODE,
    "Node count specification invalid": NO_SUCH_NODE,
    "Invalid generic resource": NO_SUCH_NODE,
    "Requested time limit is invalid": PENDING["PartitionTimeLimit"],
    "Invalid feature specification": PENDING["BadConstraints"],
    "Invalid account": PENDING["InvalidAccount"],
    "Invalid qos": PENDING["InvalidQOS"],
}
REFUSED = "SLURM refuses the job: "
CLUSTERS = ("slurm_cluster", "cluster", "clusters")  # resources that send a job to another cluster


class Partitions(NamedTuple):
    """The partitions of a cluster.

    Attributes:
        minutes: how long a job may last at most, by name.
        default: the one of jobs that name none; None where they have to.
    """

    minutes: dict[str, float]
    default: str | None

    def find_limit(self, asked: str | None) -> float:
        """Return how many minutes a job may last.

        Args:
            asked: a partition, several with commas between them, of which SLURM takes one, or None.
        """
        names = str(asked or self.default or "").split(",")
        return max((self.minutes[one] for one in names if one in self.minutes), default=math.inf)


def check_cluster(jobs: Iterable[Any]) -> None:
    """Demand that SLURM can take jobs, before the first of them is submitted.

    Args:
        jobs: Snakemake's jobs that are to run; those that run where Snakemake runs ask for nothing.

    Raises:
        UserError: no SLURM here, a controller that does not answer, a partition that is not there,
            or one whose jobs may not last as long.
    """
    submitted = [job for job in jobs if not job.is_local]
    if submitted:
        partitions = list_partitions(wait_s=AWAY_S)
        check_partitions(find_partitions(submitted), list(partitions.minutes))
        check_times(submitted, partitions)


def list_slurm_jobs(
    user: str, *, patience_s: float = PATIENCE_S, wait_s: float = 0.0
) -> list[list[str]]:
    """List a user's jobs that wait, run or end: number, state, name, folder and comment of each.

    Args:
        user: whose jobs.
        patience_s: how long the controller may take to answer.
        wait_s: for how long it is asked again where it is away.

    Raises:
        UserError: no answer, so that nobody knows what still runs.
    """
    if shutil.which("squeue") is None:
        return []
    command = ["squeue", "--noheader", f"--user={user}", "--format=%i|%T|%j|%Z|%k"]
    said = _ask(command, patience_s, wait_s)
    return [one for line in said.splitlines() if len(one := line.split("|", 4)) == 5]


def cancel_slurm_jobs(numbers: Iterable[str]) -> None:
    """Cancel jobs, once the controller answers.

    Raises:
        UserError: it does not, or refuses.
    """
    _ask(["scancel", *numbers], PATIENCE_S, AWAY_S)


def explain_pending(reason: str) -> str | None:
    """Say what to do about a job that waits; None where waiting is all.

    Args:
        reason: as squeue says it, such as `(ReqNodeNotAvail, UnavailableNodes:n1)`.
    """
    return next(
        (words for key, words in PENDING.items() if reason.strip("( ").startswith(key)), None
    )


def explain_refusal(message: str) -> str | None:
    """Say in a sentence why SLURM takes no job and what to do; None where it may yet take it.

    Args:
        message: what its plugin for Snakemake says, with the words of sbatch in it.
    """
    _, _, said = message.partition("error message was '")
    said = said.partition("'.\n")[0]
    for words, advice in REFUSALS.items():
        if words in said:
            lines = [one.removeprefix("sbatch: error: ") for one in said.splitlines()]
            return f"{REFUSED}{'; '.join(lines)}: {advice}"
    return None


def explain_no_start(log: Path | None, python: str) -> str:
    """Say why a job never came to its command; nothing where it did, or nobody knows.

    Args:
        log: of SLURM itself; None where the job has none.
        python: that starts the command.
    """
    if log is None:
        return ""
    try:
        said = log.read_text(errors="replace")
    except OSError:
        said = None
    share = f"put that and {os.getcwd()} where all nodes see them"
    if said is None:
        return f"It left no log, as where its node does not see {python}; {share}. "
    if any(f"{python}: {words}" in said for words in ("not found", "No such file")):
        return f"Its node does not see {python}; {share}. "
    return ""


def find_partitions(jobs: Iterable[Any]) -> dict[str, list[str]]:
    """Return the partitions that jobs name, each with the rules of these jobs.

    A job may name several, of which SLURM takes one; jobs for another cluster are left to it.
    """
    asked: dict[str, set[str]] = {}
    for job in jobs:
        if any(job.resources.get(key) for key in CLUSTERS):
            continue
        for partition in str(job.resources.get("slurm_partition") or "").split(","):
            if partition not in ("", UNKNOWN):
                asked.setdefault(partition, set()).add(job.rule.name)
    return {partition: sorted(rules) for partition, rules in asked.items()}


def list_partitions(*, patience_s: float = PATIENCE_S, wait_s: float = 0.0) -> Partitions:
    """Ask SLURM's controller for its partitions.

    Args:
        patience_s: how long it may take to answer.
        wait_s: for how long it is asked again where it is away.

    Raises:
        UserError: no SLURM here, or no answer.
    """
    if not (shutil.which("sbatch") and shutil.which("sinfo")):
        raise UserError(
            "executor slurm: SLURM's command sbatch is not on this machine; start this on a login "
            "node of your cluster"
        )
    said = _ask(["sinfo", "--all", "--noheader", "--format=%P|%l"], patience_s, wait_s)
    lines = [line.rpartition("|") for line in said.split()]
    return Partitions(
        minutes={name.removesuffix("*"): parse_minutes(limit) for name, _, limit in lines},
        default=next((name[:-1] for name, _, _ in lines if name.endswith("*")), None),
    )


def _ask(command: Sequence[str], patience_s: float, wait_s: float) -> str:
    """Return what a command of SLURM prints; ask again while the controller is away."""
    deadline, has_said = time.monotonic() + wait_s, False
    while True:
        said, is_away = f"nothing in {patience_s:g} s", True
        with suppress(subprocess.TimeoutExpired):
            done = subprocess.run(command, capture_output=True, text=True, timeout=patience_s)
            if done.returncode == 0:
                return done.stdout
            lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            said = lines[-1].removeprefix(f"{command[0]}: ")
            is_away = any(words in said for words in UNREACHABLE)
        if not is_away or time.monotonic() >= deadline:
            raise _no_answer(command[0], said)
        if not has_said:
            words = "SLURM's controller does not answer; it is waited for"
            print(f"{words}, {wait_s:g} s at most", file=sys.stderr, flush=True)
            has_said = True
        time.sleep(PAUSE_S)


def _no_answer(command: str, said: str) -> UserError:
    return UserError(
        f"executor slurm: `{command}` has no answer from SLURM's controller ({said}); start this "
        "again once `sinfo` lists partitions"
    )


def parse_minutes(text: str) -> float:
    """Return the minutes of SLURM's time, such as 1-00:00:00, 30:00 or infinite."""
    if not re.fullmatch(r"(\d+-)?\d+(:\d+){0,2}", text):
        return float("inf")
    days, _, rest = text.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if days:
        hours, minutes, seconds = [*parts, 0, 0][:3]
    else:
        hours, minutes, seconds = ([0, *parts, 0] if len(parts) == 1 else [0, 0, *parts])[-3:]
    return 1440 * int(days or 0) + 60 * hours + minutes + seconds / 60


def check_partitions(asked: dict[str, list[str]], existing: list[str]) -> None:
    """Demand that every partition exists which jobs ask for.

    Args:
        asked: partitions, each with the rules that ask for it.
        existing: the cluster's partitions.

    Raises:
        UserError: one that does not exist.
    """
    for partition, rules in asked.items():
        if partition not in existing:
            raise UserError(
                f"slurm_partition: got {partition!r} (rules {', '.join(rules)}); needed: one of "
                f"{', '.join(existing)}; name it in slurm/config.yaml or where the command line "
                "says slurm_partition"
            )


def check_times(jobs: Iterable[Any], partitions: Partitions) -> None:
    """Demand that no job asks for more time than its partition allows; it would wait for ever.

    Args:
        jobs: as of `check_cluster`; those of another cluster, or with a QOS, which may allow more,
            are left to SLURM.
        partitions: those of the cluster.

    Raises:
        UserError: one that does.
    """
    for job in jobs:
        minutes, partition = job.resources.get("runtime"), job.resources.get("slurm_partition")
        if not isinstance(minutes, int) or any(
            job.resources.get(one) for one in (*CLUSTERS, "qos")
        ):
            continue
        if minutes > (limit := partitions.find_limit(partition)):
            raise UserError(
                f"partition {partition or partitions.default}: allows {limit:.0f} minutes, and "
                f"rule {job.rule.name} asks for {minutes}; lower walltime_minutes in "
                "slurm/defaults.yaml, or name another partition in slurm/config.yaml"
            )
