"""The loss of a denoiser on images that it was not trained on, with noise that models share."""

from collections.abc import Iterable
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adm.datasets.image_zip import ImageZip
from adm.process.diffusion import (
    compute_vb,
    from_uint8,
    p_mean_variance,
    q_sample,
    training_losses,
)
from adm.process.likelihood import prior_bpd
from adm.process.seeds import make_generator
from adm.sampling.draw import load_network
from adm.training.batches import open_dataset
from adm.training.losses import choose_variance, make_low_res
from adm.training.precision import use_exact_float32
from records.contributions import Contribution, find_contributions, write_contributions
from records.errors import UserError
from records.events import EventLog
from records.files import write_json
from records.manifest import hash_inputs, make_manifest, read_manifest, write_manifest
from specs.architecture import UNetArchitecture
from specs.models import DenoiserWeights
from specs.sampling import LossSpec
from specs.schedule import Schedule, make_schedule

MIN_IMAGES = 2  # for a standard error


def compute_chances(num_timesteps: int) -> np.ndarray:
    """Compute how likely each timestep is drawn: half uniform, a quarter falling from either end.

    They fall as 1 / (t + 1) and 1 / (T - t). Most of the bound is in its first few terms, and in
    the hybrid loss of a cosine schedule the very last one weighs as much (there x_0 is far from
    known, and nothing is clipped): uniform timesteps would hardly ever meet either.

    Returns:
        float64 [num_timesteps], which sum to 1.
    """
    falling = 1.0 / np.arange(1, num_timesteps + 1)
    return 0.5 / num_timesteps + 0.25 * (falling + falling[::-1]) / falling.sum()


