"""One iteration of training."""

from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from adm.networks.dropout import set_dropout_keys
from adm.training.ema import update_ema
from adm.training.losses import LossFn
from adm.training.precision import compute_grad_norm
from adm.training.ranks import ALONE, Hold, Ranks
from adm.training.state import TrainState


class StepResult(NamedTuple):
    """What one iteration gives.

    Attributes:
        sums: sum over the batch of each loss.
        grad_norm: norm of all gradients together, before clipping.
        taken: False when the step was left out because something was not finite.
    """

    sums: dict[str, Tensor]
    grad_norm: Tensor
    taken: bool


def compute_learning_rate(
    learning_rate: float, iteration: int, anneal_iterations: int | None
) -> float:
    """Compute the learning rate of an iteration: constant, or falling linearly to 0.

    Args:
        learning_rate: at iteration 0.
        iteration: counted from 0.
        anneal_iterations: where 0 is reached; None for a constant rate.

    Returns:
        learning_rate (1 - iteration / anneal_iterations), never below 0.
    """
    if anneal_iterations is None:
        return learning_rate
    return learning_rate * max(0.0, 1.0 - iteration / anneal_iterations)


def train_step(
    state: TrainState,
    loss_fn: LossFn,
    x_start: Tensor,
    y: Tensor | None,
    t: Tensor,
    eps: Tensor,
    *,
    dropout_seed: int,
    microbatch_size: int,
    learning_rate: float,
    ema_decay: float,
    grad_clip: float | None,
    precision: str,
    ranks: Ranks = ALONE,
    hold: Hold = nullcontext,
) -> StepResult:
    """Do one iteration: gradients of the mean loss, AdamW, average.

    A step whose loss or gradients are not finite changes no weight where that can be known without
    waiting for a GPU: on a CPU, and always in fp16, where the loss scale is lowered.

    Args:
        state: changed in place; its iteration is raised by one.
        loss_fn: see `make_loss_fn`.
        x_start: [n, c, h, w] in [-1, 1], this process's part of the batch.
        y: int64 [n] or None.
        t: int64 [n].
        eps: noise like x_start.
        dropout_seed: of the masks of this iteration.
        microbatch_size: images that go through the network at a time.
        learning_rate: of this iteration.
        ema_decay: see `adm.training.ema.update_ema`.
        grad_clip: largest norm of all gradients together; None for no limit.
        precision: `float32`, `bf16` or `fp16`.
        ranks: the processes of the training; all have as many images.
        hold: makes the context of a pass whose gradients are not averaged over processes yet.

    Returns:
        Losses and norm of the gradients of the whole batch, and whether the weights were changed.
    """
    batch_size = len(x_start) * ranks.size
    rows = ranks.find_rows(batch_size)
    scale = state.loss_scale.factor if precision == "fp16" else 1.0
    state.optimiser.zero_grad()
    sums: dict[str, Tensor] = {}
    for start in range(0, len(rows), microbatch_size):
        part = slice(start, start + microbatch_size)
        set_dropout_keys(state.model, dropout_seed, rows[part])
        is_last = start + microbatch_size >= len(rows)
        with nullcontext() if is_last else hold():
            losses = loss_fn(x_start[part], None if y is None else y[part], t[part], eps[part])
            # The gradients of several processes are averaged, so each counts that often.
            (losses["loss"].sum() * (scale * ranks.size / batch_size)).backward()
        for name, value in losses.items():
            total = value.detach().sum(dim=0)
            sums[name] = sums[name] + total if name in sums else total

    sums = ranks.add_up(sums)
    parameters = list(state.model.parameters())
    grads = [one.grad for one in parameters if one.grad is not None]
    if scale != 1.0:
        torch._foreach_mul_(grads, 1.0 / scale)  # pyright: ignore[reportPrivateImportUsage]  # private to torch
    grad_norm = compute_grad_norm(grads)
    finite = True
    if precision == "fp16" or x_start.device.type == "cpu":
        finite = bool(torch.isfinite(grad_norm + sums["loss"]))
    if finite:
        if grad_clip is not None:
            share = (grad_clip / (grad_norm + 1e-6)).clamp(max=1.0)
            torch._foreach_mul_(grads, share)  # pyright: ignore[reportPrivateImportUsage]  # private to torch
        state.optimiser.step(learning_rate)
        update_ema(state.ema, parameters, ema_decay)
    if precision == "fp16":
        state.loss_scale.update(finite)
    state.iteration += 1
    return StepResult(sums, grad_norm, finite)
