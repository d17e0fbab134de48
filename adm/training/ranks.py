"""The processes of one training: each takes its slice of every batch, the first one writes.

`torchrun` (or `srun` with it) starts them and tells each its number by environment variables.
Gradients meet in torch's DistributedDataParallel; what the run decides (to save, to stop) is agreed
on the CPU, so that nobody waits for a GPU.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from records.errors import OutOfMemory, UserError

Value = TypeVar("Value")
Hold = Callable[[], AbstractContextManager[object]]

# Others wait for the first one as long, while it hashes images and writes states.
PATIENCE = timedelta(hours=1)


@dataclass(frozen=True)
class Ranks:
    """Who this process is among those of a training.

    Attributes:
        rank: its number, counted from 0 over all machines.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and events."""
        return self.rank == 0

    def find_rows(self, batch_size: int) -> range:
        """Return which samples of a batch are this process's.

        Raises:
            UserError: the batch cannot be dealt evenly.
        """
        if batch_size % self.size:
            raise UserError(
                f"batch_size {batch_size} cannot be dealt to {self.size} processes evenly; start "
                "a number of processes that divides it"
            )
        share = batch_size // self.size
        return range(self.rank * share, (self.rank + 1) * share)

    def wrap(self, model: nn.Module) -> tuple[nn.Module, Hold]:
        """Return the network whose gradients are averaged over processes, and what puts that off.

        Weights are those of the first process.
        """
        if self.size == 1:
            return model, nullcontext
        device = next(model.parameters()).device
        wrapped = DistributedDataParallel(
            model, device_ids=None if device.type == "cpu" else [device.index]
        )
        return wrapped, wrapped.no_sync

    def share_first(self, value: Value) -> Value:
        """Return the first process's value, a plain one: text, numbers, None, tuples of these."""
        if self.size == 1:
            return value
        values: list[Any] = [value]
        dist.broadcast_object_list(values)
        return values[0]

    def find_largest(self, values: Sequence[int]) -> list[int]:
        """Return the largest of each number over all processes."""
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.int64)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return tensor.tolist()

    def add_up(self, sums: dict[str, Tensor]) -> dict[str, Tensor]:
        """Add up tensors by name over all processes."""
        if self.size == 1:
            return sums
        flat = torch.cat([one.reshape(-1) for one in sums.values()])
        dist.all_reduce(flat)
        parts = flat.split([one.numel() for one in sums.values()])
        return {
            name: part.view(one.shape)
            for (name, one), part in zip(sums.items(), parts, strict=True)
        }


ALONE = Ranks()


@contextmanager
def join_ranks(device: str) -> Iterator[tuple[Ranks, str]]:
    """Find the other processes of a training that `torchrun` started; alone without it.

    Args:
        device: a torch device; of `cuda` each process on a machine takes its own.

    Yields:
        Who this process is, and its device.

    Raises:
        UserError: a GPU is named by number for several processes, or there are too few.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE, device
        return
    if torch.device(device).type == "cuda":
        local, num_gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if device != "cuda" or local >= num_gpus:
            raise UserError(
                f"--device {device}: process {local} of this machine takes GPU {local} of "
                f"{num_gpus}; give --device cuda, and torchrun --nproc-per-node {num_gpus} or less"
            )
        device = f"cuda:{local}"
        torch.cuda.set_device(local)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device != "cpu" else "gloo", timeout=PATIENCE)
    rank = dist.get_rank()
    try:
        yield Ranks(rank, size), device
    except UserError as error:
        if rank == 0:
            raise
        if error.exit_code not in (
            UserError.exit_code,
            OutOfMemory.exit_code,
        ):  # all of them stop, and the first one says why
            raise SystemExit(error.exit_code) from None
        kind = OutOfMemory if isinstance(error, OutOfMemory) else UserError
        raise kind(f"process {rank} of {size}: {error}") from error
    finally:
        dist.destroy_process_group()
