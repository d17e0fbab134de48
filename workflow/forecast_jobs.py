"""What each job behind a target computes and keeps, and how long N devices need for them."""

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from specs.datasets import DigitsSpec, OwnImagesSpec, name_held_out
from specs.evaluation import Inception, SmallNetwork
from specs.sampling import PublishedSamples, Sampler
from specs.schedule import space_timesteps
from workflow.accuracy import MAX_IMAGES, NUM_RANGES
from workflow.availability import list_artefacts
from workflow.figures import make_between_spec, make_denoising_spec
from workflow.forecast_facts import Speed, load_published
from workflow.grading_jobs import CEILING_IMAGES
from workflow.job import Key
from workflow.plan import Plan
from workflow.targets import find_jobs

FLOAT32_BYTES = 4
# Weights, average and two moments of AdamW; while a state is written the one before it is there.
STATE_TENSORS, STATE_COPIES = 4, 2
REFERENCE_STATISTICS_BYTES = 8 * (2048**2 + 2048 + 2023**2 + 2023)

Counts = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class JobCost:
    """What a job takes, whatever computes it.

    Attributes:
        flops: operations on the device; 0 for jobs that need none, or whose need is not counted.
        kept_bytes: what stays on disk.
        work: `training` or `sampling`, whose speeds differ.
        precision: of the operations.
        kind: of the network.
    """

    flops: float = 0.0
    kept_bytes: float = 0.0
    work: str = "sampling"
    precision: str = "float32"
    kind: str = "diffusion"


@dataclass(frozen=True)
class Work:
    """What a job takes on a device, and the jobs that go before it.

    Attributes:
        flops, kept_bytes: see `JobCost`.
        seconds: at the fitted rate.
        seconds_range: at the highest and the lowest rate.
        needs: keys of the jobs before it.
    """

    flops: float
    seconds: float
    seconds_range: tuple[float, float]
    kept_bytes: float
    needs: tuple[Key, ...]


def make_jobs(plan: Plan, counts: Counts, speed: Speed, targets: list[str]) -> dict[Key, Work]:
    """Make the jobs of some targets, as if nothing had been done yet.

    Args:
        plan: the plan.
        counts: of `load_counts`.
        speed: of the devices.
        targets: see `targets.find_tables`.

    Returns:
        By rule and names, each job after those that it needs.

    Raises:
        UserError: an unknown target, or a precision that the device lacks.
    """
    return {
        key: make_work(plan, counts, speed, key, needs)
        for key, needs in find_jobs(plan, targets).items()
    }


def make_work(
    plan: Plan, counts: Counts, speed: Speed, key: Key, needs: Iterable[Key] = ()
) -> Work:
    """Work out what a job takes on a device, as if nothing had been done yet.

    Raises:
        UserError: a precision that the device lacks.
    """
    cost = compute_job_cost(plan, counts, *key[:3])
    rates = (1.0, 1.0, 1.0)
    if cost.flops:
        rates = speed.compute_rates(cost.work, cost.precision, cost.kind)
    most, seconds, least = (cost.flops / rate for rate in rates)
    return Work(cost.flops, seconds, (least, most), cost.kept_bytes, tuple(needs))


