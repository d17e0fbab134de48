"""The jobs behind a target, what each computes and keeps, and how long N devices need for them.

The jobs are those of workflow/rules; a test compares their numbers with Snakemake's own dry run.
"""

import heapq
import math
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from records.errors import UserError
from specs.config import BroughtTask, Inception, SmallNetwork
from workflow.accuracy import MAX_IMAGES, NUM_RANGES, describe_classifiers
from workflow.availability import explain_empty_table, list_artefacts
from workflow.forecast_facts import Speed, load_published
from workflow.plan import Plan
from workflow.table_spec import shown_samples, table_inputs

Key = tuple[str, ...]
FLOAT32_BYTES = 4
# Weights, average and two moments of AdamW; while a state is written the one before it is there.
STATE_TENSORS, STATE_COPIES = 4, 2
# Real images in each half of a ceiling at most: as many as the paper's samples in a row.
CEILING_IMAGES = 50_000
REFERENCE_STATISTICS_BYTES = 8 * (2048**2 + 2048 + 2023**2 + 2023)


@dataclass(frozen=True)
class Job:
    """One job of the workflow.

    Attributes:
        flops: operations on the device; 0 for jobs that need none, or whose need is not counted.
        seconds: on the device.
        kept_bytes: what stays on disk.
        needs: jobs that go before.
    """

    flops: float
    seconds: float
    kept_bytes: float
    needs: tuple[Key, ...]


def find_tables(plan: Plan, targets: list[str]) -> list[str]:
    """Return the names of the tables that targets ask for.

    Args:
        plan: the plan.
        targets: `reproduce_all`, or names and aliases of tables, with `reproduce_` before them or
            without.

    Raises:
        UserError: an unknown target, or a table of which the plan's source has no row.
    """
    names = {alias: name for name, table in plan.tables.items() for alias in (name, table.alias)}
    found: dict[str, None] = {}
    for target in targets:
        short = target.removeprefix("reproduce_")
        if short != "all" and short not in names:
            raise UserError(
                f"target: got {target!r}; needed: reproduce_all, or one of "
                f"{', '.join(names)} (with reproduce_ before it or without)"
            )
        if short != "all" and names[short] not in plan.shown_tables:
            raise UserError(explain_empty_table(plan, names[short]))
        found |= dict.fromkeys(plan.shown_tables if short == "all" else [names[short]])
    return list(found)


def make_jobs(
    plan: Plan, counts: dict[str, dict[str, Any]], speed: Speed, targets: list[str]
) -> dict[Key, Job]:
    """Make the jobs of some targets, as if nothing had been done yet.

    Args:
        plan: the plan.
        counts: of `load_counts`.
        speed: of the devices.
        targets: see `find_tables`.

    Returns:
        By rule and wildcards, each job after those that it needs.

    Raises:
        UserError: an unknown target, or a precision that the device lacks.
    """
    maker = _Maker(plan, counts, speed)
    for name in find_tables(plan, targets):
        maker.add_table(name)
    if any(target.removeprefix("reproduce_") == "all" for target in targets):
        for sample in sorted(set(plan.cells.values())):
            maker.add_evaluate(sample)
        pages = tuple(("table", name) for name in plan.shown_tables)
        maker.add(("index",), needs=pages)
    return maker.jobs


