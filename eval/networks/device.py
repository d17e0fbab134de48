"""A device by name, checked before anything is loaded."""

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
            f"device {device}: cannot be used ({reason}); this machine has {', '.join(have)}; "
            "give --device cpu or another of these (in the workflow --config device=cpu)"
        ) from None
