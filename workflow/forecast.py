"""What targets cost before anything runs: jobs, operations, device hours, disk and wall time.

Everything is forecast as if nothing had been done yet. Reading needs no torch: operations are
committed data (workflow.forecast_counts).
"""

import math
from collections import Counter
from dataclasses import asdict, replace
from functools import cache
from typing import Any

from records.errors import UserError
from specs.sampling import SampleSpec
from workflow.forecast_counts import load_counts
from workflow.forecast_facts import choose_speed, compare_with_paper
from workflow.forecast_jobs import (
    FLOAT32_BYTES,
    STATE_TENSORS,
    Counts,
    Work,
    compute_batch_bytes,
    compute_chains,
    compute_state_bytes,
    compute_wall_seconds,
    count_ceiling_images,
    count_steps,
    find_unknown_sets,
    make_jobs,
    make_work,
)
from workflow.job import Key
from workflow.machine import Cut
from workflow.plan import Plan
from workflow.targets import find_tables

FORMAT = 1
KINDS_OF_DISK = {
    "prepare": "image sets",
    "dataset": "image sets",
    "train": "weights",
    "sample": "samples",
    "reference": "references",
    "import_weights": "weights",
    "network": "published files",
    "fetch_pt": "published files",
    "fetch_npz": "published files",
}
# Jobs that are not forecast, at scales without counts, get these.
DEFAULT_RESOURCES = {"mem_mb": 2000, "runtime": 60}
RUNTIME_MARGIN = 1.5
MIN_RUNTIME_MINUTES = 60
# Python, torch and a GPU's context; images that wait, the step's own float32 copies, and noise.
PROCESS_MB, CPU_PROCESS_MB = 6000, 1200
BATCH_COPIES_BYTES = 4 + 4 * 4


def make_forecast(
    plan: Plan,
    targets: list[str],
    *,
    gpu: str | None = None,
    utilisation: float | None = None,
    num_gpus: int = 1,
    keep_state: bool = False,
) -> dict[str, Any]:
    """Forecast what some targets cost.

    Args:
        plan: the plan.
        targets: see `targets.find_tables`.
        gpu: device, see `forecast_facts.choose_speed`.
        utilisation: share of its peak.
        num_gpus: how many of them there are; every job has one.
        keep_state: optimiser states stay after the last mark.

    Returns:
        JSON object: jobs by rule, an entry for each model and each batch of samples, totals of
        operations, device hours, disk and wall time, and the paper's compute table beside it.

    Raises:
        UserError: an unknown target or device, or counts that are missing.
    """
    counts = load_counts(plan)
    speed = choose_speed(plan, gpu=gpu, utilisation=utilisation)
    jobs = make_jobs(plan, counts, speed, targets)
    models = _describe_models(plan, counts, jobs)
    chains = compute_chains(jobs)
    stages: dict[str, list[Work]] = {}
    for key, job in jobs.items():
        stages.setdefault(key[0], []).append(job)
    ends = [
        {key: replace(job, seconds=job.seconds_range[end]) for key, job in jobs.items()}
        for end in (0, 1)
    ]
    return {
        "format": FORMAT,
        "scale": plan.scale.name,
        "source": plan.source,
        "targets": targets,
        "tables": find_tables(plan, targets),
        "device": asdict(speed),
        "num_gpus": num_gpus,
        "jobs": dict(Counter(key[0] for key in jobs)),
        "stages": {name: {"jobs": len(group), **_add_up(group)} for name, group in stages.items()},
        "models": models,
        "rows": _describe_rows(plan, jobs),
        **_add_up(list(jobs.values())),
        "wall_hours": compute_wall_seconds(jobs, num_gpus) / 3600,
        "wall_hours_range": [compute_wall_seconds(end, num_gpus) / 3600 for end in ends],
        "longest_chain_hours": max(chains.values(), default=0.0) / 3600,
        "disk_bytes": _compute_disk(jobs, models, num_gpus=num_gpus, keep_state=keep_state),
        "keep_state": keep_state,
        "not_counted": find_unknown_sets(plan, jobs),
        "paper": compare_with_paper(plan, counts, {one["name"] for one in models}),
    }