class _Maker:
    """Collects jobs; one is made once, after what it needs."""

    def __init__(self, plan: Plan, counts: dict[str, dict[str, Any]], speed: Speed) -> None:
        self.plan, self.counts, self.speed = plan, counts, speed
        self.jobs: dict[Key, Job] = {}
        self.graded = {plan.metrics_path(name): name for name in plan.samples}
        self.ceilings = {plan.ceiling_path(task): task for task in plan.scale.tasks}
        self.published = list_artefacts(plan.released)

    def add(
        self,
        key: Key,
        *,
        needs: tuple[Key, ...] = (),
        flops: float = 0.0,
        work: str = "sampling",
        precision: str = "float32",
        kind: str = "diffusion",
        kept_bytes: float = 0.0,
    ) -> Key:
        """Note a job, unless it was noted before."""
        if key not in self.jobs:
            seconds = flops / self.speed.compute_rate(work, precision, kind) if flops else 0.0
            self.jobs[key] = Job(flops, seconds, kept_bytes, needs)
        return key

    def add_table(self, name: str) -> Key:
        """Add a table's page and all that it is made from."""
        plan, table, inputs = self.plan, self.plan.tables[name], table_inputs(self.plan, name)
        needs = [self.add_evaluate(self.graded[path]) for path in inputs["metrics"]]
        needs += [self.add_ceiling(self.ceilings[path]) for path in inputs["ceilings"]]
        if inputs["accuracies"]:
            for one in describe_classifiers(plan, table, shown_samples(plan, table)):
                needs.append(self.add_accuracy(one["name"], one["mark"]))
        return self.add(("table", name), needs=tuple(needs))

    def add_published(self, path: str, num_bytes: float) -> Key:
        """Add the fetching of a published file; `num_bytes` counts where its size is not known."""
        suffix = PurePosixPath(path).suffix.removeprefix(".")
        known = self.published[path]["num_bytes"]
        return self.add((f"fetch_{suffix}", path), kept_bytes=known or num_bytes)

    def add_data(self, name: str) -> Key:
        """Add the making of an image set."""
        rule = "prepare" if self.plan.datasets[name].get("place") else "dataset"
        return self.add((rule, name), kept_bytes=compute_set_size(self.plan, name)[1])

    def add_network(self) -> Key:
        """Add the feature network."""
        network = self.plan.scale.network
        if isinstance(network, SmallNetwork):
            return self.add(("network",), needs=(self.add_data(network.task),))
        graph = self.plan.released.inception_graph
        return self.add(("network",), kept_bytes=graph.bytes or 0)

    def compute_feature_flops(self, num_images: float) -> float:
        """Return what features of some images cost; a small network's are not counted."""
        inception = isinstance(self.plan.scale.network, Inception)
        return num_images * load_published()["inception_flops"] if inception else 0.0

    def add_reference(self, task: str) -> Key:
        """Add the reference of a task, published or our own."""
        plan = self.plan
        pixels = 3 * plan.scale.tasks[task].image_size_px ** 2
        if plan.scale.evaluation.reference == "released":
            published = plan.released.references[task]
            num_bytes = published.num_images * pixels + REFERENCE_STATISTICS_BYTES
            return self.add_published(published.path, num_bytes)
        num_images = compute_set_size(plan, task)[0]
        stored = min(plan.scale.evaluation.reference_images, num_images or math.inf)
        return self.add(
            ("reference", task),
            needs=(self.add_data(task), self.add_network()),
            flops=self.compute_feature_flops(num_images),
            kept_bytes=stored * pixels
            + (REFERENCE_STATISTICS_BYTES if isinstance(plan.scale.network, Inception) else 0),
        )

    def add_ceiling(self, task: str) -> Key:
        """Add the metrics of real images against real images."""
        return self.add(
            ("ceiling", task),
            needs=(self.add_data(task), self.add_network()),
            flops=self.compute_feature_flops(count_ceiling_images(self.plan, task)),
        )

    def add_weights(self, model: str, mark: str) -> Key:
        """Add the weights of a model at a mark: trained, or published ones."""
        path = self.plan.models[model]["training"].get("released")
        if path is None:
            return self.add_train(model, mark)
        num_bytes = FLOAT32_BYTES * self.counts[model]["num_parameters"]
        needs = (self.add_published(path, num_bytes),)
        return self.add(("import_weights", model, mark), needs=needs, kept_bytes=num_bytes)

    def add_train(self, model: str, mark: str) -> Key:
        """Add the training of a model up to a mark, and up to the marks before it."""
        plan, spec, counts = self.plan, self.plan.models[model], self.counts[model]
        before = plan.previous_mark(model, mark)
        needs = [self.add_data(plan.training_data(model))]
        done = 0
        if before is not None:
            needs.append(self.add_train(model, before))
            done = plan.marks[model][before]
        training = spec["training"]
        images = (plan.marks[model][mark] - done) * training["batch_size"]
        return self.add(
            ("train", model, mark),
            needs=tuple(needs),
            flops=images * counts["training_flops"],
            work="training",
            precision=training["precision"],
            kind=spec["kind"],
            kept_bytes=FLOAT32_BYTES * counts["num_parameters"],
        )

    def add_accuracy(self, classifier: str, mark: str) -> Key:
        """Add the accuracy of a classifier."""
        task = self.plan.models[classifier]["task"]
        num_images = min(MAX_IMAGES, compute_set_size(self.plan, task)[0])
        return self.add(
            ("accuracy", classifier, mark),
            needs=(self.add_train(classifier, mark), self.add_data(task)),
            flops=num_images * NUM_RANGES * self.counts[classifier]["forward_flops"],
            kind="classifier",
        )

    def add_sample(self, name: str) -> Key:
        """Add a batch of samples, drawn here with the base that it enlarges, or published."""
        spec, num_bytes = self.plan.samples[name], compute_batch_bytes(self.plan, name)
        if "released" in spec:
            return self.add_published(spec["released"], num_bytes)
        model, classifier, base = spec["model"], spec["classifier"], spec["low_res"]
        needs = [self.add_weights(model["name"], model["mark"])]
        flops = self.counts[model["name"]]["forward_flops"]
        if classifier:
            needs.append(self.add_weights(classifier["name"], classifier["mark"]))
            flops += self.counts[classifier["name"]]["guidance_flops"]
        if base:
            needs.append(self.add_sample(base["name"]))
        return self.add(
            ("sample", name),
            needs=tuple(needs),
            flops=spec["num_images"] * count_steps(spec["sampler"]) * flops,
            kept_bytes=num_bytes,
        )

    def add_evaluate(self, name: str) -> Key:
        """Add the metrics of a batch of samples."""
        spec = self.plan.samples[name]
        needs = (self.add_sample(name), self.add_reference(spec["task"]), self.add_network())
        return self.add(
            ("evaluate", name), needs=needs, flops=self.compute_feature_flops(spec["num_images"])
        )


