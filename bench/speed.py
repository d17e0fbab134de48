"""Measure training and sampling speed and peak memory, with ratios taken within this one run.

Run `python bench/speed.py`; it prints a table and, with --json, writes it. The two models are the
embedded scale's 256 model (8x8, grey) and a 32x32, 64-channel, class-conditional model. Variants of
one model are measured in turns, so that a busy neighbour slows all of them alike.
"""

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from adm.diffusion import training_losses
from adm.model import make_model
from adm.sampler import sample_ancestral
from adm.schedule import make_schedule
from records.provenance import environment
from workflow.settings import load_plan

ROUNDS = 5


def make_specs() -> dict[str, dict[str, Any]]:
    """Return the model specs to measure, by the name they are printed under."""
    digits = load_plan({"scale": "digits"}).models["imagenet_256"]
    larger = {
        **digits,
        "architecture": {
            **digits["architecture"],
            "image_size_px": 32,
            "in_channels": 3,
            "out_channels": 6,
            "channels": 64,
            "num_groups": 32,
            "attention_resolutions": [16, 8],
        },
    }
    return {"digits 8x8, 32 channels": digits, "32x32, 64 channels": larger}


def make_training(
    spec: dict[str, Any], *, dtype: torch.dtype, channels_last: bool, batch: int, device: str
) -> Callable[[], None]:
    """Return a function that takes one training step."""
    architecture = spec["architecture"]
    torch.manual_seed(0)
    model = _place(make_model(spec).train(), channels_last, device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    schedule = make_schedule("linear", 1000)
    x_start = _images(architecture, batch, channels_last, device)
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
    spec: dict[str, Any], *, dtype: torch.dtype, channels_last: bool, batch: int, device: str
) -> Callable[[], None]:
    """Return a function that draws a batch with 5 ancestral steps."""
    torch.manual_seed(0)
    model = _place(make_model(spec).eval().requires_grad_(False), channels_last, device)
    schedule = make_schedule("linear", 1000, "5")
    noise = _images(spec["architecture"], batch, channels_last, device)
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


def _images(architecture: dict[str, Any], batch: int, channels_last: bool, device: str) -> Tensor:
    """Make a batch of noise images."""
    size = architecture["image_size_px"]
    images = torch.randn(batch, architecture["in_channels"], size, size, device=device)
    return images.contiguous(memory_format=torch.channels_last) if channels_last else images


def measure(work: dict[str, Callable[[], None]], device: str, steps: int) -> dict[str, float]:
    """Return the median seconds of each kind of work, measured in turns after a warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for round_number in range(ROUNDS + 1):
        for name, step in work.items():
            started = time.perf_counter()
            for _ in range(steps):
                step()
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            if round_number:
                seconds[name].append((time.perf_counter() - started) / steps)
    return {name: statistics.median(values) for name, values in seconds.items()}


def run(device: str, threads: int) -> list[dict[str, Any]]:
    """Measure everything on one device; return a row for each model and variant."""
    torch.set_num_threads(threads)
    variants = {
        "eager fp32": {"dtype": torch.float32, "channels_last": False},
        "eager fp32, channels last": {"dtype": torch.float32, "channels_last": True},
        "eager bf16": {"dtype": torch.bfloat16, "channels_last": False},
        "eager bf16, channels last": {"dtype": torch.bfloat16, "channels_last": True},
    }
    rows = []
    for model_name, spec in make_specs().items():
        batch = 64 if spec["architecture"]["image_size_px"] == 8 else 32
        steps = 4 if batch == 64 else 1
        options = {"batch": batch, "device": device}
        training = measure(
            {name: make_training(spec, **variant, **options) for name, variant in variants.items()},
            device,
            steps,
        )
        sampling = measure(
            {name: make_sampling(spec, **variant, **options) for name, variant in variants.items()},
            device,
            1,
        )
        for name in variants:
            rows.append(
                {
                    "model": model_name,
                    "variant": name,
                    "training_images_per_second": batch / training[name],
                    "training_ratio": training["eager fp32"] / training[name],
                    "network_calls_per_second": 5 * batch / sampling[name],
                    "sampling_ratio": sampling["eager fp32"] / sampling[name],
                }
            )
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", help="write the figures here too")
    args = parser.parse_args()
    rows = run(args.device, args.threads)
    head = f"{'train img/s':>12}{'ratio':>7}{'image-steps/s':>15}{'ratio':>7}"
    print(f"{'model':26}{'variant':28}{head}")
    for row in rows:
        print(
            f"{row['model']:26}{row['variant']:28}{row['training_images_per_second']:12.1f}"
            f"{row['training_ratio']:7.2f}{row['network_calls_per_second']:15.1f}"
            f"{row['sampling_ratio']:7.2f}"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"device {args.device}, {args.threads} threads, peak memory {peak:.0f} MB")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"rows": rows, "peak_memory_mb": peak, **environment()}, file, indent=1)


if __name__ == "__main__":
    main()
