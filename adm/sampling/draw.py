"""Draw samples: sample i depends on the weights, the seed and i, on nothing else."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adm.networks.model import make_model
from adm.process.guidance import make_cond_fn
from adm.process.sampler import sample_ancestral, sample_ddim
from adm.process.seeds import make_generator
from adm.weights.files import load_network_of, read_spec
from records.errors import UserError
from specs.schedule import Schedule

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
        variance: what the model says of the variance, see `adm.process.diffusion.p_mean_variance`.
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
    model = load_network_of(path, make_model, device=device, expected_digest=expected["digest"])
    return model.requires_grad_(False), metadata["spec"]
