"""Samplers as plain functions: ancestral sampling, DDIM, and DDIM run backwards.

All loops share one signature. They take no random numbers of their own: noise_fn(step_index) is
called for step_index 0 (the noisiest step), 1, 2, ..., and only where noise enters, so what an
image becomes is decided by the caller's generators and not by the batch it is in. Nothing in a loop
waits for the device.

Two temperatures, both 1 in all published tables, follow the low-temperature experiments in the
appendix of Dhariwal & Nichol (arXiv 2105.05233v4), which found that neither improves samples. The
definitions here are exact; that they agree with the authors' unpublished code for them is not
known.

    noise_temperature   tau multiplies the Gaussian noise that each step adds. The starting noise
    x_T is the caller's and
                        is not scaled. Without noise in the step (t = 0, DDIM with eta 0) it has no
                        effect.
    eps_temperature     tau divides the predicted eps at every step, before x_0 is derived from it
    and clipped: the score
                        is multiplied by 1 / tau, as for a density raised to the power 1 / tau.
                        Learned variances and the guidance gradient are not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from adm.process.coefficients import make_coefficients, rows
from adm.process.diffusion import (
    Model,
    Prediction,
    network_timesteps,
    p_mean_variance,
    predict_eps_from_xstart,
    predict_xstart_from_eps,
)
from adm.process.guidance import CondFn
from specs.schedule import Schedule

NoiseFn = Callable[[int], Tensor]
Callback = Callable[[int, Tensor, Tensor], None]


def ancestral_step(
    predicted: Prediction,
    t: Tensor,
    *,
    noise: Tensor | None,
    gradient: Tensor | None = None,
    noise_temperature: float = 1.0,
) -> Tensor:
    """Draw x_{t-1} from N(mean + variance * gradient, variance).

    Dhariwal & Nichol 2021, Algorithm 1; without a gradient, Ho et al. 2020, Algorithm 2.

    Args:
        predicted: the model's step at (x_t, t).
        t: int64 [n]; images at t = 0 get no noise.
        noise: standard normal [n, c, h, w], or None for none.
        gradient: scaled guidance gradient at x_t, or None.
        noise_temperature: factor of the noise.

    Returns:
        x_{t-1}.
    """
    mean = predicted.mean if gradient is None else predicted.mean + predicted.variance * gradient
    if noise is None:
        return mean
    scale = (t != 0).to(mean.dtype).view(-1, 1, 1, 1) * noise_temperature
    return mean + scale * (0.5 * predicted.log_variance).exp() * noise


def ddim_step(
    schedule: Schedule,
    predicted: Prediction,
    x_t: Tensor,
    t: Tensor,
    *,
    eta: float = 0.0,
    noise: Tensor | None = None,
    gradient: Tensor | None = None,
    noise_temperature: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Go from t to t - 1 with DDIM.

    Song et al. 2021, equation 12; with a gradient, Dhariwal & Nichol 2021, Algorithm 2.

    x_{t-1} = sqrt(ab_prev) x_0 + sqrt(1 - ab_prev - sigma^2) eps + sigma noise, with eps re-derived
    from the (clipped) predicted x_0. Guidance takes eps - sqrt(1 - ab) * gradient instead, and x_0
    again from that, not clipped again.

    Args:
        schedule: the chain.
        predicted: the model's step at (x_t, t); only its predicted x_0 is used.
        x_t: the noised images.
        t: int64 [n].
        eta: 0 is deterministic, 1 has the variance of ancestral sampling with fixed_small.
        noise: standard normal like x_t, or None for none.
        gradient: scaled guidance gradient at x_t, or None.
        noise_temperature: factor of the noise; sigma inside the square root stays as it is.

    Returns:
        x_{t-1} and the predicted x_0 after guidance.
    """
    c = make_coefficients(schedule, x_t.device)
    pred_xstart = predicted.pred_xstart
    pred_eps = predict_eps_from_xstart(schedule, x_t, t, pred_xstart)
    if gradient is not None:
        pred_eps = pred_eps - rows(c.sqrt_one_minus_alpha_bar, t) * gradient
        pred_xstart = predict_xstart_from_eps(schedule, x_t, t, pred_eps)
    sigma_squared = eta**2 * rows(c.ddim_variance, t)
    # Rounding can leave a hair below 0 when eta = 1 at the first step of the chain.
    direction = (rows(c.one_minus_alpha_bar_prev, t) - sigma_squared).clamp(min=0).sqrt()
    x_prev = rows(c.sqrt_alpha_bar_prev, t) * pred_xstart + direction * pred_eps
    if noise is not None:
        x_prev = x_prev + noise_temperature * sigma_squared.sqrt() * noise
    return x_prev, pred_xstart


