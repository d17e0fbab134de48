"""The diffusion process on tensors: forward noising, the model's reverse step, training objectives.

Every function is pure. `t` is an int64 tensor [n] of indices into the schedule at hand (a shortened
one counts its own steps); networks are given schedule.timestep_map[t], the index in the full chain.
x_start and x_t are [n, c, h, w].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from adm.process.coefficients import make_coefficients, rows
from specs.schedule import Schedule

PREDICTIONS = ("eps", "x_start", "x_prev")
VARIANCES = ("learned_range", "learned", "fixed_small", "fixed_large")
OBJECTIVES = ("hybrid", "hybrid_rescaled", "simple", "vlb", "vlb_rescaled")
LEARNED_VARIANCES = ("learned_range", "learned")

Model = Callable[..., Tensor]


class Prediction(NamedTuple):
    """A model's reverse step p(x_{t-1} | x_t) and the x_0 behind it; all are [n, c, h, w]."""

    mean: Tensor
    variance: Tensor
    log_variance: Tensor
    pred_xstart: Tensor


def network_timesteps(schedule: Schedule, t: Tensor, *, rescale_timesteps: bool = False) -> Tensor:
    """What networks and classifiers receive as time: the index in the full chain.

    Args:
        schedule: the chain that t counts in.
        t: int64 [n].
        rescale_timesteps: give index * 1000 / T as float32 instead, so that chains of any length T
            span 0 to 1000.

    Returns:
        int64 [n], or float32 [n] when rescaled.
    """
    original = make_coefficients(schedule, t.device).timestep_map[t]
    return original.float() * (1000.0 / schedule.num_timesteps) if rescale_timesteps else original