def count_steps(sampler: dict[str, Any]) -> int:
    """Return how many steps a sampler takes: its respacing's parts added up."""
    respacing = str(sampler["respacing"] or sampler["num_timesteps"]).removeprefix("ddim")
    return sum(int(part) for part in respacing.split(","))


def compute_batch_bytes(plan: Plan, sample: str) -> float:
    """Return the size of a batch of samples: uint8 images of three channels, and labels."""
    spec = plan.samples[sample]
    pixels = plan.scale.tasks[spec["task"]].image_size_px ** 2
    return float(spec["num_images"] * (3 * pixels + 8))


def count_ceiling_images(plan: Plan, task: str) -> float:
    """Return how many images both halves of a ceiling have together."""
    return min(compute_set_size(plan, task)[0], 2.0 * CEILING_IMAGES)


def compute_state_bytes(counts: dict[str, Any]) -> float:
    """Return what the state of a running training takes on disk at most."""
    return float(STATE_COPIES * STATE_TENSORS * FLOAT32_BYTES * counts["num_parameters"])


def compute_set_size(plan: Plan, name: str) -> tuple[float, float]:
    """Return the number of images of a set and its bytes as PNGs; 0 and 0 where neither is known.

    The embedded digits count for nothing.
    """
    spec, published = plan.datasets[name], load_published()
    entry = published["image_sets"].get(spec.get("place"))
    if entry is None:
        return 0.0, 0.0
    num_images = float(entry["num_images"])
    if spec["classes"] is not None and "num_classes" in entry:
        num_images *= len(spec["classes"]) / entry["num_classes"]
    size = spec["image_size_px"]
    width, height = entry["whole_px"] if size is None else (size, size)
    return num_images, num_images * 3 * width * height * published["png_share"]


def find_unknown_sets(plan: Plan, jobs: dict[Key, Job]) -> list[str]:
    """Return the places whose number of images is not known, so that they are not in a forecast."""
    sets = [plan.scale.tasks.get(key[1]) for key in jobs if key[0] == "prepare"]
    known = load_published()["image_sets"]
    places = {one.place for one in sets if isinstance(one, BroughtTask)}
    return sorted(places - set(known))


def compute_wall_seconds(jobs: dict[Key, Job], num_gpus: int) -> float:
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


def compute_chains(jobs: dict[Key, Job]) -> dict[Key, float]:
    """Compute for each job the seconds of the longest chain that begins with it."""
    chains = {key: job.seconds for key, job in jobs.items()}
    for key in reversed(jobs):  # what needs a job comes after it
        for need in jobs[key].needs:
            chains[need] = max(chains[need], jobs[need].seconds + chains[key])
    return chains
