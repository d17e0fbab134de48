"""What a run may use of a cluster: how long a job lasts, and over how many processes it trains."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from specs.strict import Strict

Count = Annotated[int, Field(ge=1)]

RESERVE_SECONDS, RESERVE_SHARE = 600.0, 0.05  # to start, to hash images, to save
MAX_SEGMENTS = 60  # Snakemake follows a chain of jobs by recursion
TABLE_GB = 32.0  # of the GPUs that a scale's table of microbatches is of
MAX_SHARD_JOBS = 16  # of a batch; Snakemake takes milliseconds for each before the first starts


@dataclass(frozen=True)
class Cut:
    """How a batch of samples is drawn by several jobs.

    Attributes:
        images_per_shard: what a stopped job loses at most.
        parts: first sample and one past the last of each job.
    """

    images_per_shard: int
    parts: tuple[tuple[int, int], ...]

    @property
    def names(self) -> list[str]:
        """Return the names of the parts."""
        return [f"{first:06d}-{last:06d}" for first, last in self.parts]


class Machine(Strict):
    """What `--config` and profiles say of a cluster; nothing here changes a number but by rounding.

    Attributes:
        walltime_minutes: how long a job may last; longer trainings are cut. None for no limit.
        shard_minutes: how long a job draws samples; a batch that takes longer is drawn by several
            at a time. None for one job a batch.
        gpu_memory_gb: of each GPU; trainings put as many images through a network at a time as
            that holds.
        gpu_type: of which kind GPUs have to be, as SLURM names it in `sinfo --format=%G`; None for
            any.
        processes_per_training: over which a training is spread, each with a GPU of its own where
            it trains on GPUs; that of a smaller batch takes as many as divide it.
        processes_per_node: how many of them one machine takes; None for all.
        running_jobs: what a run does with jobs of one before it that still run: it waits for them
            or cancels them.
    """

    walltime_minutes: Annotated[int, Field(ge=20)] | None = None
    shard_minutes: Annotated[float, Field(gt=0)] | None = None
    gpu_memory_gb: Annotated[float, Field(gt=0)] = TABLE_GB
    gpu_type: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]+$")] | None = None
    processes_per_training: Count = 1
    processes_per_node: Count | None = None
    running_jobs: Literal["wait", "cancel"] = "wait"

    @model_validator(mode="after")
    def _check(self) -> "Machine":
        per_node = self.processes_per_node
        if per_node is not None and self.processes_per_training % per_node:
            raise ValueError(
                f"processes_per_training {self.processes_per_training} is no multiple of "
                f"processes_per_node {per_node}; take one"
            )
        return self

    @property
    def usable_seconds(self) -> float:
        """How long a job may compute before it saves and ends."""
        if self.walltime_minutes is None:
            return math.inf
        seconds = 60.0 * self.walltime_minutes
        return seconds - max(RESERVE_SECONDS, RESERVE_SHARE * seconds)

    def count_segments(self, seconds: float) -> int:
        """Return how many jobs one after the other a training needs; at most 60.

        Args:
            seconds: how long it lasts at most.
        """
        return min(max(1, math.ceil(seconds / self.usable_seconds)), MAX_SEGMENTS)

    def cut_batch(
        self, num_images: int, seconds: float, most_seconds: float, batch_size: int
    ) -> Cut | None:
        """Cut a batch of samples into at most 16 equal parts; None where one job draws it.

        Each takes the minutes that are set, and ends within the walltime even if it is slow; a
        shard of it takes a quarter of them.

        Args:
            num_images: in the batch.
            seconds: how long it takes.
            most_seconds: how long it takes at most.
            batch_size: images that are drawn at a time.
        """
        if self.shard_minutes is None or seconds <= 60.0 * self.shard_minutes:
            return None
        by_minutes = math.ceil(seconds / (60.0 * self.shard_minutes))
        by_walltime = math.ceil(most_seconds / self.usable_seconds)
        number = min(max(by_minutes, by_walltime), MAX_SHARD_JOBS)
        ends = {num_images * part // number // batch_size * batch_size for part in range(number)}
        at_a_time = 15.0 * self.shard_minutes * num_images / seconds // batch_size * batch_size
        return Cut(
            images_per_shard=max(batch_size, int(at_a_time)),
            parts=tuple(pairwise([*sorted(ends), num_images])),
        )

    def name_gpus(self, number: int) -> str:
        """Return what SLURM's --gres takes for some GPUs of a node."""
        return ":".join(filter(None, ["gpu", self.gpu_type, str(number)]))

    def fit_microbatch(self, images: int) -> int:
        """Return how many images a GPU holds, given how many one of 32 GB does."""
        return max(1, int(images * self.gpu_memory_gb / TABLE_GB))

    def count_processes(self, batch_size: int) -> int:
        """Return over how many processes a training with this batch is spread."""
        return math.gcd(self.processes_per_training, batch_size)

    def count_nodes(self, num_processes: int) -> int:
        """Return how many machines a training of so many processes takes."""
        return math.ceil(num_processes / (self.processes_per_node or num_processes))


def make_launcher(num_processes: int, num_nodes: int) -> list[str]:
    """Return the first words of a command that trains: python, or what starts several processes."""
    if num_processes == 1:
        return ["python"]
    return ["python", "-m", "workflow.launch", str(num_processes), str(num_nodes)]
