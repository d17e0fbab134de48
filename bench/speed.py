"""Measure training and sampling speed and peak memory, with ratios taken within this one run.

Run `python -m bench.speed`; it prints a table and, with --json, writes it. The two models are the
embedded scale's 256 model (8x8, grey) and a 32x32, 64-channel, class-conditional model. Variants of
one model are measured in turns, there and back, so that a busy neighbour slows all of them alike.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adm.networks.model import make_network
from adm.process.diffusion import training_losses
from adm.process.sampler import sample_ancestral
from bench.peak_memory import read_peak_memory_mb
from records.provenance import environment
from specs.architecture import UNetArchitecture
from specs.schedule import make_schedule
from workflow.settings import load_plan

NUM_ROUNDS = 5  # turns of each variant that count, after one to warm up
TURN_SECONDS = 0.5  # least length of a turn; a step that takes longer is a turn of its own
NUM_CALLS = 2  # network calls of the chain that is measured
SAMPLING_STEPS = 25  # the embedded scale's chain, for which images per second are given
VARIANTS: dict[str, dict[str, Any]] = {
    "eager fp32": {"dtype": torch.float32, "channels_last": False},
    "eager bf16": {"dtype": torch.bfloat16, "channels_last": False},
    "eager bf16, channels last": {"dtype": torch.bfloat16, "channels_last": True},
}


def has_amx() -> bool:
    """Tell whether this machine's CPU has AMX, which multiplies matrices of bf16."""
    flags = Path("/proc/cpuinfo")  # torch names AVX512 at the most
    return flags.exists() and "amx_bf16" in flags.read_text(encoding="utf-8").split()


def choose_variants(device: str) -> dict[str, dict[str, Any]]:
    """Return the variants worth measuring: channels last gains only on GPUs and CPUs with AMX."""
    has_tiles = not device.startswith("cpu") or has_amx()
    return {name: one for name, one in VARIANTS.items() if has_tiles or not one["channels_last"]}


def make_architectures() -> dict[str, tuple[UNetArchitecture, int]]:
    """Return the networks to measure and their batch sizes, by the name to print."""
    digits = load_plan({"scale": "digits"}).models["imagenet_256"].architecture
    assert isinstance(digits, UNetArchitecture)
    larger = digits.model_copy(
        update={
            "image_size_px": 32,
            "in_channels": 3,
            "out_channels": 6,
            "channels": 64,
            "num_groups": 32,
            "attention_resolutions": [16, 8],
        }
    )
    return {"digits 8×8, 32 channels": (digits, 64), "32×32, 64 channels": (larger, 16)}


