"""AdamW by torch's fused step alone.

`torch.optim.AdamW` does the same step, but making one imports torch._dynamo: 1.4 s of CPU time in
every training job.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

BETAS, EPS = (0.9, 0.999), 1e-8


class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2), no AMSGrad.

    Attributes:
        parameters: what is optimised: float32, on one device.
        weight_decay: taken off each weight at a step, times the learning rate.
        state: of each parameter that had a gradient: `step`, `exp_avg`, `exp_avg_sq`.
    """

    def __init__(self, parameters: Iterable[Tensor], weight_decay: float) -> None:
        self.parameters, self.weight_decay = list(parameters), weight_decay
        self.state: dict[Tensor, dict[str, Tensor]] = {}

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for one in self.parameters:
            one.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Change the parameters that have a gradient."""
        moved = [one for one in self.parameters if one.grad is not None]
        for one in moved:
            if one not in self.state:
                self.state[one] = {
                    "step": torch.zeros((), dtype=torch.float32, device=one.device),
                    "exp_avg": torch.zeros_like(one),
                    "exp_avg_sq": torch.zeros_like(one),
                }
        states = [self.state[one] for one in moved]
        steps = [one["step"] for one in states]
        torch._foreach_add_(steps, 1)  # pyright: ignore[reportPrivateImportUsage]  # private to torch
        torch._fused_adamw_(  # pyright: ignore[reportPrivateImportUsage]  # 3 ms for 3M parameters; 11 ms with foreach
            moved,
            [one.grad for one in moved if one.grad is not None],
            [one["exp_avg"] for one in states],
            [one["exp_avg_sq"] for one in states],
            [],
            steps,
            lr=learning_rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=self.weight_decay,
            eps=EPS,
            amsgrad=False,
            maximize=False,
        )