def compute_job_cost(
    plan: Plan, counts: Counts, rule: str, name: str = "", mark: str = ""
) -> JobCost:
    """Compute what a job takes, given its key; making pages and image sets counts for nothing."""
    match rule:
        case "prepare" | "dataset":
            return JobCost(kept_bytes=compute_set_size(plan, name)[1])
        case "network" if isinstance(plan.scale.network, Inception):
            return JobCost(kept_bytes=plan.released.inception_graph.bytes or 0)
        case "fetch_pt" | "fetch_npz":
            path = f"{name}.{rule.removeprefix('fetch_')}"
            known = list_artefacts(plan.released)[path]["num_bytes"]
            return JobCost(kept_bytes=known or _estimate_download(plan, counts, path))
        case "reference":
            num_images = compute_set_size(plan, name)[0]
            stored = min(plan.scale.evaluation.reference_images, num_images or math.inf)
            own = isinstance(plan.scale.network, SmallNetwork)  # has no statistics to speak of
            kept_bytes = stored * compute_image_bytes(plan, name)
            kept_bytes += 0 if own else REFERENCE_STATISTICS_BYTES
            return JobCost(compute_feature_flops(plan, num_images), kept_bytes)
        case "ceiling":
            return JobCost(compute_feature_flops(plan, count_ceiling_images(plan, name)))
        case "evaluate":
            return JobCost(compute_feature_flops(plan, plan.samples[name].num_samples))
        case "nearest":
            num_images = compute_set_size(plan, plan.samples[name].task)[0]
            stored = min(plan.scale.evaluation.reference_images, num_images or math.inf)
            return JobCost(compute_feature_flops(plan, stored))
        case "between":
            spec, drawn = make_between_spec(plan, name), plan.drawn(name)
            # Every image is carried to noise and back; then each pair is drawn at every step.
            images = 2 * spec["num_images"] + spec["num_images"] // 2 * spec["num_steps"]
            flops = images * count_steps(drawn.sampler)
            return JobCost(flops * counts[drawn.model.name]["forward_flops"])
        case "import_weights":
            return JobCost(kept_bytes=FLOAT32_BYTES * counts[name]["num_parameters"])
        case "train":
            spec, before = plan.models[name], plan.previous_mark(name, mark)
            done = 0 if before is None else plan.marks[name][before]
            images = (plan.marks[name][mark] - done) * spec.training.batch_size
            return JobCost(
                flops=images * counts[name]["training_flops"],
                kept_bytes=FLOAT32_BYTES * counts[name]["num_parameters"],
                work="training",
                precision=spec.training.precision,
                kind=spec.kind,
            )
        case "accuracy":
            num_images = min(MAX_IMAGES, compute_set_size(plan, plan.models[name].task)[0])
            flops = num_images * NUM_RANGES * counts[name]["forward_flops"]
            return JobCost(flops, kind="classifier")
        case "loss":
            spec = plan.models[name]
            num_images = compute_set_size(plan, name_held_out(spec.task))[0]
            steps = num_images * (plan.scale.evaluation.loss_timesteps or 0)
            return JobCost(steps * counts[name]["forward_flops"], kind=spec.kind)
        case "sample" | "denoising":
            spec = plan.drawn(name)
            kind, flops = (
                plan.models[spec.model.name].kind,
                counts[spec.model.name]["forward_flops"],
            )
            if spec.classifier is not None:
                flops += counts[spec.classifier.name]["guidance_flops"]
            kept_bytes, precision = compute_batch_bytes(plan, name), spec.sampler.precision
            num_images = spec.num_samples
            if rule == "denoising":
                num_images, kept_bytes = make_denoising_spec(plan, name).num_images, 0.0
            flops *= num_images * count_steps(spec.sampler)
            return JobCost(flops, kept_bytes, precision=precision, kind=kind)
    return JobCost()


def _estimate_download(plan: Plan, counts: Counts, path: str) -> float:
    """Estimate the size of a published file, where that was not published, by what it holds."""
    for model, spec in plan.models.items():
        if spec.training.released == path:
            return FLOAT32_BYTES * counts[model]["num_parameters"]
    for sample, batch in plan.samples.items():
        if isinstance(batch, PublishedSamples) and batch.released == path:
            return compute_batch_bytes(plan, sample)
    for task, reference in plan.released.references.items():
        if reference.path == path:
            images = reference.num_images * compute_image_bytes(plan, task)
            return images + REFERENCE_STATISTICS_BYTES
    return 0.0


def compute_feature_flops(plan: Plan, num_images: float) -> float:
    """Return what features of some images cost; a small network's are not counted."""
    is_inception = isinstance(plan.scale.network, Inception)
    return num_images * load_published()["inception_flops"] if is_inception else 0.0


def count_steps(sampler: Sampler) -> int:
    """Return how many steps a sampler takes."""
    return len(space_timesteps(sampler.num_timesteps, sampler.respacing))


