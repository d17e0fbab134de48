"""What a run on SLURM needs before its first job: a controller, and partitions that are there."""

import shutil
import subprocess
from collections.abc import Iterable
from typing import Any

from records.errors import UserError

PATIENCE_S = 10.0
UNKNOWN = "<TBD>"  # what Snakemake says of a resource that depends on files not yet made
CLUSTERS = ("slurm_cluster", "cluster", "clusters")  # resources that send a job to another cluster


def check_cluster(jobs: Iterable[Any]) -> None:
    """Demand that SLURM can take jobs, before the first of them is submitted.

    Args:
        jobs: Snakemake's jobs that are to run; those that run where Snakemake runs ask for nothing.

    Raises:
        UserError: no SLURM here, a controller that does not answer, or a partition that is not
            there.
    """
    submitted = [job for job in jobs if not job.is_local]
    if submitted:
        check_partitions(find_partitions(submitted), list_partitions())


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


def list_partitions(*, patience_s: float = PATIENCE_S) -> list[str]:
    """Ask SLURM's controller for its partitions.

    Args:
        patience_s: how long it may take to answer.

    Raises:
        UserError: no SLURM here, or no answer.
    """
    if not (shutil.which("sbatch") and shutil.which("sinfo")):
        raise UserError(
            "executor slurm: SLURM's command sbatch is not on this machine; start this on a login "
            "node of your cluster"
        )
    try:
        done = subprocess.run(
            ["sinfo", "--all", "--noheader", "--format=%R"],
            capture_output=True,
            text=True,
            timeout=patience_s,
        )
    except subprocess.TimeoutExpired:
        raise _no_answer(f"nothing in {patience_s:g} s") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise _no_answer(said[-1].removeprefix("sinfo: "))
    return done.stdout.split()


def _no_answer(said: str) -> UserError:
    return UserError(
        f"executor slurm: `sinfo` has no answer from SLURM's controller ({said}); start this again "
        "once it lists partitions"
    )


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
