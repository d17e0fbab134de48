"""Noise schedules and their shortened forms, in float64 numpy (no torch)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SCHEDULES = ("linear", "cosine")
MAX_TIMESTEPS = 1_000_000  # a thousand times the paper's chain; every step takes memory

# Endpoints of the linear schedule for 1000 steps (Ho et al. 2020); they scale with 1000 / T.
LINEAR_FIRST_BETA = 1e-4
LINEAR_LAST_BETA = 0.02
COSINE_OFFSET = 0.008
COSINE_MAX_BETA = 0.999


@dataclass(frozen=True, eq=False)
class Schedule:
    """Per-step constants of one diffusion chain, possibly a shortened one.

    Index t runs from 0 (least noise) to num_steps - 1. All arrays have length num_steps and are
    read-only float64, except timestep_map. Two schedules compare by identity, so that one can be a
    cache key.

    Attributes:
        betas: variance of one forward step, in (0, 1].
        alpha_bar: product of (1 - beta) up to and including t.
        alpha_bar_prev: the same at t - 1, with 1 at t = 0.
        alpha_bar_next: the same at t + 1, with 0 at the last step.
        posterior_variance: variance of q(x_{t-1} | x_t, x_0), 0 at t = 0.
        posterior_log_variance_clipped: its logarithm, with the t = 1 value at t = 0 as well.
        posterior_mean_coef1: factor of x_0 in the posterior mean.
        posterior_mean_coef2: factor of x_t in the posterior mean.
        timestep_map: int64, index in the full chain that each step stands for; networks are given
            these.
        num_timesteps: length T of the full chain.
    """

    betas: np.ndarray
    alpha_bar: np.ndarray
    alpha_bar_prev: np.ndarray
    alpha_bar_next: np.ndarray
    posterior_variance: np.ndarray
    posterior_log_variance_clipped: np.ndarray
    posterior_mean_coef1: np.ndarray
    posterior_mean_coef2: np.ndarray
    timestep_map: np.ndarray
    num_timesteps: int

    @property
    def num_steps(self) -> int:
        """Number of steps of this chain; equal to num_timesteps unless it was shortened."""
        return len(self.betas)


def make_betas(schedule: str, num_timesteps: int) -> np.ndarray:
    """Variances of the forward steps.

    linear: evenly spaced from 1e-4 * 1000/T to 0.02 * 1000/T (Ho et al. 2020, scaled to T as in
    Nichol & Dhariwal 2021). cosine: min(1 - f((t+1)/T) / f(t/T), 0.999), f(s) = cos^2((s + 0.008) /
    1.008 * pi/2) (Nichol & Dhariwal 2021, equation 17).

    Args:
        schedule: "linear" or "cosine".
        num_timesteps: length T of the chain, at least 1 (linear: at least 20, or the last beta
            exceeds 1).

    Returns:
        float64 [T].

    Raises:
        ValueError: unknown schedule, or T too small for it.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule is {schedule!r}, but it must be one of {', '.join(SCHEDULES)}")
    if num_timesteps < 1:
        raise ValueError(f"num_timesteps is {num_timesteps}, but a chain needs at least 1 step")
    if schedule == "linear":
        scale = 1000 / num_timesteps
        if LINEAR_LAST_BETA * scale > 1:
            raise ValueError(
                f"num_timesteps is {num_timesteps}, but the linear schedule needs at least 20: "
                f"below that its last beta, {LINEAR_LAST_BETA} * 1000 / T, exceeds 1; "
                f"use more timesteps or the cosine schedule"
            )
        return np.linspace(
            LINEAR_FIRST_BETA * scale, LINEAR_LAST_BETA * scale, num_timesteps, dtype=np.float64
        )
    edges = np.arange(num_timesteps + 1, dtype=np.float64) / num_timesteps
    signal = np.cos((edges + COSINE_OFFSET) / (1 + COSINE_OFFSET) * np.pi / 2) ** 2
    return np.minimum(1 - signal[1:] / signal[:-1], COSINE_MAX_BETA)