def q_sample(schedule: Schedule, x_start: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """Noise images to step t.

    x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) eps (Ho et al. 2020, equation 4).

    Args:
        schedule: the chain.
        x_start: images in [-1, 1].
        t: int64 [n].
        eps: standard normal noise like x_start.

    Returns:
        x_t, like x_start.
    """
    c = make_coefficients(schedule, x_start.device)
    return rows(c.sqrt_alpha_bar, t) * x_start + rows(c.sqrt_one_minus_alpha_bar, t) * eps


def q_mean_variance(
    schedule: Schedule, x_start: Tensor, t: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, variance and log variance of q(x_t | x_0) (Ho et al. 2020, equation 4).

    Args:
        schedule: the chain.
        x_start: images in [-1, 1].
        t: int64 [n].

    Returns:
        Mean like x_start; variance and log variance [n, 1, 1, 1].
    """
    c = make_coefficients(schedule, x_start.device)
    return (
        rows(c.sqrt_alpha_bar, t) * x_start,
        rows(c.one_minus_alpha_bar, t),
        rows(c.log_one_minus_alpha_bar, t),
    )


def q_posterior(
    schedule: Schedule, x_start: Tensor, x_t: Tensor, t: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, variance and clipped log variance of q(x_{t-1} | x_t, x_0).

    Ho et al. 2020, equations 6 and 7.

    Args:
        schedule: the chain.
        x_start: images.
        x_t: noised images.
        t: int64 [n].

    Returns:
        Mean like x_start; variance (0 at t = 0) and log variance (that of t = 1 there) [n, 1, 1,
        1].
    """
    c = make_coefficients(schedule, x_start.device)
    mean = rows(c.posterior_mean_coef1, t) * x_start + rows(c.posterior_mean_coef2, t) * x_t
    return mean, rows(c.posterior_variance, t), rows(c.posterior_log_variance_clipped, t)


def predict_xstart_from_eps(schedule: Schedule, x_t: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """Solve q_sample for x_0, given x_t and eps. All like x_t."""
    c = make_coefficients(schedule, x_t.device)
    return rows(c.sqrt_recip_alpha_bar, t) * x_t - rows(c.sqrt_recip_alpha_bar_minus_one, t) * eps


def predict_eps_from_xstart(schedule: Schedule, x_t: Tensor, t: Tensor, x_start: Tensor) -> Tensor:
    """Solve q_sample for eps, given x_t and x_0. All like x_t."""
    c = make_coefficients(schedule, x_t.device)
    return (x_t - rows(c.sqrt_alpha_bar, t) * x_start) / rows(c.sqrt_one_minus_alpha_bar, t)


def p_mean_variance(
    schedule: Schedule,
    model_output: Tensor,
    x_t: Tensor,
    t: Tensor,
    *,
    prediction: str = "eps",
    variance: str = "learned_range",
    clip_denoised: bool = True,
    eps_temperature: float = 1.0,
) -> Prediction:
    """Read a network's output as the reverse step p(x_{t-1} | x_t).

    learned_range: log variance = f log(beta) + (1 - f) log(posterior variance), f = (v + 1) / 2,
    not clipped (Nichol & Dhariwal 2021, equation 15). learned: v is the log variance. fixed_small,
    fixed_large: posterior variance, beta.

    Args:
        schedule: the chain.
        model_output: [n, c, h, w], or [n, 2c, h, w] with v in the last c channels for the learned
            variances.
        x_t: noised images [n, c, h, w].
        t: int64 [n].
        prediction: what the first c channels are: "eps", "x_start", or "x_prev" (the mean of
            x_{t-1}).
        variance: one of VARIANCES.
        clip_denoised: clamp the predicted x_0 to [-1, 1] before the mean is formed ("x_prev" keeps
            its mean).
        eps_temperature: tau; the predicted eps is divided by it first (see
            adm.process.sampler). Only for "eps".

    Returns:
        Mean, variance, log variance and predicted x_0, all like x_t and in its dtype.

    Raises:
        ValueError: unknown names, wrong number of channels, or a temperature without an eps
            prediction.
    """
    _check_choice("prediction", prediction, PREDICTIONS)
    _check_choice("variance", variance, VARIANCES)
    num_channels = x_t.shape[1]
    expected = num_channels * (2 if variance in LEARNED_VARIANCES else 1)
    if model_output.shape[1] != expected:
        raise ValueError(
            f"the network returned {model_output.shape[1]} channels for images of {num_channels}, "
            f"but variance {variance!r} needs {expected}; "
            f"set out_channels (learn_sigma) and variance to agree"
        )
    if eps_temperature != 1.0 and (prediction != "eps" or eps_temperature <= 0):
        raise ValueError(
            f"eps_temperature is {eps_temperature} with prediction {prediction!r}, but it must be "
            f"positive, and other than 1 only for networks that predict eps"
        )
    # Half-precision networks: everything from here on is in the precision of the images.
    output = model_output.to(x_t.dtype)
    c = make_coefficients(schedule, x_t.device)
    center = output[:, :num_channels]

    if variance == "learned_range":
        share = (output[:, num_channels:] + 1) / 2
        log_variance = share * rows(c.log_betas, t) + (1 - share) * rows(
            c.posterior_log_variance_clipped, t
        )
        step_variance = log_variance.exp()
    elif variance == "learned":
        log_variance = output[:, num_channels:]
        step_variance = log_variance.exp()
    elif variance == "fixed_small":
        log_variance = rows(c.posterior_log_variance_clipped, t).expand_as(x_t)
        step_variance = rows(c.posterior_variance, t).expand_as(x_t)
    else:
        log_variance = rows(c.large_log_variance, t).expand_as(x_t)
        step_variance = rows(c.large_variance, t).expand_as(x_t)

    if prediction == "eps":
        pred_eps = center if eps_temperature == 1.0 else center / eps_temperature
        pred_xstart = predict_xstart_from_eps(schedule, x_t, t, pred_eps)
    elif prediction == "x_start":
        pred_xstart = center
    else:
        pred_xstart = (center - rows(c.posterior_mean_coef2, t) * x_t) / rows(
            c.posterior_mean_coef1, t
        )
    if clip_denoised:
        pred_xstart = pred_xstart.clamp(-1, 1)
    mean = center if prediction == "x_prev" else q_posterior(schedule, pred_xstart, x_t, t)[0]
    return Prediction(mean, step_variance, log_variance, pred_xstart)


def compute_vb(
    schedule: Schedule, x_start: Tensor, x_t: Tensor, t: Tensor, predicted: Prediction
) -> Tensor:
    """One term of the variational bound, in bits per dimension (Ho et al. 2020, equation 5).

    t > 0: KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)). t = 0: -log p(x_0 | x_1) of 8-bit images.

    Args:
        schedule: the chain.
        x_start: images in [-1, 1], from uint8 / 127.5 - 1.
        x_t: noised images.
        t: int64 [n].
        predicted: the model's step at (x_t, t).

    Returns:
        [n], the mean over channels and pixels.
    """
    true_mean, _, true_log_variance = q_posterior(schedule, x_start, x_t, t)
    kl = _gaussian_kl(true_mean, true_log_variance, predicted.mean, predicted.log_variance)
    decoder = -_log_likelihood_8bit(x_start, predicted.mean, 0.5 * predicted.log_variance)
    return torch.where(t == 0, _mean_per_image(decoder), _mean_per_image(kl)) / math.log(2.0)


def training_losses(
    model: Model,
    schedule: Schedule,
    x_start: Tensor,
    t: Tensor,
    eps: Tensor,
    *,
    objective: str = "hybrid",
    prediction: str = "eps",
    variance: str = "learned_range",
    model_kwargs: Mapping[str, Any] | None = None,
    rescale_timesteps: bool = False,
) -> dict[str, Tensor]:
    """Losses of one batch, per image.

    simple: mean squared error of the prediction (Ho et al. 2020, equation 14). hybrid: that plus
    one term of the bound, vb, in bits per dimension and without the factor T (Nichol & Dhariwal
    2021, equation 16); the gradient of vb reaches only the variance channels. hybrid_rescaled: vb
    times num_steps / 1000. vlb: vb alone, with its full gradient; vlb_rescaled: times num_steps, an
    estimate of the whole bound. Nothing is clipped to [-1, 1].

    Args:
        model: called as model(x_t, timesteps, **model_kwargs).
        schedule: the chain that t counts in.
        x_start: images in [-1, 1].
        t: int64 [n].
        eps: standard normal noise like x_start.
        objective: one of OBJECTIVES. hybrid* need a learned variance, simple a fixed one.
        prediction: see p_mean_variance.
        variance: see p_mean_variance.
        model_kwargs: conditioning, for example y or low_res.
        rescale_timesteps: see network_timesteps.

    Returns:
        "loss" [n], and "mse" and "vb" [n] where the objective has them.

    Raises:
        ValueError: unknown names, or an objective that does not fit the variance.
    """
    _check_choice("objective", objective, OBJECTIVES)
    _check_choice("prediction", prediction, PREDICTIONS)
    _check_choice("variance", variance, VARIANCES)
    learned = variance in LEARNED_VARIANCES
    if objective.startswith("hybrid") and not learned:
        raise ValueError(
            f"objective {objective!r} trains a variance, but variance is {variance!r}; "
            f"use a learned variance or the objective 'simple'"
        )
    if objective == "simple" and learned:
        raise ValueError(
            f"objective 'simple' would leave the variance {variance!r} untrained; "
            f"use the objective 'hybrid' or a fixed variance"
        )
    x_t = q_sample(schedule, x_start, t, eps)
    timesteps = network_timesteps(schedule, t, rescale_timesteps=rescale_timesteps)
    output = model(x_t, timesteps, **(model_kwargs or {})).to(x_t.dtype)

    def vb_of(model_output: Tensor) -> Tensor:
        predicted = p_mean_variance(
            schedule,
            model_output,
            x_t,
            t,
            prediction=prediction,
            variance=variance,
            clip_denoised=False,
        )
        return compute_vb(schedule, x_start, x_t, t, predicted)

    if objective in ("vlb", "vlb_rescaled"):
        vb = vb_of(output)
        return {"loss": vb * schedule.num_steps if objective == "vlb_rescaled" else vb, "vb": vb}

    num_channels = x_start.shape[1]
    if prediction == "eps":
        target = eps
    elif prediction == "x_start":
        target = x_start
    else:
        target = q_posterior(schedule, x_start, x_t, t)[0]
    center = output[:, :num_channels]
    mse = _mean_per_image((target - center) ** 2)
    if objective == "simple":
        return {"loss": mse, "mse": mse}
    vb = vb_of(torch.cat([center.detach(), output[:, num_channels:]], dim=1))
    if objective == "hybrid_rescaled":
        vb = vb * (schedule.num_steps / 1000.0)
    return {"loss": mse + vb, "mse": mse, "vb": vb}


def to_uint8(x: Tensor) -> Tensor:
    """Images as they are stored: (x + 1) * 127.5, clamped to [0, 255] and truncated, not rounded.

    Args:
        x: [n, c, h, w], nominally in [-1, 1].

    Returns:
        uint8 [n, h, w, c], contiguous.
    """
    return ((x + 1) * 127.5).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def from_uint8(images: Tensor) -> Tensor:
    """Stored images as the networks see them: x / 127.5 - 1.

    Args:
        images: uint8 [n, h, w, c].

    Returns:
        float32 [n, c, h, w] in [-1, 1], contiguous.
    """
    return images.permute(0, 3, 1, 2).to(torch.float32).contiguous() / 127.5 - 1


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}, but it must be one of {', '.join(choices)}")


def _mean_per_image(values: Tensor) -> Tensor:
    return values.flatten(1).mean(dim=1)


def _gaussian_kl(
    mean1: Tensor, log_variance1: Tensor, mean2: Tensor, log_variance2: Tensor
) -> Tensor:
    ratio = log_variance1 - log_variance2
    return 0.5 * (-1.0 - ratio + ratio.exp() + (mean1 - mean2) ** 2 * (-log_variance2).exp())


def _approximate_normal_cdf(x: Tensor) -> Tensor:
    # The same tanh approximation as the published likelihoods; the exact erf would shift them.
    return 0.5 * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def _log_likelihood_8bit(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    # A grey level is a bin of half-width 1/255; the two end bins reach to infinity (Ho et al. 2020,
    # equation 13).
    centered = x - mean
    inverse_scale = (-log_scale).exp()
    upper = _approximate_normal_cdf(inverse_scale * (centered + 1.0 / 255.0))
    lower = _approximate_normal_cdf(inverse_scale * (centered - 1.0 / 255.0))
    mass = torch.where(x < -0.999, upper, torch.where(x > 0.999, 1.0 - lower, upper - lower))
    return mass.clamp(min=1e-12).log()
