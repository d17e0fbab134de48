"""What a named model makes of given images: bits per dimension, and the noise they came from."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from adm.process.diffusion import from_uint8, to_uint8
from adm.process.likelihood import compute_bpd
from adm.process.sampler import invert_ddim, sample_ddim
from adm.process.seeds import make_generator
from adm.published.load import load
from adm.published.modules import ADM, ADM_U
from adm.sampling.accuracy import choose_images
from adm.training.batches import open_dataset
from adm.training.losses import choose_variance, make_low_res
from adm.training.precision import use_exact_float32
from records.errors import UserError
from records.manifest import hash_inputs, make_manifest
from specs.schedule import Schedule, make_schedule


@dataclass(frozen=True)
class Reading:
    """A model, its chain, and the images that it reads.

    Attributes:
        model: in eval mode.
        schedule: the chain, shortened or not.
        indices: numbers of the images in their set, int64 [n].
        manifest: how they are read.
        batches: the same, cut into batches.
        variance: see `p_mean_variance`.
        dataset: the set.
        device: where the model is.
    """

    model: ADM | ADM_U
    schedule: Schedule
    indices: np.ndarray
    manifest: dict[str, Any]
    batches: list[np.ndarray]
    variance: str
    dataset: Any
    device: str

    def iterate(self) -> Iterator[tuple[np.ndarray, Tensor, dict[str, Tensor]]]:
        """Load numbers, images in [-1, 1] and keywords for the model, a batch at a time."""
        shape = self.model.architecture
        for chosen in tqdm(self.batches, desc=self.model.spec.name, unit=" batches"):
            pixels = torch.from_numpy(self.dataset.load(chosen)[..., : shape.in_channels])
            x_start = from_uint8(pixels).to(self.device)
            keywords: dict[str, Tensor] = {}
            if shape.num_classes is not None:
                keywords["y"] = torch.from_numpy(self.dataset.labels[chosen]).to(self.device)
            if shape.low_res_px is not None:
                keywords["low_res"] = make_low_res(x_start, shape.low_res_px)
            yield chosen, x_start, keywords


def open_reading(
    kind: str,
    name: str,
    data_path: str | Path,
    *,
    num_images: int,
    respacing: str | None,
    seed: int,
    batch_size: int,
    device: str,
    weights: str = "ema",
    **lists: Any,
) -> Reading:
    """Load a model and choose the images that it reads.

    Args:
        kind: what is made, for the manifest.
        name: published name, or a weights file.
        data_path: image set of the model's size, channels and classes.
        num_images: how many; of a larger set a seeded choice.
        respacing: steps; None: those that the model is drawn with.
        seed: of the choice, and of the noise.
        batch_size: images at a time.
        device: a torch device.
        weights, lists: see `adm.published.load.load`.

    Raises:
        UserError: a classifier or a pair in place of a model, or images that do not fit it.
    """
    use_exact_float32()
    model = load(name, device=device, weights=weights, **lists)
    if not isinstance(model, ADM | ADM_U):
        raise UserError(f"{name}: not one diffusion model or upsampler; name one")
    process, steps = model.spec.training, respacing or model.respacing
    try:
        schedule = make_schedule(process.schedule, process.num_timesteps, steps)
    except ValueError as error:
        raise UserError(f"--respacing {steps}: {error}") from None
    dataset = open_dataset(model.spec, data_path)
    indices = choose_images(len(dataset), max_images=num_images, seed=seed)
    manifest = make_manifest(
        kind=kind,
        name=str(name),
        digest=model.spec.digest,
        inputs=hash_inputs(weights=model.weights_path, data=data_path),
        seeds={"evaluation": seed},
        model=model.spec.name,
        weights=weights,
        respacing=steps,
        num_images=len(indices),
        precision="float32",
    )
    batches = [indices[i : i + batch_size] for i in range(0, len(indices), batch_size)]
    variance = choose_variance(process.objective)
    return Reading(model, schedule, indices, manifest, batches, variance, dataset, device)


def measure_bpd(reading: Reading, *, seed: int) -> dict[str, np.ndarray]:
    """Bound -log2 p(x_0) of each image, in bits per dimension (`adm.process.likelihood`).

    Args:
        reading: model and images.
        seed: with an image's number it decides the noise.

    Returns:
        float64 [n] each: `total`, and of it `prior`; the rest are the terms of the steps.
    """
    found: dict[str, list[np.ndarray]] = {"total": [], "prior": []}
    for chosen, x_start, keywords in reading.iterate():
        generators = [make_generator("nll", seed, int(index)) for index in chosen]
        size = x_start.shape[1:]

        def draw_noise(_: int, generators: Any = generators, size: Any = size) -> Tensor:
            noise = [torch.randn(size, generator=one) for one in generators]
            return torch.stack(noise).to(reading.device)

        terms = compute_bpd(
            reading.model,
            reading.schedule,
            x_start,
            noise_fn=draw_noise,
            model_kwargs=keywords,
            variance=reading.variance,
        )
        for key, values in found.items():
            values.append(terms[f"{key}_bpd"].double().cpu().numpy())
    return {key: np.concatenate(values) for key, values in found.items()}


def interpolate_images(reading: Reading, num_steps: int) -> dict[str, np.ndarray]:
    """Draw what lies between two images: between the latents from which DDIM draws both.

    Latents are joined by arcs, as the noise that they stand for lies near a sphere (Song et al.
    2021, appendix D.5): z(a) = sin((1 - a) w) / sin(w) z_0 + sin(a w) / sin(w) z_1 with the angle w
    between z_0 and z_1.

    Args:
        reading: an unconditional model, and images of which each two make a pair.
        num_steps: latents on the way, both ends among them.

    Returns:
        `strips` uint8 [num_steps, pairs, h, w, c]; `images` uint8 [2, pairs, h, w, c], both ends as
        they came; `fractions` float64 [num_steps]; `indices` int64 [2, pairs].

    Raises:
        UserError: an odd number of images, fewer than two steps, or a model that takes labels or
            small images.
    """
    shape, num_images = reading.model.architecture, len(reading.indices)
    if shape.num_classes is not None or shape.low_res_px is not None:
        raise UserError(
            f"{reading.model.spec.name}: draws with labels or small images, and what lies between "
            "two of those is not defined; interpolate with an unconditional model"
        )
    if num_images % 2 or num_steps < 2:
        raise UserError(
            f"interpolate: got {num_images} images and {num_steps} steps; needed: pairs of images, "
            "and 2 steps or more"
        )
    found = invert_images(reading)
    pairs = {name: one.reshape(-1, 2, *one.shape[1:]).swapaxes(0, 1) for name, one in found.items()}
    fractions = np.linspace(0, 1, num_steps)
    start, end = map(torch.from_numpy, pairs["latents"])
    strips = []
    for fraction in fractions:
        latents = join_by_arc(start, end, float(fraction)).to(reading.device)
        drawn = sample_ddim(reading.model, reading.schedule, latents, variance=reading.variance)
        strips.append(to_uint8(drawn.cpu()).numpy())
    return {
        "strips": np.stack(strips),
        "images": pairs["images"],
        "fractions": fractions,
        "indices": pairs["indices"],
    }


def join_by_arc(start: Tensor, end: Tensor, fraction: float) -> Tensor:
    """Return the latents at a fraction of the arcs between others, each [n, c, h, w]."""
    first, last = (one.flatten(1).double() for one in (start, end))
    cosine = torch.nn.functional.cosine_similarity(first, last).clamp(-1, 1)
    angle = cosine.arccos().view(-1, *[1] * (start.dim() - 1))
    weights = [torch.sin((1 - fraction) * angle), torch.sin(fraction * angle)]
    straight = angle.sin() < 1e-6  # equal latents, or opposite ones
    ends = [1 - fraction, fraction]
    parts = [
        torch.where(straight, torch.full_like(angle, share), weight / angle.sin()) * one
        for share, weight, one in zip(ends, weights, (start, end), strict=True)
    ]
    return (parts[0] + parts[1]).to(start.dtype)


def invert_images(reading: Reading) -> dict[str, np.ndarray]:
    """Find the noise from which DDIM draws each image, and draw it again from there.

    Args:
        reading: model and images.

    Returns:
        `latents` float32 [n, c, h, w]; `images` and `reconstructions` uint8 [n, h, w, c];
        `indices`, numbers of the images in their set.
    """
    found: dict[str, list[np.ndarray]] = {"latents": [], "images": [], "reconstructions": []}
    variance = reading.variance
    for _, x_start, keywords in reading.iterate():
        chain = (reading.model, reading.schedule)
        latents = invert_ddim(*chain, x_start, model_kwargs=keywords, variance=variance)
        again = sample_ddim(*chain, latents, model_kwargs=keywords, variance=variance)
        found["latents"].append(latents.cpu().numpy())
        found["images"].append(to_uint8(x_start.cpu()).numpy())
        found["reconstructions"].append(to_uint8(again.cpu()).numpy())
    joined = {key: np.concatenate(values) for key, values in found.items()}
    return {**joined, "indices": reading.indices}
