"""The variational bound of a model on images, in bits per dimension."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adm.process.diffusion import (
    Model,
    compute_vb,
    network_timesteps,
    p_mean_variance,
    predict_eps_from_xstart,
    q_sample,
)
from specs.schedule import Schedule


def prior_bpd(schedule: Schedule, x_start: Tensor) -> Tensor:
    """KL(q(x_T | x_0) || N(0, 1)), the term of the bound without parameters.

    Ho et al. 2020, equation 5.

    Args:
        schedule: the chain.
        x_start: images [n, c, h, w] in [-1, 1].

    Returns:
        [n], bits per dimension, the mean over channels and pixels.
    """
    alpha_bar = schedule.alpha_bar[-1]
    # -1 - log(v) + v cancels to almost nothing for v near 1: keep that part in float64.
    from_variance = -alpha_bar - np.log1p(-alpha_bar)
    from_mean = alpha_bar * x_start.flatten(1).square().mean(dim=1)
    return 0.5 * (from_variance + from_mean) / math.log(2.0)


@torch.no_grad()
def compute_bpd(
    model: Model,
    schedule: Schedule,
    x_start: Tensor,
    *,
    noise_fn: Callable[[int], Tensor],
    model_kwargs: Mapping[str, Any] | None = None,
    prediction: str = "eps",
    variance: str = "learned_range",
    clip_denoised: bool = True,
    rescale_timesteps: bool = False,
) -> dict[str, Tensor]:
    """The whole variational bound of -log p(x_0), one network evaluation per step.

    Ho et al. 2020, equation 5.

    Each term uses x_t noised afresh from x_0 with one draw, so the bound is an unbiased estimate.
    The loop runs from the noisiest step to t = 0.

    Args:
        model: called as model(x_t, timesteps, **model_kwargs).
        schedule: the chain, shortened or not; the bound is that of this chain.
        x_start: images [n, c, h, w] in [-1, 1], from uint8 / 127.5 - 1.
        noise_fn: noise_fn(step_index) -> standard normal like x_start; step_index k belongs to t =
            num_steps - 1 - k.
        model_kwargs: conditioning, for example y or low_res.
        prediction: see p_mean_variance.
        variance: see p_mean_variance.
        clip_denoised: clamp the predicted x_0 to [-1, 1].
        rescale_timesteps: see network_timesteps.

    Returns:
        "total_bpd" and "prior_bpd" [n]; "vb" (bits per dimension), "xstart_mse" and "mse" (of eps,
        re-derived from the predicted x_0) [n, num_steps], column k belonging to t = num_steps - 1 -
        k.
    """
    num_steps = schedule.num_steps
    indices = torch.arange(num_steps - 1, -1, -1, device=x_start.device)[:, None].repeat(
        1, len(x_start)
    )
    vb, xstart_mse, mse = [], [], []
    for step_index in range(num_steps):
        t = indices[step_index]
        eps = noise_fn(step_index)
        x_t = q_sample(schedule, x_start, t, eps)
        timesteps = network_timesteps(schedule, t, rescale_timesteps=rescale_timesteps)
        predicted = p_mean_variance(
            schedule,
            model(x_t, timesteps, **(model_kwargs or {})),
            x_t,
            t,
            prediction=prediction,
            variance=variance,
            clip_denoised=clip_denoised,
        )
        vb.append(compute_vb(schedule, x_start, x_t, t, predicted))
        pred_eps = predict_eps_from_xstart(schedule, x_t, t, predicted.pred_xstart)
        xstart_mse.append((predicted.pred_xstart - x_start).square().flatten(1).mean(dim=1))
        mse.append((pred_eps - eps).square().flatten(1).mean(dim=1))
    terms = {
        "vb": torch.stack(vb, 1),
        "xstart_mse": torch.stack(xstart_mse, 1),
        "mse": torch.stack(mse, 1),
    }
    prior = prior_bpd(schedule, x_start)
    return {"total_bpd": terms["vb"].sum(dim=1) + prior, "prior_bpd": prior, **terms}
