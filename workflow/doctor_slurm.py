"""What a run on SLURM needs besides: time, memory and GPUs that its partition has, like nodes."""

import fcntl
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from records.errors import UserError
from workflow.doctor import SKEW_S, Finding
from workflow.forecast import compute_resources, count_processes
from workflow.graph import Graph
from workflow.layout import find_shipped
from workflow.plan import Plan
from workflow.slurm import list_partitions

NODE_PATIENCE_S = 60.0
# Runs on a node: tries the lock that is held here, and tells what would differ there.
PROBE = """
import fcntl, json, sys, time
from importlib.metadata import version
try:
    with open(sys.argv[1]) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    locked = False
except BlockingIOError:
    locked = True
except OSError as error:
    locked = str(error)
print(json.dumps({"locked": locked, "time": time.time(), "python": sys.version.split()[0],
                  "torch": version("torch")}))
"""


def load_profile(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a profile of Snakemake's.

    Args:
        name: a folder with config.yaml in it, as `--profile` takes it.

    Returns:
        What it says, and the settings of its configfile.

    Raises:
        UserError: no such profile, or not YAML.
    """
    path = find_shipped(f"{name}/config.yaml")
    try:
        profile = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        beside = profile.get("configfile")
        text = Path(path).with_name(beside).read_text(encoding="utf-8") if beside else ""
        return profile, yaml.safe_load(text) or {}
    except FileNotFoundError as error:
        raise UserError(
            f"--profile {name}: no file {error.filename}; run this in the project's folder, with "
            "--profile slurm"
        ) from None
    except (yaml.YAMLError, AttributeError) as error:
        raise UserError(
            f"{path}: not a profile: {error}; compare it with the shipped one"
        ) from None


def examine_cluster(plan: Plan, profile: Mapping[str, Any]) -> Iterator[Finding]:
    """Look at SLURM: controller, partition, the largest job, a node.

    Args:
        plan: of the scale and source, with the machine settings of the profile.
        profile: of `load_profile`.
    """
    asked: dict[str, Any] = profile.get("default-resources") or {}
    try:
        partitions = list_partitions()
    except UserError as error:
        yield Finding("controller", False, str(error).removeprefix("executor slurm: "))
        return
    yield Finding("controller", True, f"answers; partitions {', '.join(partitions)}")
    partition = asked.get("slurm_partition")
    if partition is not None and partition not in partitions:
        words = f"{partition} is none of {', '.join(partitions)}; name one in slurm/config.yaml"
        yield Finding("partition", False, words)
        return
    where = [f"--partition={partition}"] if partition else []
    yield _examine_accounting(profile)
    yield _examine_time(plan, where)
    yield from _examine_gpus(plan, where)
    where += [f"--account={asked['slurm_account']}"] if asked.get("slurm_account") else []
    where += [f"--constraint={asked['constraint']}"] if asked.get("constraint") else []
    yield _examine_largest(plan, where)
    yield from _examine_node(plan, where)


def _run(*command: str, patience_s: float = 20.0) -> tuple[int, str]:
    """Return exit status and the last words of a command of SLURM."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=patience_s)
    except subprocess.TimeoutExpired:
        return 1, f"nothing within {patience_s:g} s"
    return done.returncode, (done.stdout if done.returncode == 0 else done.stderr).strip()


def _examine_accounting(profile: Mapping[str, Any]) -> Finding:
    """Compare how Snakemake asks for jobs with what this SLURM keeps of them."""
    _, said = _run("scontrol", "show", "config")
    found = dict(re.findall(r"^(\w+)\s*= (.*)$", said, re.M))
    storage, asks = found.get("AccountingStorageType", ""), profile.get("slurm-status-command")
    age_s = int(found.get("MinJobAge", "").split()[0]) if found.get("MinJobAge") else 0
    words = f"a job that has ended is known for {age_s} s (MinJobAge)"
    if storage.endswith("none") and asks != "squeue":
        return Finding(
            "accounting",
            False,
            f"SLURM keeps no accounts; set `slurm-status-command: squeue` (got {asks})",
        )
    if storage.endswith("none") and age_s < 60:
        return Finding(
            "accounting",
            False,
            f"{words}, and looks are up to 60 s apart; outputs decide about jobs that are gone. "
            "Ask for MinJobAge=300",
        )
    kept = "no accounts are kept" if storage.endswith("none") else "accounts are kept"
    return Finding("accounting", True, f"{kept}; {words}")


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


def _examine_time(plan: Plan, where: list[str]) -> Finding:
    """Compare the walltime that jobs ask for with the partition's longest."""
    _, said = _run("sinfo", "--noheader", *where, "--format=%l")
    longest = max((parse_minutes(line) for line in said.split()), default=float("inf"))
    asked = plan.machine.walltime_minutes
    if asked is None:
        words = "no walltime_minutes, so that long trainings are one job; see slurm/defaults.yaml"
        return Finding("walltime", longest == float("inf"), words)
    if asked > longest:
        return Finding(
            "walltime",
            False,
            f"walltime_minutes {asked} is more than the partition's {longest:.0f}; lower it in "
            "slurm/defaults.yaml",
        )
    return Finding("walltime", True, f"{asked} minutes, which the partition allows")


def _examine_gpus(plan: Plan, where: list[str]) -> Iterator[Finding]:
    """Compare GPUs of a node with those that a training asks of one."""
    if not plan.device.startswith("cuda"):
        return
    _, said = _run("sinfo", "--noheader", *where, "--format=%G")
    counts = [int(number) for number in re.findall(r"gpu(?::[^:,(\s]+)?:(\d+)", said)]
    most = max(counts, default=0)
    needed = plan.machine.processes_per_node or plan.machine.processes_per_training
    words = f"nodes have up to {most}, a training asks for {needed} on one"
    if needed > most:
        words += "; lower processes_per_node or processes_per_training in slurm/defaults.yaml"
    yield Finding("GPUs", needed <= most, words)


def _examine_largest(plan: Plan, where: list[str]) -> Finding:
    """Ask SLURM whether it would take the job that wants most memory, and the longest time."""
    named = [key for key in Graph(plan).jobs if len(key) > 1]  # the largest are
    sizes = {key: compute_resources(plan, *key) for key in named}
    key = max(sizes, key=lambda one: sizes[one]["mem_mb"])
    runtime = max(size["runtime"] for size in sizes.values())
    command = ["sbatch", "--test-only", *where, f"--mem={sizes[key]['mem_mb']}"]
    command += [f"--time={runtime}", f"--cpus-per-task={plan.scale.compute.threads}"]
    if plan.device.startswith("cuda"):
        processes = count_processes(plan, key[1]) if key[0] in ("train", "segment") else 1
        command.append(f"--gres=gpu:{min(processes, plan.machine.processes_per_node or processes)}")
    status, said = _run(*command, "--wrap=true")
    name = f"{key[0]} {' '.join(key[1:])}: {sizes[key]['mem_mb']} MB, {runtime} minutes"
    if status:
        said = said.splitlines()[-1] if said else "no reason given"
        return Finding("largest job", False, f"{name}: {said}; see slurm/config.yaml")
    return Finding("largest job", True, f"{name}: SLURM would take it")


def _examine_node(plan: Plan, where: list[str]) -> Iterator[Finding]:
    """Run a probe on a node: locks and clock across machines, and the packages there."""
    with tempfile.NamedTemporaryFile(dir=plan.layout.root, prefix=".doctor.") as file:
        with suppress(OSError):  # no locks here, which is another line
            fcntl.flock(file, fcntl.LOCK_EX)
        command = ["srun", "--ntasks=1", "--time=5", "--immediate=30", *where]
        path = os.path.abspath(file.name)
        status, said = _run(*command, sys.executable, "-c", PROBE, path, patience_s=NODE_PATIENCE_S)
    if status:
        last = said.splitlines()[-1] if said else "no reason given"
        words = f"nothing could be run on one ({last}); wait until one is free, and that it sees "
        yield Finding("node", False, f"{words}{sys.executable} and {plan.layout.root}")
        return
    told = json.loads(said.splitlines()[-1])
    if told["locked"] is not True:
        yield Finding(
            "locks between nodes",
            False,
            f"a node does not see a lock that is held here ({told['locked']}); mount the file "
            "system with flock, or start one run at a time",
        )
    else:
        yield Finding("locks between nodes", True, "a lock held here is seen on a node")
    # The probe ended a moment ago, however long it waited for its node.
    with tempfile.NamedTemporaryFile(dir=plan.layout.root, prefix=".doctor.") as file:
        skew = told["time"] - os.stat(file.name).st_mtime
    near = -10.0 <= skew <= SKEW_S
    yield Finding(
        "clock of a node",
        near,
        "as here" if near else f"{skew:+.0f} s from the file system's; ask for NTP",
    )
    here = {"python": sys.version.split()[0], "torch": version("torch")}
    there = {name: told[name] for name in here}
    words = "python {python}, torch {torch}".format(**there)
    yield Finding(
        "packages of a node", here == there, words if here == there else f"{words}, here {here}"
    )
