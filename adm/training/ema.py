"""The exponential moving average of the weights, from which samples are drawn."""

from collections.abc import Sequence

import torch
from torch import Tensor


def make_ema(parameters: Sequence[Tensor]) -> list[Tensor]:
    """Start an average as a copy of the weights.

    Args:
        parameters: the weights, in a fixed order.

    Returns:
        float32 tensors in the same order.
    """
    return [one.detach().to(torch.float32, copy=True) for one in parameters]


def update_ema(ema: Sequence[Tensor], parameters: Sequence[Tensor], ema_decay: float) -> None:
    """Move an average towards the weights, in place: ema <- d ema + (1 - d) weights.

    With weights w that stay put, n updates give w + d^n (ema_0 - w). (Dhariwal & Nichol 2021,
    section 4: d = 0.9999 for every diffusion model.)

    Args:
        ema: the average, as made by `make_ema`.
        parameters: the weights in the same order.
        ema_decay: d, the share of the old average that stays, 0 (no average) to below 1.
    """
    torch._foreach_lerp_(list(ema), [one.detach() for one in parameters], 1.0 - ema_decay)  # pyright: ignore[reportPrivateImportUsage]  # private to torch