def invert_ddim_step(schedule: Schedule, predicted: Prediction, x_t: Tensor, t: Tensor) -> Tensor:
    """Go from t to t + 1, against DDIM with eta 0 along the same ODE.

    Song et al. 2021, section 4.3: x_{t+1} = sqrt(ab_next) x_0 + sqrt(1 - ab_next) eps; beyond the
    last step ab_next is 0 and x_{t+1} is eps.

    Args:
        schedule: the chain.
        predicted: the model's step at (x_t, t).
        x_t: the images at t.
        t: int64 [n].

    Returns:
        x_{t+1}.
    """
    c = make_coefficients(schedule, x_t.device)
    pred_eps = predict_eps_from_xstart(schedule, x_t, t, predicted.pred_xstart)
    return (
        rows(c.sqrt_alpha_bar_next, t) * predicted.pred_xstart
        + rows(c.sqrt_one_minus_alpha_bar_next, t) * pred_eps
    )


@torch.no_grad()
def sample_ancestral(
    model: Model,
    schedule: Schedule,
    x_T: Tensor,
    *,
    noise_fn: NoiseFn,
    cond_fn: CondFn | None = None,
    model_kwargs: Mapping[str, Any] | None = None,
    prediction: str = "eps",
    variance: str = "learned_range",
    clip_denoised: bool = True,
    rescale_timesteps: bool = False,
    noise_temperature: float = 1.0,
    eps_temperature: float = 1.0,
    callback: Callback | None = None,
) -> Tensor:
    """Ancestral sampling from noise to images.

    Ho et al. 2020, Algorithm 2; guided, Dhariwal & Nichol 2021, Algorithm 1.

    Args:
        model: called as model(x_t, timesteps, **model_kwargs).
        schedule: the chain, shortened or not.
        x_T: standard normal starting noise [n, c, h, w], on the device of the model.
        noise_fn: noise_fn(step_index) -> standard normal like x_T; not called for the last step (t
            = 0).
        cond_fn: cond_fn(x_t, timesteps) -> scaled gradient (guidance.make_cond_fn), or None.
        model_kwargs: conditioning, for example y or low_res.
        prediction: see p_mean_variance.
        variance: see p_mean_variance.
        clip_denoised: clamp the predicted x_0 to [-1, 1] at every step.
        rescale_timesteps: see network_timesteps; cond_fn gets the same values as the model.
        noise_temperature: see the module's text.
        eps_temperature: see the module's text.
        callback: callback(step_index, x, pred_xstart) after every step; pred_xstart is before
            guidance.

    Returns:
        x_0 like x_T, nominally in [-1, 1], not clipped.

    Raises:
        ValueError: settings that do not fit the network or the schedule.
    """
    _check_chain(schedule, prediction == "eps")
    x = x_T
    for step_index, t, timesteps in _steps(schedule, x_T, rescale_timesteps):
        predicted = p_mean_variance(
            schedule,
            model(x, timesteps, **(model_kwargs or {})),
            x,
            t,
            prediction=prediction,
            variance=variance,
            clip_denoised=clip_denoised,
            eps_temperature=eps_temperature,
        )
        needs_noise = step_index < schedule.num_steps - 1 and noise_temperature != 0
        x = ancestral_step(
            predicted,
            t,
            noise=noise_fn(step_index) if needs_noise else None,
            gradient=cond_fn(x, timesteps) if cond_fn is not None else None,
            noise_temperature=noise_temperature,
        )
        if callback is not None:
            callback(step_index, x, predicted.pred_xstart)
    return x


