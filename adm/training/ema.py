"""The exponential moving average of the weights, from which samples are drawn."""

from collections.abc import Sequence

import torch
from torch import Tensor

MAX_START_SHARE = 0.01


def make_ema(parameters: Sequence[Tensor]) -> list[Tensor]:
    """Start an average as a copy of the weights.

    Args:
        parameters: the weights, in a fixed order.

    Returns:
        float32 tensors in the same order.
    """
    return [one.detach().to(torch.float32, copy=True) for one in parameters]


def explain_short_run(ema_decay: float, iterations: int) -> str | None:
    """Say that an average is too long for a run: its samples would show the random start.

    Args:
        ema_decay: share of the old average that stays at each iteration.
        iterations: of the run; ema_decay ** iterations of the random start is left then.

    Returns:
        A sentence where more than MAX_START_SHARE is left, else None.
    """
    share = ema_decay**iterations
    if share <= MAX_START_SHARE:
        return None
    return (
        f"ema_decay {ema_decay:g} over {iterations} iterations leaves {share:.1%} of the random "
        "start in the averaged weights, which samples show as noise; train longer, take the "
        "ema_decay of `python -m adm spec --iterations`, or draw the state with --weights raw"
    )


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
