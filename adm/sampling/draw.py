"""Draw samples: sample i depends on the weights, the seed and i, on nothing else."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from adm.networks.model import make_network
from adm.process.guidance import make_cond_fn
from adm.process.sampler import sample_ancestral, sample_ddim
from adm.process.seeds import make_generator
from adm.training.losses import choose_variance
from adm.training.precision import check_precision, run_in_precision
from adm.weights.files import WeightsHeader, load_network_of, read_header
from records.errors import UserError
from specs.architecture import UNetArchitecture
from specs.models import ModelSpec, WeightsSpec
from specs.sampling import Sampler, WeightsAt
from specs.schedule import Schedule, make_schedule

SAMPLERS = {"ancestral": sample_ancestral, "ddim": sample_ddim}


def draw_samples(
    indices: Sequence[int],
    *,
    model: nn.Module,
    spec: ModelSpec | WeightsSpec,
    sampler: Sampler,
    seed: int,
    labels: Tensor | None = None,
    low_res: Tensor | None = None,
    classifier: nn.Module | None = None,
    device: str = "cpu",
) -> Tensor:
    """Draw the samples of some indices, each from its own stream of noise.

    The two halves of a stack, a diffusion model and an upsampler, draw different noise.

    Args:
        indices: sample numbers i >= 0.
        model: the denoiser.
        spec: of the denoiser.
        sampler: method, steps, share of noise in DDIM, guidance, the denoiser's process, and the
            precision in which both networks run; the chain between them stays in float32.
        seed: sampling seed.
        labels: int64 [n] for a conditional model or a classifier.
        low_res: [n, c, h, w] in [-1, 1] for an upsampler.
        classifier: noisy classifier for guidance.
        device: where the networks are.

    Returns:
        Images [n, c, h, w] in about [-1, 1], on the CPU.

    Raises:
        UserError: NaN or infinity came out, which would be stored as black, or the device lacks
            the precision.
    """
    check_precision(sampler.precision, device, "sampling")
    shape = spec.architecture
    assert isinstance(shape, UNetArchitecture)
    size = (shape.in_channels, shape.image_size_px, shape.image_size_px)
    generators = [make_generator("noise", spec.kind, seed, i) for i in indices]

    def draw_noise(step_index: int = 0) -> Tensor:
        return torch.stack([torch.randn(size, generator=one) for one in generators]).to(device)

    model_kwargs: dict[str, Tensor] = {}
    if shape.num_classes is not None:
        assert labels is not None
        model_kwargs["y"] = labels.to(device)
    if low_res is not None:
        model_kwargs["low_res"] = low_res.to(device)
    cond_fn = None
    if classifier is not None:
        assert labels is not None and sampler.guidance_scale is not None
        cond_fn = make_cond_fn(
            run_in_precision(classifier, sampler.precision, device),
            labels.to(device),
            sampler.guidance_scale,
        )
    options = {"eta": sampler.eta} if sampler.method == "ddim" else {}
    sample = SAMPLERS[sampler.method](
        run_in_precision(model, sampler.precision, device),
        make_respaced(sampler),
        draw_noise(),
        noise_fn=draw_noise,
        cond_fn=cond_fn,
        model_kwargs=model_kwargs,
        variance=choose_variance(spec.training.objective),
        noise_temperature=sampler.noise_temperature,
        eps_temperature=sampler.eps_temperature,
        **options,
    )
    sample = sample.cpu()
    finite = sample.flatten(start_dim=1).isfinite().all(dim=1)
    if not finite.all():
        scale = sampler.guidance_scale
        cause = "" if scale is None else f", or guidance_scale {scale:g} is too large"
        raise UserError(
            f"{spec.name}: sample {indices[int(finite.logical_not().nonzero()[0])]} holds NaN or "
            f"infinity: the weights are damaged or training went wrong{cause}; look at the loss, "
            "or take weights of an earlier mark"
        )
    return sample


# The constants are put on the device once for each schedule.
_make_schedule_once = lru_cache(maxsize=8)(make_schedule)


def make_respaced(sampler: Sampler) -> Schedule:
    """Return the chain that a sampler goes along."""
    return _make_schedule_once(sampler.schedule, sampler.num_timesteps, sampler.respacing)


def load_network(
    path: str | Path, expected: WeightsAt, device: str
) -> tuple[nn.Module, WeightsSpec]:
    """Load a network for inference and check that it is the one that a spec names.

    Args:
        path: weights with their spec in the header.
        expected: the weights that are needed.
        device: where to put the network.

    Returns:
        The network in eval mode and its model spec.

    Raises:
        UserError: the file is of another spec, another iteration, truncated or foreign.
    """
    header = read_expected_header(path, expected)
    model = load_network_of(
        path,
        lambda spec: make_network(spec.architecture),
        device=device,
        expected_digest=expected.digest,
    )
    return model.requires_grad_(False), header.spec


def read_expected_header(path: str | Path, expected: WeightsAt) -> WeightsHeader:
    """Read what weights say of themselves and check that they are those that a spec names.

    Raises:
        UserError: the file is of another spec, another iteration, truncated or foreign.
    """
    header = read_header(path)
    if header.digest != expected.digest or header.iteration != expected.iteration:
        raise UserError(
            f"{path}: holds {header.spec.name} (spec {header.digest[:12]}, iteration "
            f"{header.iteration}); {expected.name} (spec {expected.digest[:12]}, "
            f"iteration {expected.iteration}) is needed: train it again, or take its own file"
        )
    return header
