"""Jobs that outlived the run that started them: the next run awaits or cancels them."""

import getpass
import os
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from records.errors import UserError
from records.files import digest
from records.locks import find_holder
from workflow.graph import Graph
from workflow.slurm import AWAY_S, cancel_slurm_jobs, list_slurm_jobs

WAIT_S, REMIND_S = 5.0, 600.0


class Running(NamedTuple):
    """A job that runs or waits in SLURM's queue.

    Attributes:
        words: what it is and where.
        number: of the SLURM job, if it is one.
        process: on this machine, if it is there: the shell around its command.
    """

    words: str
    number: str = ""
    process: int = 0


def name_jobs(graph: Graph) -> str:
    """Return what the names of all SLURM jobs of these results begin with."""
    return f"adm-{digest(os.path.realpath(graph.plan.layout.made))[:12]}"


def await_running(
    graph: Graph, *, on_slurm: bool, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Wait for the jobs of an earlier run, or cancel them and wait until they are gone.

    Args:
        graph: of the plan, whose machine says which.
        on_slurm: ask SLURM too.
        sleep: waits some seconds.

    Raises:
        UserError: SLURM does not answer for a minute and a half at the first look, or refuses to
            cancel.
    """
    cancels = graph.plan.machine.running_jobs == "cancel"
    found, said_at = find_running(graph, on_slurm=on_slurm, wait_s=AWAY_S), float("-inf")
    while found:
        if time.monotonic() - said_at > REMIND_S:
            verb = "are cancelled" if cancels else "are waited for"
            names = "; ".join(one.words for one in found)
            first = said_at == float("-inf")
            print(
                f"{len(found)} jobs of an earlier run {'still run' if first else 'run on'} and "
                f"{verb}: {names}"
                + (" (running_jobs=cancel after --config ends them)" if not cancels else ""),
                file=sys.stderr,
                flush=True,
            )
            said_at = time.monotonic()
            if cancels:
                cancel(found)
        sleep(WAIT_S)
        with suppress(UserError):  # the controller is away: they are still waited for
            found = find_running(graph, on_slurm=on_slurm)


def find_running(graph: Graph, *, on_slurm: bool, wait_s: float = 0.0) -> list[Running]:
    """Find the jobs of these results that SLURM knows, and processes that hold a job's lock.

    Args:
        graph: of the plan.
        on_slurm: ask SLURM too.
        wait_s: how long SLURM's controller is waited for where it is away.

    Raises:
        UserError: it does not answer.
    """
    found = []
    if on_slurm:
        name, folder = name_jobs(graph), os.path.realpath(".")
        found = [
            Running(f"SLURM job {number} ({about}, {state})", number)
            for number, state, job_name, where, about in list_slurm_jobs(
                getpass.getuser(), wait_s=wait_s
            )
            if job_name.startswith(name) and os.path.realpath(where) == folder
        ]
    numbers = {one.number for one in found}
    jobs = {graph.plan.layout.lock("-".join(key)): " ".join(key) for key in graph.jobs}
    for path in sorted({*jobs} & {*map(str, Path(graph.plan.layout.lock("")).parent.glob("*"))}):
        holder = find_holder(path)
        if holder is None or holder.rpartition("SLURM job ")[2] in numbers:
            continue
        found.append(Running(f"{jobs[path]} ({holder})", process=_find_process(holder)))
    return found


def _find_process(holder: str) -> int:
    """Return the number of a process on this machine, 0 where it is elsewhere."""
    words = holder.partition(",")[0].split()
    here = len(words) == 4 and words[0] == "process" and words[3] == os.uname().nodename
    return int(words[1]) if here and words[1].isdigit() else 0


def cancel(found: list[Running]) -> None:
    """Ask jobs to save and end.

    Raises:
        UserError: SLURM refuses.
    """
    for one in found:
        if one.process:  # a shell, which passes no signal on
            with suppress(psutil.Error):
                for each in psutil.Process(one.process).children(recursive=True):
                    each.terminate()
    numbers = [one.number for one in found if one.number]
    if numbers and shutil.which("scancel"):
        cancel_slurm_jobs(numbers)
