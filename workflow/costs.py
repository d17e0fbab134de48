"""What the jobs of a scale cost: read it from manifests, add it up, print it."""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from records.errors import UserError
from records.events import read_events
from records.manifest import read_manifest
from specs.scale import Prices
from workflow.graph import Graph, name_log
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
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return float(next(csv.DictReader(file, delimiter="\t"))["max_rss"])
    except (FileNotFoundError, ValueError):
        return 0.0


def read_runs(plan: Plan) -> dict[str, dict[str, Any]]:
    """Read what every finished job took, by the name of its log.

    Artefacts say so in their manifests; earlier versions kept logs of times beside the others. The
    manifest of weights knows the attempt that reached them, and the events the attempts before.
    """
    graph, logs, benchmarks = Graph(plan), Path(plan.layout.logs), Path(plan.layout.benchmarks)
    runs = {}
    for key in graph.jobs:
        name = name_log(graph.kinds[key[0]], *key)
        artefact = next(iter(graph.write(key).values()))
        times = logs / f"{name}.times"
        if (manifest := read_manifest(artefact)) and manifest.get("run"):
            run = {"device": manifest.get("device"), **manifest["run"]}
            about = {"machine": _name_machine({**manifest, "device": run["device"] or "cpu"})}
            runs[name] = {**run, **about, "processes": manifest.get("processes", 1)}
            if key[0] == "train" and key[2] == plan.last_mark(key[1]):
                events = graph.describe(key).identity["events"]
                runs[name]["unfinished"] = read_unfinished(events)
        elif times.exists():
            peak = read_peak_memory_mb(benchmarks / f"{name}.tsv")
            runs[name] = {**read_times(times), "peak_memory_mb": peak}
    return runs


def read_unfinished(path: str | Path) -> dict[str, float]:
    """Add up what the attempts took that did not reach the end of what they were to do.

    From their first event to their last, as those that were killed say no more; all threads of all
    processes count as busy.

    Args:
        path: events of a training; may be missing.

    Returns:
        `wall_seconds` and `cpu_seconds`.
    """
    attempts: list[list[dict[str, Any]]] = []
    with suppress(UserError):
        for event in read_events(path)[0]:
            if "kind" in event:
                attempts.append([])
            if attempts:
                attempts[-1].append(event)
    seconds = {"wall_seconds": 0.0, "cpu_seconds": 0.0}
    for events in attempts:
        if not any(one["event"] in ("end", "restored") for one in events):
            wall = events[-1]["time"] - events[0]["time"]
            seconds["wall_seconds"] += wall
            busy = events[0].get("threads", 1) * events[0].get("processes", 1)
            seconds["cpu_seconds"] += wall * busy
    return seconds


def _add_parts(run: Mapping[str, Any], kind: str) -> float:
    """Return what a job took, with the shards that others drew for it, and attempts before it."""
    seconds: float = run[kind]
    return seconds + sum(run.get(part, {}).get(kind, 0.0) for part in ("shards", "unfinished"))


def _name_machine(manifest: Mapping[str, Any]) -> str | None:
    if manifest.get("platform") is None or manifest.get("cpus") is None:
        return None
    device = manifest.get("device", "cpu")
    return f"{manifest['platform']}, {manifest['cpus']} CPUs" + f", {device}" * (device != "cpu")


def add_up_wall_seconds(runs: Iterable[Mapping[str, Any]]) -> float:
    """Return for how long at least one job ran; jobs whose end is not known are left out."""
    spans = sorted(
        (end - run["wall_seconds"], end)
        for run in runs
        if "ended" in run
        for end in [datetime.fromisoformat(run["ended"]).timestamp()]
    )
    total, reached = 0.0, 0.0
    for start, end in spans:
        total += max(end - max(start, reached), 0.0)
        reached = max(end, reached)
    return round(total, 1)


