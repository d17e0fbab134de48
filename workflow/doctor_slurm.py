"""What a run on SLURM needs besides: time, memory and GPUs that its partition has, like nodes."""

import fcntl
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from records.errors import UserError
from workflow.doctor import SKEW_S, Finding
from workflow.forecast import compute_resources, count_processes
from workflow.graph import Graph, make_kinds
from workflow.job import Key, Kind
from workflow.layout import find_shipped
from workflow.plan import FIGURES, Plan
from workflow.slurm import Partitions, list_partitions
from workflow.targets import find_jobs

NODE_PATIENCE_S = 60.0
TRAININGS = ("train", "segment")
LOCAL = ("fetch_pt", "fetch_npz", "table", FIGURES, "index")  # jobs where Snakemake runs
OPTIONS = {
    "slurm_partition": "--partition", "slurm_account": "--account", "constraint": "--constraint",
}  # fmt: skip
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


class Asked(NamedTuple):
    """What jobs ask SLURM for alike, and these jobs.

    Attributes:
        partition: its name, or several; None for the default one.
        options: of sbatch and srun.
        keys: of the jobs.
        suffix: of the names of lines about these jobs, where not all ask for the same.
    """

    partition: str | None
    options: list[str]
    keys: list[Key]
    suffix: str


def examine_cluster(
    plan: Plan, profile: Mapping[str, Any], targets: Sequence[str]
) -> Iterator[Finding]:
    """Look at SLURM: controller, and for each partition time, GPUs, the largest job, a node.

    Args:
        plan: of the scale and source, with the machine settings of the profile.
        profile: of `load_profile`.
        targets: what shall be made, as `python -m workflow plan` takes it.
    """
    try:
        partitions = list_partitions()
    except UserError as error:
        yield Finding("controller", False, str(error).removeprefix("executor slurm: "))
        return
    there = ", ".join(partitions.minutes)
    yield Finding("controller", True, f"answers; partitions {there}")
    groups = _group_jobs(plan, profile, targets)
    asked = [name for one in groups for name in str(one.partition or "").split(",") if name]
    if lacking := [name for name in asked if name not in partitions.minutes]:
        words = f"{', '.join(lacking)} is none of {there}; name one in slurm/config.yaml"
        yield Finding("partition", False, words)
        return
    yield _examine_accounting(profile)
    for one in groups:
        for finding in _examine_jobs(plan, one, partitions):
            yield finding._replace(name=finding.name + one.suffix)


def _examine_jobs(plan: Plan, asked: Asked, partitions: Partitions) -> Iterator[Finding]:
    yield _examine_time(plan, asked, partitions)
    yield from _examine_gpus(plan, asked, partitions)
    yield _examine_largest(plan, asked)
    yield from _examine_node(plan, asked.options)


def _group_jobs(plan: Plan, profile: Mapping[str, Any], targets: Sequence[str]) -> list[Asked]:
    """Put the jobs of some targets together that ask for the same partition and so on."""
    try:
        keys: Iterable[Key] = find_jobs(plan, targets)
    except UserError:  # another line says that a target is unknown
        keys = Graph(plan).jobs
    default, by_rule = (profile.get(f"{one}-resources") or {} for one in ("default", "set"))
    groups: dict[tuple[Any, ...], list[Key]] = {}
    for key in keys:
        if key[0] not in LOCAL and len(key) > 1:  # those without a name are small
            asked = {**default, **(by_rule.get(key[0]) or {})}
            groups.setdefault(tuple(asked.get(name) for name in OPTIONS), []).append(key)
    found = []
    for told, alike in groups.items():
        given = zip(OPTIONS.values(), told, strict=True)
        options = [f"{option}={value}" for option, value in given if value]
        words = f"jobs with {' '.join(options)}" if options else "other jobs"
        suffix = f" of {words}" if len(groups) > 1 else ""
        found.append(Asked(told[0], options, alike, suffix))
    return found


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