def compute_image_bytes(plan: Plan, task: str) -> int:
    """Return the size of an image of a task in a batch: uint8, three channels."""
    return 3 * plan.scale.tasks[task].image_size_px ** 2


def compute_batch_bytes(plan: Plan, sample: str) -> float:
    """Return the size of a batch of samples: images, and a label of each."""
    batch = plan.samples[sample]
    return float(batch.num_samples * (compute_image_bytes(plan, batch.task) + 8))


def count_ceiling_images(plan: Plan, task: str) -> float:
    """Return how many images both halves of a ceiling have together."""
    return min(compute_set_size(plan, task)[0], 2.0 * CEILING_IMAGES)


def compute_state_bytes(counts: dict[str, Any]) -> float:
    """Return what the state of a running training takes on disk at most."""
    return float(STATE_COPIES * STATE_TENSORS * FLOAT32_BYTES * counts["num_parameters"])


def compute_set_size(plan: Plan, name: str) -> tuple[float, float]:
    """Return the number of images of a set and its bytes as PNGs; 0 and 0 where neither is known.

    Of the embedded digits only the number of those that are held out is known.
    """
    spec, published = plan.datasets[name], load_published()
    if spec.part == "held_out" and isinstance(spec, DigitsSpec):
        return float(spec.held_out or 0), 0.0
    entry = published["image_sets"].get(spec.place) if isinstance(spec, OwnImagesSpec) else None
    if entry is None:
        return 0.0, 0.0
    num_images = float(entry["num_images"])
    if spec.classes is not None and "num_classes" in entry:
        num_images *= len(spec.classes) / entry["num_classes"]
    held_out = spec.held_out or 0
    num_images = float(held_out) if spec.part == "held_out" else num_images - held_out
    size = spec.image_size_px
    width, height = entry["whole_px"] if size is None else (size, size)
    return num_images, num_images * 3 * width * height * published["png_share"]


def find_unknown_sets(plan: Plan, jobs: dict[Key, Work]) -> list[str]:
    """Return the places whose number of images is not known, so that they are not in a forecast."""
    sets = [plan.datasets[key[1]] for key in jobs if key[0] == "prepare"]
    places = {one.place for one in sets if isinstance(one, OwnImagesSpec)}
    return sorted(places - set(load_published()["image_sets"]))


def compute_wall_seconds(jobs: dict[Key, Work], num_gpus: int) -> float:
    """Compute how long some devices need, one job on each at a time, the longest chains first.

    Args:
        jobs: of `make_jobs`, each after those that it needs.
        num_gpus: number of devices.

    Returns:
        Seconds until the last job ends, all other work and waiting left out.
    """
    chains = compute_chains(jobs)
    waiting = {key: len(set(job.needs)) for key, job in jobs.items()}
    followers: dict[Key, list[Key]] = {key: [] for key in jobs}
    for key, job in jobs.items():
        for need in set(job.needs):
            followers[need].append(key)
    ready = [(-chains[key], key) for key, count in waiting.items() if not count]
    heapq.heapify(ready)
    running: list[tuple[float, Key]] = []
    now, free = 0.0, num_gpus
    while ready or running:
        while ready and (free or not jobs[ready[0][1]].seconds):
            key = heapq.heappop(ready)[1]
            free -= 1 if jobs[key].seconds else 0
            heapq.heappush(running, (now + jobs[key].seconds, key))
        now, key = heapq.heappop(running)
        free += 1 if jobs[key].seconds else 0
        for follower in followers[key]:
            waiting[follower] -= 1
            if not waiting[follower]:
                heapq.heappush(ready, (-chains[follower], follower))
    return now


def compute_chains(jobs: dict[Key, Work]) -> dict[Key, float]:
    """Compute for each job the seconds of the longest chain that begins with it."""
    chains = {key: job.seconds for key, job in jobs.items()}
    for key in reversed(jobs):  # what needs a job comes after it
        for need in jobs[key].needs:
            chains[need] = max(chains[need], jobs[need].seconds + chains[key])
    return chains