def _add_up(jobs: list[Work]) -> dict[str, Any]:
    """Return operations and hours of some jobs, with the range of the hours."""
    return {
        "flops": sum(job.flops for job in jobs),
        "hours": sum(job.seconds for job in jobs) / 3600,
        "hours_range": [sum(job.seconds_range[end] for job in jobs) / 3600 for end in (0, 1)],
    }


def _describe_models(plan: Plan, counts: Counts, jobs: dict[Key, Work]) -> list[dict[str, Any]]:
    """Add up the training jobs of each model."""
    marks: dict[str, dict[str, Work]] = {}
    for key, job in jobs.items():
        if key[0] == "train":
            marks.setdefault(key[1], {})[key[2]] = job
    return [
        {
            "name": name,
            "kind": plan.models[name].kind,
            "num_parameters": counts[name]["num_parameters"],
            "batch_size": plan.models[name].training.batch_size,
            "training_flops_per_image": counts[name]["training_flops"],
            "forward_flops_per_image": counts[name]["forward_flops"],
            "jobs": len(trained),
            "iterations": max(plan.marks[name][mark] for mark in trained),
            **_add_up(list(trained.values())),
            "weights_bytes": sum(job.kept_bytes for job in trained.values()),
            "state_bytes": compute_state_bytes(counts[name]),
        }
        for name, trained in marks.items()
    ]


def _describe_rows(plan: Plan, jobs: dict[Key, Work]) -> list[dict[str, Any]]:
    """Describe each batch of samples."""
    described = []
    for key, job in jobs.items():
        if key[0] == "sample":
            spec = plan.drawn(key[1])
            described.append(
                {
                    "name": key[1],
                    "model": spec.model.name,
                    "classifier": spec.classifier and spec.classifier.name,
                    "num_images": spec.num_samples,
                    "steps": count_steps(spec.sampler),
                    **_add_up([job]),
                    "samples_bytes": job.kept_bytes,
                }
            )
    return described


def _compute_disk(
    jobs: dict[Key, Work], models: list[dict[str, Any]], *, num_gpus: int, keep_state: bool
) -> dict[str, float]:
    """Compute what is on disk at the end, by kind, and at most.

    While models train, as many as there are devices have a state there, the largest at worst. With
    `keep_state` those of all models stay; otherwise each goes after its last mark.
    """
    disk = dict.fromkeys(KINDS_OF_DISK.values(), 0.0)
    for key, job in jobs.items():
        if key[0] in KINDS_OF_DISK:
            disk[KINDS_OF_DISK[key[0]]] += job.kept_bytes
    states = sorted((one["state_bytes"] for one in models), reverse=True)
    disk["optimiser states"] = sum(states) if keep_state else 0.0
    at_end = sum(disk.values())
    disk["at the end"] = at_end
    disk["at most"] = at_end if keep_state else at_end + sum(states[:num_gpus])
    return disk


def compute_resources(plan: Plan, rule: str, *names: str) -> dict[str, int]:
    """Compute the memory and the walltime that a job asks for.

    Memory is the host's. A training run holds its state there when it is read and written.
    Samples are held one shard at a time, twice while its batches are put together, and so are the
    low-resolution samples of a stack. Walltime is the slow end of the forecast on the scale's
    device, at least half as much again as its middle, at least an hour and at most the plan's.

    Args:
        plan: the plan.
        rule: of the job; a `segment` is a part of a training, a `shard` one of a batch of samples.
        names: of the job.

    Returns:
        `mem_mb` and `runtime` (minutes); fixed ones at a scale without counts.
    """
    share = 1.0
    if rule == "segment":  # a part of the training up to a mark
        rule, names = "train", names[:2]
    elif rule in ("sample", "shard") and (cut := plan.cuts.get(names[0])):
        share = 1 / len(cut.parts) if rule == "shard" else 0.0
    if rule == "shard":
        rule, names = "sample", names[:1]
    job, counts = _forecast_job(plan, rule, *names), _load_counts(plan)
    if job is None or counts is None:
        return dict(DEFAULT_RESOURCES)
    process = CPU_PROCESS_MB if plan.device.startswith("cpu") else PROCESS_MB
    num_bytes = compute_memory_bytes(plan, counts, rule, names[0])
    # The slow end of the forecast, or what measured times spread by where it has no range.
    minutes = share * max(RUNTIME_MARGIN * job.seconds, job.seconds_range[1]) / 60
    if rule == "train":
        num_processes = count_processes(plan, names[0])
        minutes /= num_processes
        per_node = math.ceil(num_processes / plan.machine.count_nodes(num_processes))
        num_bytes, process = per_node * num_bytes, per_node * process
    runtime = max(MIN_RUNTIME_MINUTES, math.ceil(minutes))
    if plan.machine.walltime_minutes is not None:
        runtime = min(runtime, plan.machine.walltime_minutes)
    return {"mem_mb": process + math.ceil(num_bytes / 1e6), "runtime": runtime}


