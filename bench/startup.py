"""What a job on SLURM takes before it works: CPU seconds of its two Snakemakes and of its command.

    python -m bench.startup [--scale paper] [--runs 3]

SLURM's plugin starts Snakemake in the job, and that starts a second one as the job's step. Each
reads the Snakefile and plans the one job; here for a batch to grade, which is none, so that the
command ends where it opens it. CPU seconds, since a loaded machine stretches all others.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from workflow.graph import Graph
from workflow.settings import load_plan

CLUSTER = {"walltime_minutes": 1440, "shard_minutes": 120}
OPTIONS = (
    "--allowed-rules evaluate --cores 1 --attempt 1 --force-use-threads --force --nolock "
    "--target-files-omit-workdir-adjustment --max-inventory-time 0 --no-hooks --ignore-incomplete "
    "--rerun-triggers params input --scheduler ilp --latency-wait 0 --mode remote"
)
MEASURE = """
import atexit, resource, sys
def tell():
    used = resource.getrusage(resource.RUSAGE_SELF)
    print("CPU", used.ru_utime + used.ru_stime, file=sys.stderr)
atexit.register(tell)
"""
SNAKEMAKE = "from snakemake.cli import main; main()"
PARTS = {
    "Snakemake, alone": "import snakemake.cli, smart_open",
    "the same, without boto3": "sys.modules['boto3'] = None; import snakemake.cli, smart_open",
    "Snakemake, with this project's plan": SNAKEMAKE,
    "torch, alone": "import torch",
    "command that samples": "import adm.cli, adm.sampling.shards",
    "command that grades": "import eval.cli, eval.grade, eval.networks.load",
}


def measure(code: str, words: list[str], folder: Path) -> float:
    """Return the CPU seconds of a Python process, those that it starts left out."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE + code, *words],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    told = [line.split()[1] for line in done.stderr.splitlines() if line.startswith("CPU ")]
    return float(told[-1])


def prepare(scale: str, results: Path) -> list[str]:
    """Make empty inputs of one job that grades; return the words with which Snakemake starts it."""
    config = {"scale": scale, "results": str(results), **CLUSTER}
    graph = Graph(load_plan(config))
    key = next(one for one in graph.jobs if one[0] == "evaluate")
    for path in (Path(one) for paths in graph.describe(key).inputs.values() for one in paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    settings = [f"{name}={value}" for name, value in config.items()]
    target = ["--target-jobs", f"evaluate:sample={key[1]}"]
    return [*target, *OPTIONS.split(), "--config", *settings]


def main() -> None:
    """Measure every part some times; print the medians and what a job takes in all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", default="paper")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    root = Path(__file__).resolve().parent.parent
    os.environ |= {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as temporary:
        words = ["--snakefile", str(root / "Snakefile"), *prepare(args.scale, Path(temporary))]
        seconds = {
            name: median(measure(code, words, root) for _ in range(args.runs))
            for name, code in PARTS.items()
        }
    for name, value in seconds.items():
        print(f"{name:40}{value:6.2f} s")
    snakemake = seconds["Snakemake, with this project's plan"]
    command = seconds["command that samples"]
    total = 2 * snakemake + command
    print(f"a job that samples: 2 x {snakemake:.2f} + {command:.2f} = {total:.2f} s")


if __name__ == "__main__":
    main()
