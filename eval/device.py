"""The machine: a device by name, checked before anything is loaded, and how many cores."""

import os

from records.errors import UserError


def check_device(device: str) -> None:
    """Demand a device that this machine has.

    Args:
        device: cpu, cuda or cuda:1.

    Raises:
        UserError: not the name of such a device, or none of that kind here.
    """
    import torch

    try:
        if torch.device(device).type not in ("cpu", "cuda"):
            raise RuntimeError("cpu or cuda is needed")
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        have = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        raise UserError(
            f"device {device}: cannot be used ({reason}); this machine has {', '.join(have)}"
        ) from None


def count_cores() -> int:
    """Return how many cores this process may use; all of them where the system does not tell."""
    if hasattr(os, "sched_getaffinity"):  # Linux alone has it
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
