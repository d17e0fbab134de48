"""Draw samples: sample i depends on the weights, the seed and i, on nothing else."""

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adm.networks.model import make_network
from adm.process.guidance import make_cond_fn
from adm.process.sampler import Callback, sample_ancestral, sample_ddim
from adm.process.seeds import make_generator
from adm.sampling.conditions import check_base
from adm.training.losses import choose_variance
from adm.training.precision import check_precision, run_in_precision, use_exact_float32
from adm.weights.files import WeightsHeader, load_network_of, read_header
from records.errors import UserError
from specs.architecture import UNetArchitecture
from specs.models import ModelSpec, WeightsSpec
from specs.sampling import Sampler, SampleSpec, WeightsAt
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
    callback: Callback | None = None,
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
        callback: of the sampler; sees every step.

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
        callback=callback,
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


def prepare_drawing(
    spec: SampleSpec,
    *,
    weights_path: str | Path,
    classifier_path: str | Path | None,
    low_res_path: str | Path | None,
    start: int,
    stop: int,
    device: str,
) -> tuple[WeightsHeader, Sequence[str] | None, Callable[..., Tensor]]:
    """Check what samples are drawn from.

    Args: see `adm.sampling.shards.write_samples`.

    Returns:
        What the denoiser's weights say of themselves; the names of the classes; and a function that
        draws as `draw_samples` does, given indices, labels, small images and perhaps a callback.
        The networks are loaded when it draws first.

    Raises:
        UserError: a range outside the spec, weights of another spec, or a base with other images.
    """
    _check_arguments(
        spec,
        start,
        stop,
        classifier=(classifier_path, spec.classifier),
        low_res=(low_res_path, spec.low_res),
    )
    use_exact_float32()
    header = read_expected_header(weights_path, spec.model)
    shape = header.spec.architecture
    if not isinstance(shape, UNetArchitecture):
        raise UserError(f"{weights_path}: a classifier, which draws nothing; give a denoiser")
    names = header.class_names
    if classifier_path is not None and spec.classifier is not None:
        names = read_expected_header(classifier_path, spec.classifier).class_names
    if low_res_path is not None:
        check_base(spec, low_res_path, stop, shape.low_res_px)

    @cache
    def load() -> tuple[nn.Module, nn.Module | None]:
        if classifier_path is None or spec.classifier is None:
            return load_network(weights_path, spec.model, device)[0], None
        guide = load_network(classifier_path, spec.classifier, device)[0]
        return load_network(weights_path, spec.model, device)[0], guide

    def draw(indices: range, y: Tensor | None, low_res: Tensor | None, **options: Any) -> Tensor:
        model, classifier = load()
        return draw_samples(
            indices,
            model=model,
            spec=header.spec,
            sampler=spec.sampler,
            seed=spec.seed,
            labels=y,
            low_res=low_res,
            classifier=classifier,
            device=device,
            **options,
        )

    return header, names, draw


def _check_arguments(spec: SampleSpec, start: int, stop: int, **files: tuple[Any, Any]) -> None:
    """Demand a range that the spec has, and the files that it needs and no others."""
    if not 0 <= start < stop <= spec.num_samples:
        raise UserError(
            f"{spec.name}: range {start}:{stop}; 0 <= start < stop <= {spec.num_samples} is needed"
        )
    for what, (path, needed) in files.items():
        option = f"--{what.replace('_', '-')}"
        if path is None and needed is not None:
            raise UserError(
                f"{spec.name}: no {what} given; its spec needs {needed.name}: give its file with "
                f"{option}"
            )
        if path is not None and needed is None:
            raise UserError(
                f"{spec.name}: {what} {path} given, and its spec has none: leave {option} out"
            )


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
