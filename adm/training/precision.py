"""Number formats of training and sampling: 32-bit weights, 16-bit arithmetic where asked."""

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from records.errors import UserError

DTYPES = {"float32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def check_precision(precision: str, device: str | torch.device, where: str = "training") -> None:
    """Refuse a precision that does not exist or that the machine lacks; none is ever swapped.

    Args:
        precision: its name.
        device: where the network is.
        where: begins messages: `training` or `sampling`.

    Raises:
        UserError: an unknown name, or bf16 on a GPU without it.
    """
    if precision not in DTYPES:
        raise UserError(f"{where}: precision: got {precision!r}; needed: {', '.join(DTYPES)}")
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu and precision == "bf16" and not torch.cuda.is_bf16_supported(False):
        raise UserError(
            f"{where}: precision: bf16 is asked for and {torch.cuda.get_device_name(device)} has "
            "no bfloat16 arithmetic; take fp16 or float32 in the scale's file, or another device "
            "(the results are then those of another spec)"
        )


def warn_of_slow_precision(name: str, precision: str, device: str) -> None:
    """Tell on standard error that a CPU has no fast arithmetic for what is asked of it."""
    if precision == "fp16" and device == "cpu":
        print(
            f"note: {name}: fp16 on a CPU is slower than float32 and less exact; "
            "`precision: float32` is for a CPU (the results are then those of another spec)",
            file=sys.stderr,
        )


def use_exact_float32() -> None:
    """Make float32 mean float32 on a GPU, where convolutions otherwise round to TF32's 10 bits."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def make_autocast(precision: str, device: str | torch.device) -> AbstractContextManager[object]:
    """Make the context in which the network runs (weights stay float32).

    Args:
        precision: `float32`, `bf16` or `fp16`.
        device: where the network is.

    Returns:
        torch's autocast context, or one that does nothing for float32.
    """
    dtype = DTYPES[precision]
    return nullcontext() if dtype is None else torch.autocast(torch.device(device).type, dtype)


def run_in_precision(
    network: Callable[..., Tensor], precision: str, device: str | torch.device
) -> Callable[..., Tensor]:
    """Return a function that runs a network in a precision; see `make_autocast`."""

    def run(*args: Tensor, **kwargs: Tensor) -> Tensor:
        with make_autocast(precision, device):
            return network(*args, **kwargs)

    return run


@dataclass
class LossScale:
    """Dynamic loss scale of fp16 training, as a power of two that need not be whole.

    The authors' rule: start at 2^20, add 0.001 to the exponent at each good step, take 1 from it
    at each step whose gradients overflow, and leave that step out.
    """

    exponent: float = 20.0
    growth: float = 0.001
    num_skipped_in_a_row: int = 0

    @property
    def factor(self) -> float:
        """What the loss is multiplied with."""
        return 2.0**self.exponent

    def update(self, finite: bool) -> None:
        """Take note of a step: good, or with gradients that overflowed."""
        self.exponent += self.growth if finite else -1.0
        self.num_skipped_in_a_row = 0 if finite else self.num_skipped_in_a_row + 1


def compute_grad_norm(grads: Sequence[Tensor]) -> Tensor:
    """Compute the Euclidean norm over all gradients together.

    Args:
        grads: gradients of any shapes on one device.

    Returns:
        float32 scalar; not finite when any gradient is not.
    """
    norms = torch._foreach_norm(list(grads))  # pyright: ignore[reportPrivateImportUsage]  # private to torch
    return torch.linalg.vector_norm(torch.stack(norms))