def make_training(
    shape: UNetArchitecture, *, dtype: torch.dtype, channels_last: bool, batch: int, device: str
) -> Callable[[], None]:
    """Return a function that takes one training step."""
    torch.manual_seed(0)
    model = _place(make_network(shape).train(), channels_last, device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    schedule = make_schedule("linear", 1000)
    x_start = _images(shape, batch, channels_last, device)
    y = torch.arange(batch, device=device) % 10

    def step() -> None:
        t = torch.randint(1000, (batch,), device=device)
        with torch.autocast(device.split(":")[0], dtype, enabled=dtype != torch.float32):
            losses = training_losses(
                model, schedule, x_start, t, torch.randn_like(x_start), model_kwargs={"y": y}
            )
        optimiser.zero_grad(set_to_none=True)
        losses["loss"].mean().backward()
        optimiser.step()

    return step


def make_sampling(
    shape: UNetArchitecture, *, dtype: torch.dtype, channels_last: bool, batch: int, device: str
) -> Callable[[], None]:
    """Return a function that draws a batch with NUM_CALLS ancestral steps."""
    torch.manual_seed(0)
    model = _place(make_network(shape).eval().requires_grad_(False), channels_last, device)
    schedule = make_schedule("linear", 1000, str(NUM_CALLS))
    noise = _images(shape, batch, channels_last, device)
    y = torch.arange(batch, device=device) % 10

    def draw() -> None:
        with torch.autocast(device.split(":")[0], dtype, enabled=dtype != torch.float32):
            sample_ancestral(
                model, schedule, noise, noise_fn=lambda _: noise, model_kwargs={"y": y}
            )

    return draw


def _place(model: nn.Module, channels_last: bool, device: str) -> nn.Module:
    """Put a network where it is measured."""
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    return model.to(device).to(memory_format=memory_format)


def _images(shape: UNetArchitecture, batch: int, channels_last: bool, device: str) -> Tensor:
    """Make a batch of noise images."""
    size = shape.image_size_px
    images = torch.randn(batch, shape.in_channels, size, size, device=device)
    return images.contiguous(memory_format=torch.channels_last) if channels_last else images


def measure(work: dict[str, Callable[[], None]], device: str) -> dict[str, float]:
    """Return the median seconds of each kind of work, measured in turns after a warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for round_number in range(NUM_ROUNDS + 1):
        names = list(work) if round_number % 2 else list(reversed(work))
        for name in names:
            started, elapsed, num_steps = time.perf_counter(), 0.0, 0
            while elapsed < TURN_SECONDS:
                work[name]()
                if device.startswith("cuda"):
                    torch.cuda.synchronize()
                num_steps += 1
                elapsed = time.perf_counter() - started
            if round_number:
                seconds[name].append(elapsed / num_steps)
    return {name: statistics.median(values) for name, values in seconds.items()}


def measure_peak_memory_mb(make: Callable[[], Callable[[], None]], device: str) -> float:
    """Measure the peak memory of two steps.

    Args:
        make: makes the work, so that its networks are counted; on a CPU it is sent to another
            process, so a function of a module or a partial of one.
        device: on a GPU what torch allocates there is counted; on a CPU a whole process that does
            nothing else.

    Returns:
        Megabytes (2^20 bytes).
    """
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        step = make()
        step()
        step()
        return torch.cuda.max_memory_allocated() / 2**20
    # A fork would begin with what this process holds and could reuse what it has freed.
    fresh = multiprocessing.get_context("spawn")
    here, there = fresh.Pipe(duplex=False)
    process = fresh.Process(
        target=_report_peak_memory_mb, args=(make, torch.get_num_threads(), there)
    )
    process.start()
    there.close()
    peak = here.recv()
    process.join()
    return peak


def _report_peak_memory_mb(
    make: Callable[[], Callable[[], None]], threads: int, there: Connection
) -> None:
    """Send the peak memory of this process after two steps."""
    torch.set_num_threads(threads)
    step = make()
    step()
    step()
    there.send(read_peak_memory_mb())
    there.close()


def run(device: str, threads: int) -> list[dict[str, Any]]:
    """Measure everything on one device; return a row for each model and variant."""
    torch.set_num_threads(threads)
    variants, shapes = choose_variants(device), make_architectures()
    kinds = {"training": make_training, "sampling": make_sampling}

    def make(model: str, variant: str, kind: str) -> Callable[[], Callable[[], None]]:
        shape, batch = shapes[model]
        return partial(kinds[kind], shape, batch=batch, device=device, **variants[variant])

    memory_mb = {
        (model, variant, kind): measure_peak_memory_mb(make(model, variant, kind), device)
        for model in shapes
        for variant in variants
        for kind in kinds
    }
    rows = []
    for model, (_, batch) in shapes.items():
        drawn = batch * NUM_CALLS / SAMPLING_STEPS  # images' worth of steps in one call of the work
        training, sampling = (
            measure({variant: make(model, variant, kind)() for variant in variants}, device)
            for kind in kinds
        )
        rows += [
            {
                "model": model,
                "variant": variant,
                "training_images_per_second": batch / training[variant],
                "training_ratio": training["eager fp32"] / training[variant],
                "training_peak_memory_mb": memory_mb[model, variant, "training"],
                "sampling_images_per_second": drawn / sampling[variant],
                "sampling_ratio": sampling["eager fp32"] / sampling[variant],
                "sampling_peak_memory_mb": memory_mb[model, variant, "sampling"],
            }
            for variant in variants
        ]
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", help="write the figures here too")
    args = parser.parse_args()
    started = time.perf_counter()
    rows = run(args.device, args.threads)
    seconds = time.perf_counter() - started
    print(f"{'':49}{'training':>25}{f'sampling, {SAMPLING_STEPS} steps':>25}")
    print(f"{'model':24}{'variant':25}" + 2 * f"{'images/s':>10}{'ratio':>7}{'MB':>8}")
    for row in rows:
        print(
            f"{row['model']:24}{row['variant']:25}{row['training_images_per_second']:10.1f}"
            f"{row['training_ratio']:7.2f}{row['training_peak_memory_mb']:8.0f}"
            f"{row['sampling_images_per_second']:10.2f}{row['sampling_ratio']:7.2f}"
            f"{row['sampling_peak_memory_mb']:8.0f}"
        )
    capability = torch.backends.cpu.get_cpu_capability() + (" with AMX" if has_amx() else "")
    print(
        f"device {args.device}, {args.threads} threads of {os.cpu_count()} cores, CPU instructions "
        f"{capability}; measured in {seconds:.0f} s"
    )
    if args.json:
        about = {"device": args.device, "threads": args.threads, "cpu_capability": capability}
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"rows": rows, **about, **environment()}, file, indent=1)


if __name__ == "__main__":
    main()
