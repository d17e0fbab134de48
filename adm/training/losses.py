"""What a batch costs: denoising losses, and cross entropy on noised images."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adm.process.diffusion import q_sample, training_losses
from adm.training.precision import run_in_precision
from specs.models import GuideSpec, ModelSpec
from specs.schedule import Schedule, make_schedule

NUM_QUARTERS = 4
LossFn = Callable[[Tensor, Tensor | None, Tensor, Tensor], dict[str, Tensor]]


def choose_variance(objective: str) -> str:
    """Return the kind of variance that a network trained with an objective puts out."""
    return "fixed_large" if objective == "simple" else "learned_range"


def make_low_res(x_start: Tensor, low_res_px: int) -> Tensor:
    """Make the small image that an upsampler is trained on, by area averaging.

    Args:
        x_start: [n, c, h, w] in [-1, 1].
        low_res_px: its height and width.

    Returns:
        [n, c, low_res_px, low_res_px] in [-1, 1].
    """
    return F.interpolate(x_start, size=(low_res_px, low_res_px), mode="area")


def compute_denoising_losses(
    model: Callable[..., Tensor],
    schedule: Schedule,
    x_start: Tensor,
    y: Tensor | None,
    t: Tensor,
    eps: Tensor,
    *,
    objective: str,
    low_res_px: int | None,
) -> dict[str, Tensor]:
    """Compute the losses of a diffusion model or an upsampler.

    Args:
        model: the network.
        schedule: the full process.
        x_start: [n, c, h, w] in [-1, 1].
        y: int64 [n] for a conditional network, else None.
        t: int64 [n].
        eps: noise like x_start.
        objective: see `adm.process.diffusion.training_losses`.
        low_res_px: size of the small image of an upsampler, None for a diffusion model.

    Returns:
        `loss` [n], with `mse` and `vb` where the objective has them.
    """
    model_kwargs = {}
    if y is not None:
        model_kwargs["y"] = y
    if low_res_px is not None:
        model_kwargs["low_res"] = make_low_res(x_start, low_res_px)
    return training_losses(
        model,
        schedule,
        x_start,
        t,
        eps,
        objective=objective,
        variance=choose_variance(objective),
        model_kwargs=model_kwargs,
    )


def compute_classifier_losses(
    model: Callable[..., Tensor],
    schedule: Schedule,
    x_start: Tensor,
    y: Tensor | None,
    t: Tensor,
    eps: Tensor,
) -> dict[str, Tensor]:
    """Compute the cross entropy of a classifier that sees x_t instead of x_0.

    Args:
        model: the classifier.
        schedule: the full process.
        x_start: [n, c, h, w] in [-1, 1].
        y: int64 [n], which every image of a classifier has.
        t: int64 [n], uniform.
        eps: noise like x_start.

    Returns:
        `loss` [n] in nats; `correct` and `seen` [n, 4], 1 in the column of the image's quarter of
        the timesteps where the label was (not) read right.
    """
    assert y is not None
    logits = model(q_sample(schedule, x_start, t, eps), t)
    quarter = F.one_hot(t * NUM_QUARTERS // schedule.num_timesteps, NUM_QUARTERS).float()
    correct = (logits.argmax(dim=1) == y).float()
    return {
        "loss": F.cross_entropy(logits.float(), y, reduction="none"),
        "correct": quarter * correct[:, None],
        "seen": quarter,
    }


def make_loss_fn(spec: ModelSpec, model: nn.Module, device: str | torch.device) -> LossFn:
    """Make the function (x_start, y, t, eps) -> losses per image that a model spec asks for.

    Args:
        spec: model spec.
        model: its network; it runs in the spec's precision.
        device: where the network is.

    Returns:
        `compute_classifier_losses` or `compute_denoising_losses` of that network.
    """
    training = spec.training
    schedule = make_schedule(training.schedule, training.num_timesteps)
    run_network = run_in_precision(model, training.precision, device)
    if isinstance(spec, GuideSpec):
        return partial(compute_classifier_losses, run_network, schedule)
    return partial(
        compute_denoising_losses,
        run_network,
        schedule,
        objective=training.objective,
        low_res_px=spec.architecture.low_res_px,
    )