def find_segments(plan: Plan) -> dict[tuple[str, str], int]:
    """Find the trainings that are cut: into how many jobs, by model and mark.

    The slow end of the forecast counts: a job too many ends at once, one too few costs a failure.
    """
    machine = plan.machine
    if machine.walltime_minutes is None or plan.source != "retrain":
        return {}
    numbers = {
        (model, mark): machine.count_segments(job.seconds_range[1] / count_processes(plan, model))
        for model, marks in plan.marks.items()
        for mark in marks
        if (job := _forecast_job(plan, "train", model, mark))
    }
    return {key: number for key, number in numbers.items() if number > 1}


def find_cuts(plan: Plan) -> dict[str, Cut]:
    """Find the batches of samples that several jobs draw, and how."""
    if plan.machine.shard_minutes is None:
        return {}
    batch_size = plan.scale.sampling.batch_size
    cuts = {
        name: plan.machine.cut_batch(
            batch.num_samples, job.seconds, job.seconds_range[1], batch_size
        )
        for name, batch in plan.samples.items()
        if isinstance(batch, SampleSpec) and (job := _forecast_job(plan, "sample", name))
    }
    return {sample: cut for sample, cut in cuts.items() if cut}


def count_processes(plan: Plan, model: str) -> int:
    """Return over how many processes a model is trained."""
    return plan.machine.count_processes(plan.models[model].training.batch_size)


def compute_memory_bytes(plan: Plan, counts: Counts, rule: str, name: str) -> float:
    """Compute the memory of a job on the host, the process itself left out.

    Args:
        plan: the plan.
        counts: of `load_counts`.
        rule: see `compute_resources`.
        name: the first of its names.
    """
    if rule == "train":
        spec = plan.models[name]
        pixels = spec.architecture.image_size_px**2 * spec.architecture.in_channels
        weights = FLOAT32_BYTES * counts[name]["num_parameters"]
        images = spec.training.batch_size * pixels * BATCH_COPIES_BYTES
        return float((STATE_TENSORS + 2) * weights + images)
    if rule == "sample":
        spec = plan.drawn(name)
        networks = [one.name for one in (spec.model, spec.classifier) if one]
        weights = sum(FLOAT32_BYTES * counts[one]["num_parameters"] for one in networks)
        share = min(1.0, plan.images_per_shard(name) / spec.num_samples)
        small = compute_batch_bytes(plan, spec.low_res.name) if spec.low_res else 0.0
        small *= 1 + FLOAT32_BYTES  # as they are stored, and as the network takes them
        return weights + share * (2 * compute_batch_bytes(plan, name) + small)
    if rule in ("accuracy", "loss"):
        return float(FLOAT32_BYTES * counts[name]["num_parameters"])
    evaluated: float = plan.samples[name].num_samples if rule == "evaluate" else 0
    if rule == "ceiling":  # all features of both halves, and copies of them
        evaluated = count_ceiling_images(plan, name)
    stored = plan.scale.evaluation.reference_images
    # Pool and spatial features, 4,071 numbers an image, in float32 and a float64 copy of them.
    return 12.0 * 4071 * (evaluated + stored) + 1e9


@cache
def _load_counts(plan: Plan) -> Counts | None:
    """Return the counts of a plan, None where there are none."""
    try:
        return load_counts(plan)
    except UserError:
        return None


@cache
def _forecast_job(plan: Plan, *key: str) -> Work | None:
    """Return what one job takes, and not the jobs before it; None without counts."""
    counts = _load_counts(plan)
    try:
        return None if counts is None else make_work(plan, counts, choose_speed(plan), key)
    except UserError:  # the device lacks the precision
        return None