def _examine_time(plan: Plan, asked: Asked, partitions: Partitions) -> Finding:
    """Compare the walltime that jobs ask for with the partition's longest."""
    longest = partitions.find_limit(asked.partition)
    walltime = plan.machine.walltime_minutes
    if walltime is None:
        words = "no walltime_minutes, so that long trainings are one job; see slurm/defaults.yaml"
        return Finding("walltime", longest == float("inf"), words)
    if not any(key[0] in TRAININGS for key in asked.keys):  # others last no longer than forecast
        walltime = _find_runtime(plan, asked)
    if walltime > longest:
        return Finding(
            "walltime",
            False,
            f"walltime_minutes {walltime} is more than the partition's {longest:.0f}; lower it in "
            "slurm/defaults.yaml",
        )
    return Finding("walltime", True, f"{walltime} minutes, which the partition allows")


def _find_runtime(plan: Plan, asked: Asked) -> int:
    return max(compute_resources(plan, *key)["runtime"] for key in asked.keys)


def _count_gpus(plan: Plan, kinds: Mapping[str, Kind], key: Key) -> tuple[int, int]:
    """Return how many GPUs of a node a job asks for, and how many nodes."""
    if not plan.device.startswith("cuda") or not kinds[key[0]].on_device:
        return 0, 1
    processes = count_processes(plan, key[1]) if key[0] in TRAININGS else 1
    num_nodes = plan.machine.count_nodes(processes)
    return processes // num_nodes, num_nodes


def _examine_gpus(plan: Plan, asked: Asked, partitions: Partitions) -> Iterator[Finding]:
    """Compare GPUs of a node with those that a job asks of one."""
    kinds = make_kinds(plan)
    key = max(asked.keys, key=lambda one: (_count_gpus(plan, kinds, one), one[0] in TRAININGS))
    needed, _ = _count_gpus(plan, kinds, key)
    if not needed:
        return
    partition = asked.partition or partitions.default
    where = [f"--partition={partition}"] if partition else []
    _, said = _run("sinfo", "--noheader", *where, "--format=%G")
    counts = [int(number) for number in re.findall(r"gpu(?::[^:,(\s]+)?:(\d+)", said)]
    most = max(counts, default=0)
    what = "a training" if key[0] in TRAININGS else f"a job of {key[0]}"
    words = f"nodes have up to {most}, {what} asks for {needed} on one"
    if needed > most:
        words += (
            "; lower processes_per_node or processes_per_training in slurm/defaults.yaml, or name "
            "another partition in slurm/config.yaml"
        )
    yield Finding("GPUs", needed <= most, words)


def _examine_largest(plan: Plan, asked: Asked) -> Finding:
    """Ask SLURM whether it would take the job that wants most memory, and the longest time."""
    sizes = {key: compute_resources(plan, *key)["mem_mb"] for key in asked.keys}
    key = max(sizes, key=lambda one: sizes[one])
    runtime = _find_runtime(plan, asked)
    num_gpus, num_nodes = _count_gpus(plan, make_kinds(plan), key)
    command = ["sbatch", "--test-only", *asked.options, f"--mem={sizes[key]}"]
    command += [f"--time={runtime}", f"--cpus-per-task={plan.scale.compute.threads}"]
    command += [f"--gres={plan.machine.name_gpus(num_gpus)}"] if num_gpus else []
    command += [f"--nodes={num_nodes}", f"--ntasks={num_nodes}"] if num_nodes > 1 else []
    status, said = _run(*command, "--wrap=true")
    name = f"{' '.join(key)}: {sizes[key]} MB, {runtime} minutes"
    if status:
        said = said.splitlines()[-1] if said else "no reason given"
        return Finding("largest job", False, f"{name}: {said}; see slurm/config.yaml")
    return Finding("largest job", True, f"{name}: SLURM would take it")


def _examine_node(plan: Plan, options: list[str]) -> Iterator[Finding]:
    """Run a probe on a node: locks and clock across machines, and the packages there."""
    with tempfile.NamedTemporaryFile(dir=plan.layout.root, prefix=".doctor.") as file:
        with suppress(OSError):  # no locks here, which is another line
            fcntl.flock(file, fcntl.LOCK_EX)
        command = ["srun", "--ntasks=1", "--time=5", "--immediate=30", *options]
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
