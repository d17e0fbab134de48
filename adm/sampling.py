"""Draw batches of samples: sample i depends on the weights, the seed and i, on nothing else."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from adm.diffusion import from_uint8, to_uint8
from adm.guidance import make_cond_fn
from adm.losses import choose_variance
from adm.model import make_model
from adm.precision import use_exact_float32
from adm.sampler import sample_ancestral, sample_ddim
from adm.schedule import Schedule, make_schedule
from adm.seeds import make_generator
from adm.state import load_weights, read_spec
from records.batches import read_batch, write_batch
from records.errors import UserError
from records.files import spec_digest
from records.provenance import environment

SAMPLERS = {"ancestral": sample_ancestral, "ddim": sample_ddim}


def draw_labels(
    indices: Sequence[int], *, seed: int, num_classes: int, label_policy: str
) -> Tensor:
    """Choose the class of each sample.

    Args:
        indices: sample numbers i >= 0.
        seed: sampling seed.
        num_classes: number of classes.
        label_policy: `random` draws each label uniformly, as the authors do; `balanced` gives
            sample i the class i mod num_classes.

    Returns:
        int64 [n].
    """
    if label_policy == "balanced":
        return torch.tensor([i % num_classes for i in indices])
    draws = [
        torch.randint(num_classes, (1,), generator=make_generator("label", seed, i))
        for i in indices
    ]
    return torch.cat(draws) if draws else torch.zeros(0, dtype=torch.int64)


def draw_samples(
    indices: Sequence[int],
    *,
    model: nn.Module,
    schedule: Schedule,
    shape: tuple[int, int, int],
    method: str,
    eta: float,
    seed: int,
    stage: str,
    labels: Tensor | None = None,
    conditional: bool = False,
    low_res: Tensor | None = None,
    classifier: nn.Module | None = None,
    guidance_scale: float | None = None,
    variance: str = "learned_range",
    device: str = "cpu",
) -> Tensor:
    """Draw the samples of some indices, each from its own stream of noise.

    Args:
        indices: sample numbers i >= 0.
        model: the denoiser.
        schedule: the (respaced) process.
        shape: channels, height and width of an image.
        method: `ancestral` or `ddim`.
        eta: share of noise in DDIM, 0 to 1.
        seed: sampling seed.
        stage: which half of a stack this is; the halves draw different noise.
        labels: int64 [n] for a conditional model or a classifier.
        conditional: the model takes the labels.
        low_res: [n, c, h, w] in [-1, 1] for an upsampler.
        classifier: noisy classifier for guidance.
        guidance_scale: factor of its gradient.
        variance: what the model says of the variance, see `adm.diffusion.p_mean_variance`.
        device: where the networks are.

    Returns:
        Images [n, c, h, w] in about [-1, 1], on the CPU.
    """
    generators = [make_generator("noise", stage, seed, i) for i in indices]

    def draw_noise(step_index: int = 0) -> Tensor:
        return torch.stack([torch.randn(shape, generator=one) for one in generators]).to(device)

    model_kwargs: dict[str, Tensor] = {}
    if conditional:
        assert labels is not None
        model_kwargs["y"] = labels.to(device)
    if low_res is not None:
        model_kwargs["low_res"] = low_res.to(device)
    cond_fn = None
    if classifier is not None:
        assert labels is not None and guidance_scale is not None
        cond_fn = make_cond_fn(classifier, labels.to(device), guidance_scale)
    options = {"eta": eta} if method == "ddim" else {}
    sample = SAMPLERS[method](
        model,
        schedule,
        draw_noise(),
        noise_fn=draw_noise,
        cond_fn=cond_fn,
        model_kwargs=model_kwargs,
        variance=variance,
        **options,
    )
    return sample.cpu()


def load_network(
    path: str | Path, expected: dict[str, Any], device: str
) -> tuple[nn.Module, dict[str, Any]]:
    """Load the weights that a sample spec names.

    Args:
        path: weights with their spec in the metadata.
        expected: `name`, `digest`, `mark` and `iteration` from the sample spec.
        device: where to put the network.

    Returns:
        The network in eval mode and its model spec.

    Raises:
        UserError: the file is of another spec, another iteration, truncated or foreign.
    """
    metadata = read_spec(path)
    if metadata["digest"] != expected["digest"] or metadata["iteration"] != expected["iteration"]:
        raise UserError(
            f"{path}: holds {metadata['spec']['name']} (spec {metadata['digest'][:12]}, iteration "
            f"{metadata['iteration']}); {expected['name']} (spec {expected['digest'][:12]}, "
            f"iteration {expected['iteration']}) is needed: train it again, or take its own file"
        )
    model = make_model(metadata["spec"])
    load_weights(path, model, expected_digest=expected["digest"])
    return model.to(device).eval().requires_grad_(False), metadata["spec"]


def write_samples(
    spec: dict[str, Any],
    *,
    weights_path: str | Path,
    classifier_path: str | Path | None,
    low_res_path: str | Path | None,
    out_path: str | Path,
    start: int,
    stop: int,
    batch_size: int,
    device: str = "cpu",
) -> None:
    """Draw samples start..stop-1 of a sample spec into a batch file with its protocol.

    Args:
        spec: the sample spec.
        weights_path: the denoiser's weights.
        classifier_path: the classifier's weights, for a guided spec.
        low_res_path: the base's batch, for an upsampler.
        out_path: the .npz to write.
        start: first sample number.
        stop: one past the last sample number.
        batch_size: images at a time; changes nothing but the speed.
        device: a torch device.

    Raises:
        UserError: a range outside the spec, weights of another spec, a base with other images.
    """
    if not 0 <= start < stop <= spec["num_images"]:
        raise UserError(
            f"{spec['name']}: range {start}:{stop}; "
            f"0 <= start < stop <= {spec['num_images']} is needed"
        )
    for what, path in (("classifier", classifier_path), ("low_res", low_res_path)):
        if (spec[what] is None) != (path is None):
            raise UserError(f"{spec['name']}: {what} is {spec[what]} and the file given is {path}")
    use_exact_float32()
    model, model_spec = load_network(weights_path, spec["model"], device)
    classifier = None
    if classifier_path is not None:
        classifier, _ = load_network(classifier_path, spec["classifier"], device)
    base = _read_base(spec, low_res_path, stop) if low_res_path is not None else None
    architecture, sampler = model_spec["architecture"], spec["sampler"]
    size, channels = architecture["image_size_px"], architecture["in_channels"]
    schedule = make_schedule(sampler["schedule"], sampler["num_timesteps"], sampler["respacing"])
    images, labels = [], []
    with tqdm(total=stop - start, desc=spec["name"], unit="image", mininterval=5.0) as progress:
        for first in range(start, stop, batch_size):
            indices = range(first, min(first + batch_size, stop))
            y, low_res = None, None
            if spec["num_classes"] is not None:
                y = draw_labels(
                    indices,
                    seed=spec["seed"],
                    num_classes=spec["num_classes"],
                    label_policy=spec["label_policy"],
                )
            if base is not None:
                low_res = from_uint8(torch.from_numpy(base[0][first : indices.stop]))[:, :channels]
                y = None if base[1] is None else torch.from_numpy(base[1][first : indices.stop])
            sample = draw_samples(
                indices,
                model=model,
                schedule=schedule,
                shape=(channels, size, size),
                method=sampler["method"],
                eta=sampler["eta"],
                seed=spec["seed"],
                stage=model_spec["kind"],
                labels=y,
                conditional=architecture["num_classes"] is not None,
                low_res=low_res,
                classifier=classifier,
                guidance_scale=sampler["guidance_scale"],
                variance=choose_variance(model_spec["training"]["objective"]),
                device=device,
            )
            pixels = to_uint8(sample).numpy()
            images.append(np.repeat(pixels, 3, axis=-1) if channels == 1 else pixels)
            if y is not None:
                labels.append(y.numpy())
            progress.update(len(indices))
    write_batch(
        out_path,
        np.concatenate(images),
        np.concatenate(labels) if labels else None,
        {
            "spec": spec,
            "digest": spec_digest(spec),
            "range": [start, stop],
            "precision": "float32",
            "model": model_spec,
            **environment(),
        },
    )


def _read_base(
    spec: dict[str, Any], path: str | Path, stop: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Read the low-resolution batch of a stack and check that it has what the upsampler needs."""
    images, labels = read_batch(path)
    if len(images) < stop or (labels is None) != (spec["num_classes"] is None):
        raise UserError(
            f"{path}: {len(images)} images {'without' if labels is None else 'with'} labels; "
            f"{spec['name']} needs at least {stop} {'with' if spec['num_classes'] else 'without'}: "
            "draw the base's samples again"
        )
    return images, labels