def make_costs(plan: Plan) -> dict[str, Any]:
    """Collect iterations, images and measured seconds per model and row.

    Returns:
        JSON object with `models`, `rows`, `stages`, totals, the machine and the end of the last
        job; work that has not been done at this scale is left out.
    """
    measured = read_runs(plan)

    def add_up(keys: Iterable[str]) -> dict[str, float]:
        jobs = [measured[key] for key in keys if key in measured]
        kinds = ("cpu_seconds", "wall_seconds")
        return {
            kind: round(sum(_add_parts(job, kind) for job in jobs), 1) for kind in kinds if jobs
        }

    models = [
        {"name": name, "iterations": max(marks.values()), **seconds}
        for name, marks in plan.marks.items()
        if (seconds := add_up(f"train/{name}-{mark}" for mark in marks))
    ]
    rows = [
        {"name": name, "num_images": batch.num_samples, **seconds}
        for name, batch in plan.samples.items()
        if (seconds := add_up([f"sample/{name}"]))
    ]
    stages: dict[str, dict[str, float]] = {}
    for key, job in measured.items():
        stage = stages.setdefault(key.split("/")[0], {"jobs": 0, "cpu_seconds": 0.0})
        stage["jobs"] += 1
        stage["cpu_seconds"] = round(stage["cpu_seconds"] + _add_parts(job, "cpu_seconds"), 1)
    pages = ("table/", "index", "figures/")  # written again without a new number
    numbers = [job for key, job in measured.items() if not key.startswith(pages)]
    return {
        "models": models,
        "rows": rows,
        "stages": stages,
        "last_ended": max((job["ended"] for job in numbers if "ended" in job), default=None),
        "machine": _list_machines(measured.values()),
        "total_wall_seconds": add_up_wall_seconds(measured.values()),
        "total_cpu_seconds": add_up(measured).get("cpu_seconds", 0.0),
        "peak_memory_mb": max((job["peak_memory_mb"] for job in measured.values()), default=0.0),
        **_add_up_price(plan.scale.compute.prices, measured.values()),
    }


def _add_up_price(prices: Prices | None, runs: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Say what jobs cost where prices are given: the wall time of each GPU, else the CPU time."""
    if prices is None:
        return {}
    total = 0.0
    for run in runs:
        before = {**run, "wall_seconds": 0.0, "cpu_seconds": 0.0, **run.get("unfinished", {})}
        for part in (run, before, run.get("shards", {})):
            if str(part.get("device")).startswith("cuda"):
                gpu_seconds = part["wall_seconds"] * part.get("processes", 1)
                total += prices.gpu_hour * gpu_seconds / 3600
            else:
                total += prices.cpu_hour * part.get("cpu_seconds", 0.0) / 3600
    return {"price": f"{total:,.2f} {prices.currency}"}


def _list_machines(runs: Iterable[Mapping[str, Any]]) -> str | None:
    """Name the machines of all jobs, those of the most jobs first; None where none is known."""
    found = Counter(run["machine"] for run in runs if run.get("machine"))
    return "; ".join(name for name, _ in found.most_common()) or None


def format_costs(costs: dict[str, Any]) -> str:
    """Write what the jobs cost as lines for a terminal."""
    stages = [{"name": name, **stage} for name, stage in costs["stages"].items()]
    lines = []
    for what, count, found in (
        ("model", "iterations", costs["models"]),
        ("row", "num_images", costs["rows"]),
        ("stage", "jobs", stages),
    ):
        lines.append(f"{what:34}{count.removeprefix('num_'):>11}{'CPU s':>9}")
        lines += [f"{one['name']:34}{one[count]:>11}{one['cpu_seconds']:>9}" for one in found]
        lines.append("")
    minutes = costs["total_cpu_seconds"] / 60
    lines.append(
        f"sum of the jobs' CPU time: {minutes:.1f} minutes; "
        f"peak memory of a job: {costs['peak_memory_mb']:.0f} MB"
    )
    return "\n".join(lines)