@torch.no_grad()
def sample_ddim(
    model: Model,
    schedule: Schedule,
    x_T: Tensor,
    *,
    noise_fn: NoiseFn | None = None,
    eta: float = 0.0,
    cond_fn: CondFn | None = None,
    model_kwargs: Mapping[str, Any] | None = None,
    prediction: str = "eps",
    variance: str = "learned_range",
    clip_denoised: bool = True,
    rescale_timesteps: bool = False,
    noise_temperature: float = 1.0,
    eps_temperature: float = 1.0,
    callback: Callback | None = None,
) -> Tensor:
    """DDIM sampling from noise to images.

    Song et al. 2021; guided, Dhariwal & Nichol 2021, Algorithm 2.

    Args:
        model: called as model(x_t, timesteps, **model_kwargs).
        schedule: the chain, usually shortened ("ddim25").
        x_T: standard normal starting noise [n, c, h, w], on the device of the model.
        noise_fn: as in sample_ancestral; needed, and called, only when eta is not 0.
        eta: 0 (deterministic) to 1 (as much noise as ancestral sampling).
        cond_fn: see sample_ancestral.
        model_kwargs: see sample_ancestral.
        prediction: see p_mean_variance.
        variance: see p_mean_variance; tells how many channels the network has, its value is not
            used.
        clip_denoised: clamp the predicted x_0 to [-1, 1] at every step, before guidance.
        rescale_timesteps: see network_timesteps.
        noise_temperature: see the module's text.
        eps_temperature: see the module's text.
        callback: callback(step_index, x, pred_xstart) after every step; pred_xstart is after
            guidance.

    Returns:
        x_0 like x_T, not clipped.

    Raises:
        ValueError: eta outside [0, 1], or not 0 without a noise_fn; settings that do not fit
            network or schedule.
    """
    if not 0 <= eta <= 1:
        raise ValueError(
            f"eta is {eta}, but it must lie between 0 (deterministic) and 1 (ancestral variance)"
        )
    if eta != 0 and noise_fn is None:
        raise ValueError(f"eta is {eta}, so every step draws noise: give a noise_fn")
    _check_chain(schedule, prediction == "eps" or cond_fn is not None)
    x = x_T
    for step_index, t, timesteps in _steps(schedule, x_T, rescale_timesteps):
        predicted = p_mean_variance(
            schedule,
            model(x, timesteps, **(model_kwargs or {})),
            x,
            t,
            prediction=prediction,
            variance=variance,
            clip_denoised=clip_denoised,
            eps_temperature=eps_temperature,
        )
        needs_noise = eta != 0 and step_index < schedule.num_steps - 1 and noise_temperature != 0
        x, pred_xstart = ddim_step(
            schedule,
            predicted,
            x,
            t,
            eta=eta,
            noise=noise_fn(step_index) if needs_noise and noise_fn is not None else None,
            gradient=cond_fn(x, timesteps) if cond_fn is not None else None,
            noise_temperature=noise_temperature,
        )
        if callback is not None:
            callback(step_index, x, pred_xstart)
    return x


@torch.no_grad()
def invert_ddim(
    model: Model,
    schedule: Schedule,
    x_0: Tensor,
    *,
    model_kwargs: Mapping[str, Any] | None = None,
    prediction: str = "eps",
    variance: str = "learned_range",
    clip_denoised: bool = True,
    rescale_timesteps: bool = False,
    callback: Callback | None = None,
) -> Tensor:
    """Find the noise from which sample_ddim with eta 0 returns the given images.

    Song et al. 2021, section 4.3.

    The image is taken as the state at t = 0 and carried up to the last step of the chain, where
    sample_ddim begins. The way back meets it exactly only in the limit of many steps.

    Args:
        model: called as model(x_t, timesteps, **model_kwargs).
        schedule: the chain, the same that sample_ddim is given.
        x_0: images [n, c, h, w] in [-1, 1].
        model_kwargs: see sample_ancestral.
        prediction: see p_mean_variance.
        variance: see sample_ddim.
        clip_denoised: clamp the predicted x_0 to [-1, 1] at every step.
        rescale_timesteps: see network_timesteps.
        callback: callback(step_index, x, pred_xstart) after every step; step_index 0 is the least
            noisy step here.

    Returns:
        The latent x_T, like x_0.

    Raises:
        ValueError: settings that do not fit the network or the schedule.
    """
    _check_chain(schedule, prediction == "eps")
    x = x_0
    upwards = reversed(list(_steps(schedule, x_0, rescale_timesteps))[1:])
    for step_index, (_, t, timesteps) in enumerate(upwards):
        predicted = p_mean_variance(
            schedule,
            model(x, timesteps, **(model_kwargs or {})),
            x,
            t,
            prediction=prediction,
            variance=variance,
            clip_denoised=clip_denoised,
        )
        x = invert_ddim_step(schedule, predicted, x, t)
        if callback is not None:
            callback(step_index, x, predicted.pred_xstart)
    return x


def _steps(
    schedule: Schedule, x: Tensor, rescale_timesteps: bool
) -> Iterator[tuple[int, Tensor, Tensor]]:
    # Both tables of times are made before the loop, one row per step, so that no step copies from
    # the host.
    indices = torch.arange(schedule.num_steps - 1, -1, -1, device=x.device)
    times = network_timesteps(schedule, indices, rescale_timesteps=rescale_timesteps)
    num_images = len(x)
    index_rows = indices[:, None].repeat(1, num_images)
    time_rows = times[:, None].repeat(1, num_images)
    for step_index in range(schedule.num_steps):
        yield step_index, index_rows[step_index], time_rows[step_index]


def _check_chain(schedule: Schedule, derives_xstart_from_eps: bool) -> None:
    if derives_xstart_from_eps and schedule.alpha_bar[-1] == 0:
        raise ValueError(
            "the schedule ends at alpha_bar = 0 (as the linear one of 20 steps), where x_0 "
            "does not follow from eps; use more timesteps or the cosine schedule"
        )