def space_timesteps(num_timesteps: int, respacing: str | int) -> list[int]:
    """Choose which timesteps of a full chain a shortened one keeps.

    "N" spreads N steps evenly over the chain, first and last included. "a,b,c" cuts the chain into
    equal sections (the first ones longer by one if needed) and spreads a, b, c steps over them.
    "ddimN" takes every k-th step from 0 with the first k that leaves exactly N (Song et al. 2021),
    so it does not reach the last step.

    Args:
        num_timesteps: length T of the full chain.
        respacing: the request.

    Returns:
        Sorted indices into the full chain.

    Raises:
        ValueError: the request cannot be read or met; the message says what comes nearest.
    """
    request = str(respacing).strip()
    if request.startswith("ddim"):
        return _stride_timesteps(num_timesteps, request)
    try:
        counts = [int(part) for part in request.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 0 or sum(counts) == 0:
        raise ValueError(
            f'respacing is {request!r}, but it must be a count ("250"), counts per section '
            f'("90,60,60,20,20") or "ddim" and a count ("ddim25")'
        )
    size, longer = divmod(num_timesteps, len(counts))
    timesteps: list[int] = []
    start = 0
    for index, count in enumerate(counts):
        section_size = size + (index < longer)
        if count > section_size:
            raise ValueError(
                f"respacing {request!r} asks for {count} of the {section_size} timesteps in "
                f"section {index + 1} of {len(counts)} (chain of {num_timesteps}); "
                f"the nearest possible count is {section_size}"
            )
        stride = (section_size - 1) / (count - 1) if count > 1 else 1.0
        # The stride is summed, not multiplied: which neighbour a half-way case rounds to depends on
        # it.
        position = 0.0
        for _ in range(count):
            timesteps.append(start + round(position))
            position += stride
        start += section_size
    return timesteps


def _stride_timesteps(num_timesteps: int, request: str) -> list[int]:
    digits = request.removeprefix("ddim")
    if not digits.isdecimal():
        raise ValueError(
            f'respacing is {request!r}, but after "ddim" it needs a count, as in "ddim25"'
        )
    wanted = int(digits)
    possible: dict[int, int] = {}
    for stride in range(1, num_timesteps):
        possible.setdefault(len(range(0, num_timesteps, stride)), stride)
    if wanted in possible:
        return list(range(0, num_timesteps, possible[wanted]))
    below = [count for count in possible if count < wanted]
    above = [count for count in possible if count > wanted]
    nearest = ([max(below)] if below else []) + ([min(above)] if above else [])
    named = " or ".join(f"ddim{count}" for count in nearest) or f'none (use "{num_timesteps}")'
    raise ValueError(
        f"respacing {request!r}: no integer stride takes exactly {wanted} of {num_timesteps} "
        f"timesteps; the nearest possible: {named}"
    )


def make_schedule(
    schedule: str, num_timesteps: int, respacing: str | int | None = None
) -> Schedule:
    """All constants of a chain, shortened if asked for.

    A shortened chain keeps alpha_bar at its timesteps s_i and has beta_i = 1 - alpha_bar(s_i) /
    alpha_bar(s_{i-1}) (Nichol & Dhariwal 2021, equation 19).

    Args:
        schedule: "linear" or "cosine".
        num_timesteps: length T of the full chain.
        respacing: see space_timesteps; None keeps the full chain.

    Returns:
        The chain's constants.

    Raises:
        ValueError: from make_betas or space_timesteps.
    """
    betas = make_betas(schedule, num_timesteps)
    kept = range(num_timesteps) if respacing is None else space_timesteps(num_timesteps, respacing)
    timestep_map = np.array(kept, dtype=np.int64)
    # A chain that keeps every step keeps its betas bit for bit; dividing alpha_bar again would
    # round them.
    if len(timestep_map) < num_timesteps:
        kept_alpha_bar = np.cumprod(1 - betas)[timestep_map]
        betas = 1 - kept_alpha_bar / np.append(1.0, kept_alpha_bar[:-1])
    alpha_bar = np.cumprod(1 - betas)
    alpha_bar_prev = np.append(1.0, alpha_bar[:-1])
    posterior_variance = betas * (1 - alpha_bar_prev) / (1 - alpha_bar)
    # At t = 0 the posterior is a point. A chain of one step has no t = 1 to borrow from and takes
    # beta.
    stand_in = posterior_variance[1:2] if len(betas) > 1 else betas
    arrays = {
        "betas": betas,
        "alpha_bar": alpha_bar,
        "alpha_bar_prev": alpha_bar_prev,
        "alpha_bar_next": np.append(alpha_bar[1:], 0.0),
        "posterior_variance": posterior_variance,
        "posterior_log_variance_clipped": np.log(np.append(stand_in, posterior_variance[1:])),
        "posterior_mean_coef1": betas * np.sqrt(alpha_bar_prev) / (1 - alpha_bar),
        "posterior_mean_coef2": (1 - alpha_bar_prev) * np.sqrt(1 - betas) / (1 - alpha_bar),
        "timestep_map": timestep_map,
    }
    for array in arrays.values():
        array.setflags(write=False)
    return Schedule(**arrays, num_timesteps=num_timesteps)