def draw_noising(
    indices: Iterable[int],
    stratum: int,
    shape: torch.Size,
    *,
    num_strata: int,
    chances: np.ndarray,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """Draw a timestep and the noise of each image; image and stratum have a stream of their own.

    t is where the distribution function of `chances` reaches (k + u) / K, u uniform in [0, 1): over
    the strata k = 0 .. K - 1 together, timesteps are drawn with their chances.

    Args:
        indices: numbers of the images in their set.
        stratum: k, 0 to K - 1.
        shape: of one image, [c, h, w].
        num_strata: K.
        chances: of each timestep, as of `compute_chances`.
        seed: evaluation seed.

    Returns:
        t int64 [n]; eps float32 [n, c, h, w].
    """
    places, noises = [], []
    for index in indices:
        generator = make_generator("loss", seed, int(index), stratum)
        place = float(torch.rand((), generator=generator, dtype=torch.float64))
        places.append((stratum + place) / num_strata)
        noises.append(torch.randn(shape, generator=generator))
    t = np.searchsorted(chances.cumsum()[:-1], places, side="right")
    return torch.from_numpy(t), torch.stack(noises)


@torch.no_grad()
def compute_losses(
    model: nn.Module,
    schedule: Schedule,
    dataset: ImageZip,
    architecture: UNetArchitecture,
    *,
    num_strata: int,
    seed: int,
    batch_size: int,
    device: str,
) -> dict[str, np.ndarray]:
    """Compute the losses of every image of a set; one forward pass an image and stratum gives both.

    Args:
        model: the denoiser, with a learned variance, in eval mode on `device`.
        schedule: the full process.
        dataset: images; with labels for a conditional model.
        architecture: of the model.
        num_strata: timesteps of each image, K.
        seed: evaluation seed; with the image's number and the stratum it decides t and noise.
        batch_size: images at a time; changes nothing but the speed and the last bits.
        device: a torch device.

    Returns:
        float64 [len(dataset)] each, in the set's order, unbiased: what is measured at the K
        timesteps is weighted with 1 / (T chance). `hybrid`: the hybrid loss as in training, a mean
        over timesteps (Nichol & Dhariwal 2021, equation 16). `vlb`: the variational bound of
        -log2 p(x_0) in bits per dimension, T times the mean of its terms over timesteps, plus the
        prior term (Ho et al. 2020, equation 5), with predicted images clipped to [-1, 1] as in
        sampling.
    """
    num_images, num_steps = len(dataset), schedule.num_timesteps
    chances = compute_chances(num_steps)
    sums = {name: np.zeros(num_images) for name in ("hybrid", "vlb")}
    for start in range(0, num_images, batch_size):
        chosen = np.arange(start, min(start + batch_size, num_images))
        pixels = torch.from_numpy(dataset.load(chosen)[..., : architecture.in_channels])
        x_start = from_uint8(pixels).to(device)
        model_kwargs = {}
        if architecture.num_classes is not None:
            assert dataset.labels is not None  # `open_dataset` has seen to it
            model_kwargs["y"] = torch.from_numpy(dataset.labels[chosen]).to(device)
        if architecture.low_res_px is not None:
            model_kwargs["low_res"] = make_low_res(x_start, architecture.low_res_px)
        for stratum in range(num_strata):
            t, eps = draw_noising(
                chosen,
                stratum,
                x_start.shape[1:],
                num_strata=num_strata,
                chances=chances,
                seed=seed,
            )
            weight = 1.0 / (num_strata * num_steps * chances[t])
            hybrid, vb = _compute_terms(
                model, schedule, x_start, t.to(device), eps.to(device), model_kwargs
            )
            sums["hybrid"][chosen] += weight * hybrid.double().cpu().numpy()
            sums["vlb"][chosen] += weight * num_steps * vb.double().cpu().numpy()
        sums["vlb"][chosen] += prior_bpd(schedule, x_start).double().cpu().numpy()
    return sums


def _compute_terms(
    model: nn.Module,
    schedule: Schedule,
    x_start: Tensor,
    t: Tensor,
    eps: Tensor,
    model_kwargs: dict[str, Tensor],
) -> tuple[Tensor, Tensor]:
    """Compute the hybrid loss and the term of the bound, [n] each, from one forward pass."""
    x_t = q_sample(schedule, x_start, t, eps)
    output = model(x_t, t, **model_kwargs)
    hybrid = training_losses(lambda *_: output, schedule, x_start, t, eps)["loss"]
    predicted = p_mean_variance(schedule, output, x_t, t)
    return hybrid, compute_vb(schedule, x_start, x_t, t, predicted)


def measure(values: np.ndarray) -> dict[str, Any]:
    """Give the mean over images, its standard error and its 95 % interval (normal)."""
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
    half = NormalDist().inv_cdf(0.975) * error
    return {"value": mean, "std_error": error, "interval": [mean - half, mean + half]}


def write_loss(
    spec: LossSpec,
    *,
    weights_path: str | Path,
    data_path: str | Path,
    out_path: str | Path,
    batch_size: int,
    device: str = "cpu",
    events: EventLog | None = None,
) -> None:
    """Measure the losses of a denoiser; write them, those of single images, and the manifest.

    Args:
        spec: loss spec.
        weights_path: the denoiser's averaged weights.
        data_path: images of the denoiser's size.
        out_path: JSON to write, of the shape of a metrics file; beside it what every image adds.
        batch_size: see `compute_losses`.
        device: a torch device.
        events: where it is recorded what happens; None for nowhere.

    Raises:
        UserError: weights of another spec, of a classifier or without a learned variance; images
            that do not fit the model, or fewer than two.
    """
    use_exact_float32()
    model, model_spec = load_network(weights_path, spec.model, device)
    training, name = model_spec.training, model_spec.name
    if not isinstance(model_spec, DenoiserWeights):
        raise UserError(
            f"{weights_path}: {name} is a {model_spec.kind} model; a loss needs the weights of a "
            "diffusion model or an upsampler"
        )
    if choose_variance(training.objective) != "learned_range":
        raise UserError(
            f"{weights_path}: {name} was trained with the objective {training.objective}, which "
            "learns no variance; the hybrid loss needs one: take another model"
        )
    dataset = open_dataset(model_spec, data_path)
    if len(dataset) < MIN_IMAGES:
        raise UserError(f"{data_path}: {len(dataset)} images; a standard error needs {MIN_IMAGES}")
    about = {"name": name, "digest": spec.model.digest, "spec": None}
    events = events or EventLog(None)
    with events.record(kind="model", job="loss", device=device, **about) as usage:
        losses = compute_losses(
            model,
            make_schedule(training.schedule, training.num_timesteps),
            dataset,
            model_spec.architecture,
            num_strata=spec.loss_timesteps,
            seed=spec.seed,
            batch_size=batch_size,
            device=device,
        )
        metrics = {key: measure(values) for key, values in losses.items()}
        values = {key: round(one["value"], 6) for key, one in metrics.items()}
        events.write("loss", num_images=len(dataset), **values)
        manifest = make_manifest(
            kind="loss",
            name=spec.name,
            spec=spec.content(),
            digest=spec.digest,
            inputs=hash_inputs(weights=weights_path, data=data_path),
            seeds={"evaluation": spec.seed},
            precision="float32",
        )
        protocol = {"loss": manifest, "weights": read_manifest(weights_path)}
        each = {key: Contribution(losses[key]) for key in metrics}
        write_contributions(find_contributions(out_path), each, protocol)
        counts = {"samples": len(dataset), "reference": None, "reference_precision_recall": None}
        write_json(
            out_path,
            {
                "format": 1,
                "name": spec.name,
                "digest": spec.digest,
                "metrics": metrics,
                "counts": {**counts, "timesteps": spec.loss_timesteps},
                "protocol": protocol,
            },
        )
        write_manifest(out_path, manifest, usage)
