"""Per-step constants of a schedule as tensors, copied to a device once and looked up per image."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from specs.schedule import Schedule


class Coefficients(NamedTuple):
    """Tables of one schedule on one device, each [num_steps]: float64 values rounded to float32."""

    sqrt_alpha_bar: Tensor
    sqrt_alpha_bar_prev: Tensor
    sqrt_alpha_bar_next: Tensor
    one_minus_alpha_bar: Tensor
    log_one_minus_alpha_bar: Tensor
    sqrt_one_minus_alpha_bar: Tensor
    sqrt_one_minus_alpha_bar_next: Tensor
    one_minus_alpha_bar_prev: Tensor
    sqrt_recip_alpha_bar: Tensor
    sqrt_recip_alpha_bar_minus_one: Tensor
    posterior_variance: Tensor
    posterior_log_variance_clipped: Tensor
    posterior_mean_coef1: Tensor
    posterior_mean_coef2: Tensor
    log_betas: Tensor
    large_variance: Tensor
    large_log_variance: Tensor
    ddim_variance: Tensor
    timestep_map: Tensor


@lru_cache(maxsize=32)
def make_coefficients(schedule: Schedule, device: torch.device) -> Coefficients:
    """Tables of a schedule on a device.

    Kept per (schedule, device), so that loops and training copy them only once.

    Args:
        schedule: the chain.
        device: where the tables go.

    Returns:
        Float32 tables; timestep_map is int64. sqrt_recip_alpha_bar is infinite where alpha_bar is
        0.
    """
    alpha_bar, alpha_bar_prev = schedule.alpha_bar, schedule.alpha_bar_prev
    alpha_bar_next = schedule.alpha_bar_next
    large = (
        np.append(schedule.posterior_variance[1:2], schedule.betas[1:])
        if schedule.num_steps > 1
        else schedule.betas
    )
    with np.errstate(divide="ignore"):
        recip = 1 / alpha_bar
    tables = {
        "sqrt_alpha_bar": np.sqrt(alpha_bar),
        "sqrt_alpha_bar_prev": np.sqrt(alpha_bar_prev),
        "sqrt_alpha_bar_next": np.sqrt(alpha_bar_next),
        "one_minus_alpha_bar": 1 - alpha_bar,
        "log_one_minus_alpha_bar": np.log1p(-alpha_bar),
        "sqrt_one_minus_alpha_bar": np.sqrt(1 - alpha_bar),
        "sqrt_one_minus_alpha_bar_next": np.sqrt(1 - alpha_bar_next),
        "one_minus_alpha_bar_prev": 1 - alpha_bar_prev,
        "sqrt_recip_alpha_bar": np.sqrt(recip),
        "sqrt_recip_alpha_bar_minus_one": np.sqrt(recip - 1),
        "posterior_variance": schedule.posterior_variance,
        "posterior_log_variance_clipped": schedule.posterior_log_variance_clipped,
        "posterior_mean_coef1": schedule.posterior_mean_coef1,
        "posterior_mean_coef2": schedule.posterior_mean_coef2,
        "log_betas": np.log(schedule.betas),
        "large_variance": large,
        "large_log_variance": np.log(large),
        # sigma^2 of DDIM at eta = 1 (Song et al. 2021, equation 16): equal to the posterior
        # variance.
        "ddim_variance": (1 - alpha_bar_prev) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_prev),
    }
    # Training may follow sampling: tables born under inference mode could not enter its graph.
    with torch.inference_mode(False):
        tensors = {
            name: torch.tensor(values, dtype=torch.float32, device=device)
            for name, values in tables.items()
        }
        timestep_map = torch.tensor(schedule.timestep_map, dtype=torch.int64, device=device)
    return Coefficients(**tensors, timestep_map=timestep_map)


def rows(table: Tensor, t: Tensor) -> Tensor:
    """Entries of a per-step table for the images of a batch, [n, 1, 1, 1] to multiply them."""
    return table[t].view(-1, 1, 1, 1)
