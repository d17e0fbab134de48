"""A device by name, checked before anything is loaded."""

from records import options


def check_device(device: str) -> None:
    """Demand a device that this machine has.

    Args:
        device: cpu, cuda or cuda:1.

    Raises:
        UserError: not the name of such a device, or none of that kind here.
    """
    import torch

    options.check_device(device, torch)
