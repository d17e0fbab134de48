"""Draw a batch by several jobs on a SLURM of two one-core nodes: how busy both are, and with what.

    python -m bench.shards [--num-images 64] [--steps 250]

It starts the cluster on this machine in a temporary folder, as tests/cluster does, and needs two
free cores. Times of jobs are SLURM's, in whole seconds; those of commands are from their events.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from records.events import read_events

ROW, BATCH_SIZE = "t3_uncond", 8
CONFIG = ["--config", "scale=mini.yaml", "tables=mini_tables.yaml"]
CUT = "shard_minutes=0.0001"  # as many jobs as there are batches


class JobTimes(NamedTuple):
    """When a job did what, in seconds.

    Attributes:
        start, end: of the SLURM job.
        begun: when its command had loaded everything and began to work.
        command_seconds: what the command took itself, from its first import to its end.
    """

    start: float
    end: float
    begun: float
    command_seconds: float


def summarise(jobs: Iterable[JobTimes]) -> dict[str, float]:
    """Compute how many jobs ran at a time, and what they spent around their commands.

    Returns:
        `wall_seconds` from the first start to the last end, `job_seconds` of all, `at_a_time`
        (job_seconds by wall_seconds), `startup_seconds` (the mean from a job's start until its
        command works), `around_seconds` (job_seconds without the commands' own) and `idle_seconds`
        (of two nodes within the wall time).
    """
    jobs = list(jobs)
    wall = max(one.end for one in jobs) - min(one.start for one in jobs)
    total = sum(one.end - one.start for one in jobs)
    return {
        "wall_seconds": wall,
        "job_seconds": total,
        "at_a_time": total / wall,
        "startup_seconds": sum(one.begun - one.start for one in jobs) / len(jobs),
        "around_seconds": total - sum(one.command_seconds for one in jobs),
        "idle_seconds": 2 * wall - total,
    }


def main() -> None:
    """Parse the options, draw a batch on two nodes, print what both did."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--num-images", type=int, default=64)
    parser.add_argument("--steps", type=int, default=250)
    options = parser.parse_args()
    from tests.cluster.two_nodes import ask, two_nodes

    with tempfile.TemporaryDirectory() as temporary:
        project, cluster = Path(temporary, "project"), Path(temporary, "cluster")
        project.mkdir()
        cluster.mkdir()
        make_project(project, options.num_images, options.steps)
        os.environ["PYTHONPATH"] = str(project)
        weights = "results/mini/retrain/models/imagenet_256_uncond/ema-final.safetensors"
        snakemake(project, os.environ, "--cores", "2", *CONFIG, "--", weights)
        with two_nodes(cluster) as environment:
            own, *others = environment["PATH"].split(os.pathsep)
            path = os.pathsep.join([own, str(Path(sys.executable).parent), *others])
            target = f"results/mini/retrain/samples/{ROW}/samples.npz"
            began = time.monotonic()
            snakemake(
                project,
                {**os.environ, **environment, "PATH": path},
                *("--profile", "slurm", *CONFIG, CUT, "--", target),
            )
            seconds = time.monotonic() - began
            jobs = read_times(ask(environment, "scontrol", "-o", "show", "job") or "", project)
    found = summarise(jobs)
    print(f"{len(jobs)} jobs drew {options.num_images} images; the whole run took {seconds:.0f} s")
    print(
        f"{found['job_seconds']:.0f} s of jobs in {found['wall_seconds']:.0f} s: "
        f"{found['at_a_time']:.2f} at a time on two nodes"
    )
    print(f"a job's start-up, until it draws: {found['startup_seconds']:.1f} s in the mean")
    print(
        f"orchestration: {found['around_seconds']:.0f} s of the jobs outside their commands, and "
        f"{found['idle_seconds']:.0f} s of idle nodes"
    )


def make_project(folder: Path, num_images: int, steps: int) -> None:
    """Copy the project with a scale of small models, one row, and the counts of its networks."""
    from tests.workflow.conftest import copy_project, cut_tables, mini_scale, write_params

    scale = mini_scale()
    scale["sampling"] |= {"respacing": {"250": str(steps)}, "batch_size": BATCH_SIZE}
    for task in scale["tasks"].values():
        task["num_samples"] = num_images
    copy_project(folder)
    write_params(folder, mini=scale, mini_tables=cut_tables({"table3": [ROW]}))
    command = ["workflow", "plan", "--scale", "mini.yaml", "--tables", "mini_tables.yaml"]
    subprocess.run(
        [sys.executable, "-m", *command, "--write"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        check=True,
        stdout=subprocess.DEVNULL,
    )


def snakemake(folder: Path, environment: "os._Environ[str] | dict[str, str]", *words: str) -> None:
    """Run Snakemake, and show what it says where it fails."""
    command = [sys.executable, "-m", "snakemake", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")


def read_times(said: str, project: Path) -> list[JobTimes]:
    """Read what SLURM and the events say of the jobs that drew.

    Args:
        said: of `scontrol --oneliner show job`.
        project: where the events are.
    """
    described = {
        found["JobId"]: found
        for line in said.splitlines()
        if (found := dict(re.findall(r"(\w+)=(\S*)", line)))
    }
    jobs = []
    for path in (project / "results/mini/retrain/events").glob(f"sample-{ROW}-*.jsonl"):
        events = {one["event"]: one for one in read_events(path)[0]}
        job = described[events["start"]["cluster_job"]]
        start, end = (datetime.fromisoformat(job[f"{one}Time"]) for one in ("Start", "End"))
        begun, command_seconds = events["start"]["time"], events["end"]["wall_seconds"]
        jobs.append(JobTimes(start.timestamp(), end.timestamp(), begun, command_seconds))
    return jobs


if __name__ == "__main__":
    main()
