"""What the jobs of a scale cost: read their logs of times, add them up, print them."""

import csv
from pathlib import Path
from typing import Any

from workflow.plan import Plan


def read_times(path: Path) -> dict[str, float]:
    """Add up the lines `real user system` (seconds) that a job's commands left.

    Returns:
        `wall_seconds` and `cpu_seconds`.
    """
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    times = [[float(part) for part in line] for line in lines if len(line) == 3]
    return {
        "wall_seconds": sum(real for real, _, _ in times),
        "cpu_seconds": sum(user + system for _, user, system in times),
    }


def read_peak_memory_mb(path: Path) -> float:
    """Read the peak memory from a benchmark file; 0 when the job was too short to be sampled."""
    with open(path, newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file, delimiter="\t"))
    try:
        return float(row["max_rss"])
    except ValueError:
        return 0.0


def make_allotment(plan: Plan) -> dict[str, Any]:
    """Collect iterations, images and measured seconds per model and row.

    Returns:
        JSON object with `models`, `rows`, `stages` and totals; work that has not been done at this
        scale is left out.
    """
    logs, benchmarks = Path(plan.logs), Path(plan.benchmarks)
    measured = {
        str(path.relative_to(logs).with_suffix("")): read_times(path)
        for path in sorted(logs.glob("*/*.times"))
    }
    peaks = [read_peak_memory_mb(path) for path in sorted(benchmarks.glob("*/*.tsv"))]
    models = []
    for name, marks in plan.marks.items():
        jobs = [measured[key] for mark in marks if (key := f"train/{name}-{mark}") in measured]
        if jobs:
            models.append(
                {
                    "name": name,
                    "iterations": max(marks.values()),
                    "cpu_seconds": round(sum(job["cpu_seconds"] for job in jobs), 1),
                    "wall_seconds": round(sum(job["wall_seconds"] for job in jobs), 1),
                }
            )
    rows = [
        {
            "name": name,
            "num_images": spec["num_images"],
            "cpu_seconds": round(measured[f"sample/{name}"]["cpu_seconds"], 1),
            "wall_seconds": round(measured[f"sample/{name}"]["wall_seconds"], 1),
        }
        for name, spec in plan.samples.items()
        if f"sample/{name}" in measured
    ]
    stages: dict[str, dict[str, float]] = {}
    for key, job in measured.items():
        stage = stages.setdefault(key.split("/")[0], {"jobs": 0, "cpu_seconds": 0.0})
        stage["jobs"] += 1
        stage["cpu_seconds"] = round(stage["cpu_seconds"] + job["cpu_seconds"], 1)
    return {
        "models": models,
        "rows": rows,
        "stages": stages,
        "total_cpu_seconds": round(sum(job["cpu_seconds"] for job in measured.values()), 1),
        "peak_memory_mb": max(peaks, default=0.0),
    }


def format_allotment(allotment: dict[str, Any]) -> str:
    """Write an allotment as lines for a terminal."""
    lines = [f"{'model':34}{'iterations':>11}{'CPU s':>9}"]
    lines += [
        f"{one['name']:34}{one['iterations']:>11}{one['cpu_seconds']:>9}"
        for one in allotment["models"]
    ]
    lines += ["", f"{'row':34}{'images':>11}{'CPU s':>9}"]
    lines += [
        f"{one['name']:34}{one['num_images']:>11}{one['cpu_seconds']:>9}"
        for one in allotment["rows"]
    ]
    lines += ["", f"{'stage':34}{'jobs':>11}{'CPU s':>9}"]
    lines += [
        f"{name:34}{stage['jobs']:>11}{stage['cpu_seconds']:>9}"
        for name, stage in allotment["stages"].items()
    ]
    minutes = allotment["total_cpu_seconds"] / 60
    lines += [
        "",
        f"sum of the jobs' CPU time: {minutes:.1f} minutes; "
        f"peak memory of a job: {allotment['peak_memory_mb']:.0f} MB",
    ]
    return "\n".join(lines)
