"""What the jobs of a scale cost: read the workflow's benchmarks, add them up, print them."""

import csv
from pathlib import Path
from typing import Any

from workflow.plan import Plan


def read_benchmark(path: Path) -> dict[str, float]:
    """Read one benchmark file; a value that was not measured counts as 0.

    Returns:
        `wall_seconds`, `cpu_seconds` and `memory_mb` (peak).
    """
    with open(path, newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file, delimiter="\t"))

    def number(key: str) -> float:
        try:
            return float(row[key])
        except (KeyError, ValueError):
            return 0.0

    return {
        "wall_seconds": number("s"),
        "cpu_seconds": number("cpu_time"),
        "memory_mb": number("max_rss"),
    }


def make_allotment(plan: Plan) -> dict[str, Any]:
    """Collect iterations, images and measured seconds per model and row.

    Returns:
        JSON object with `models`, `rows`, `stages` and totals; work that has not been done at this
        scale is left out.
    """
    root = Path(plan.root) / "benchmarks"
    measured = {
        str(path.relative_to(root).with_suffix("")): read_benchmark(path)
        for path in sorted(root.glob("*/*.tsv"))
    }
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
        "peak_memory_mb": max((job["memory_mb"] for job in measured.values()), default=0.0),
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
    lines += ["", f"sum of the jobs' CPU time: {minutes:.1f} minutes; "
              f"peak memory of a job: {allotment['peak_memory_mb']:.0f} MB"]
    return "\n".join(lines)
