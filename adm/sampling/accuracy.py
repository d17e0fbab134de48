"""How often a noisy classifier reads an image's label, by the noise on the image."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from adm.datasets.image_zip import ImageZip
from adm.process.diffusion import from_uint8, q_sample
from adm.process.seeds import make_generator
from adm.sampling.draw import load_network
from adm.training.batches import open_dataset
from adm.training.precision import use_exact_float32
from records.errors import UserError
from records.events import EventLog
from records.files import write_json
from records.manifest import hash_inputs, make_manifest, write_manifest
from specs.models import GuideWeights
from specs.sampling import AccuracySpec
from specs.schedule import Schedule, make_schedule

# Of an image set's spec: which images, however cut.
PHOTOGRAPHS = ("dataset", "place", "classes", "held_out", "part")


def compute_range_edges(num_timesteps: int, num_ranges: int) -> list[int]:
    """Cut the timesteps into ranges of (nearly) equal length.

    Args:
        num_timesteps: length T of the full chain.
        num_ranges: number of ranges, 1 to T.

    Returns:
        num_ranges + 1 edges from 0 to T; range r holds the timesteps edges[r] .. edges[r + 1] - 1.
    """
    return [place * num_timesteps // num_ranges for place in range(num_ranges + 1)]


def choose_images(num_images: int, *, max_images: int, seed: int) -> np.ndarray:
    """Choose which images are read: all of a small set, a random part of a large one.

    Returns:
        Sorted int64 numbers of at most `max_images` images.
    """
    if num_images <= max_images:
        return np.arange(num_images)
    generator = make_generator("accuracy", seed, "images")
    return torch.randperm(num_images, generator=generator)[:max_images].sort().values.numpy()


def draw_noising(
    indices: Iterable[int], edges: list[int], shape: torch.Size, *, seed: int
) -> tuple[Tensor, Tensor]:
    """Draw, for each image and range, a timestep and the noise; image i has a stream of its own.

    Args:
        indices: numbers of the images in their set.
        edges: see `compute_range_edges`.
        shape: of one image, [c, h, w].
        seed: evaluation seed.

    Returns:
        t int64 [ranges, n], uniform within each range; eps float32 [ranges, n, c, h, w].
    """
    first = torch.tensor(edges[:-1])
    length = torch.tensor(edges[1:]) - first
    timesteps, noises = [], []
    for index in indices:
        generator = make_generator("accuracy", seed, "noise", int(index))
        place = torch.rand(len(length), generator=generator, dtype=torch.float64)
        timesteps.append(first + (place * length).long())
        noises.append(torch.randn(len(length), *shape, generator=generator))
    return torch.stack(timesteps, dim=1), torch.stack(noises, dim=1)


@torch.no_grad()
def count_correct(
    classifier: nn.Module,
    schedule: Schedule,
    dataset: ImageZip,
    *,
    indices: np.ndarray,
    edges: list[int],
    in_channels: int,
    seed: int,
    batch_size: int,
    device: str,
) -> list[int]:
    """Count the images whose label has the largest logit, once for each range of timesteps.

    Args:
        classifier: takes x_t and t, returns logits; in eval mode on `device`.
        schedule: the full process that noises the images.
        dataset: labelled images.
        indices: which of them to read, int64 [n].
        edges: see `compute_range_edges`.
        in_channels: channels that the classifier takes.
        seed: evaluation seed; with the image's number it decides timestep and noise.
        batch_size: images at a time; changes nothing but the speed.
        device: a torch device.

    Returns:
        Per range, how many of the n images were read right.
    """
    assert dataset.labels is not None
    correct = [0] * (len(edges) - 1)
    for start in range(0, len(indices), batch_size):
        chosen = indices[start : start + batch_size]
        pixels = torch.from_numpy(dataset.load(chosen)[..., :in_channels])
        x_start, y = from_uint8(pixels).to(device), torch.from_numpy(dataset.labels[chosen])
        timesteps, noises = draw_noising(chosen, edges, x_start.shape[1:], seed=seed)
        for place, (t, eps) in enumerate(zip(timesteps.to(device), noises.to(device), strict=True)):
            logits = classifier(q_sample(schedule, x_start, t, eps), t)
            correct[place] += int((logits.argmax(dim=1).cpu() == y).sum())
    return correct


def write_accuracy(
    spec: AccuracySpec,
    *,
    weights_path: str | Path,
    data_path: str | Path,
    out_path: str | Path,
    batch_size: int,
    device: str = "cpu",
    events: EventLog | None = None,
) -> None:
    """Measure a noisy classifier's accuracy by range of timesteps and write it with its protocol.

    Args:
        spec: accuracy spec.
        weights_path: the classifier's weights.
        data_path: labelled images of the classifier's size.
        out_path: JSON file to write.
        batch_size: images at a time; changes nothing but the speed.
        device: a torch device.
        events: where it is recorded what happens; None for nowhere.

    Raises:
        UserError: weights of another spec, of an incomplete one, or of no classifier; more ranges
            than timesteps; images that do not fit the classifier.
    """
    use_exact_float32()
    classifier, model_spec = load_network(weights_path, spec.classifier, device)
    if not isinstance(model_spec, GuideWeights):
        raise UserError(
            f"{weights_path}: {model_spec.name} is a {model_spec.kind} model; accuracy needs the "
            "weights of a classifier"
        )
    training, num_ranges = model_spec.training, spec.num_ranges
    for key, known in (("dataset", training.dataset), ("augmentation", training.augmentation)):
        if not known:
            raise UserError(
                f"{weights_path}: model spec in its header: training: {key}: missing; it says "
                "which images the classifier knows: train it again"
            )
    if not 1 <= num_ranges <= training.num_timesteps:
        raise UserError(
            f"{spec.name}: num_ranges is {num_ranges}; needed: 1 to {training.num_timesteps}, the "
            "classifier's timesteps"
        )
    dataset = open_dataset(model_spec, data_path)
    indices = choose_images(len(dataset), max_images=spec.max_images, seed=spec.seed)
    edges = compute_range_edges(training.num_timesteps, num_ranges)
    images, trained = spec.dataset.content(), training.dataset or {}
    events = events or EventLog(None)
    about = {"name": model_spec.name, "digest": spec.classifier.digest, "spec": None}
    with events.record(kind="model", job="accuracy", device=device, **about) as usage:
        correct = count_correct(
            classifier,
            make_schedule(training.schedule, training.num_timesteps),
            dataset,
            indices=indices,
            edges=edges,
            in_channels=model_spec.architecture.in_channels,
            seed=spec.seed,
            batch_size=batch_size,
            device=device,
        )
        share = sum(correct) / (len(indices) * num_ranges)
        events.write("accuracy", num_images=len(indices), accuracy=round(share, 6))
        manifest = make_manifest(
            kind="accuracy",
            name=spec.name,
            spec=spec.content(),
            digest=spec.digest,
            inputs=hash_inputs(weights=weights_path, data=data_path),
            seeds={"evaluation": spec.seed},
            precision="float32",
        )
        write_json(
            out_path,
            {
                **manifest,
                "num_images": len(indices),
                "num_classes": model_spec.architecture.num_classes,
                "num_timesteps": training.num_timesteps,
                "schedule": training.schedule,
                "trained_on_these_images": all(
                    trained.get(key) == images.get(key) for key in PHOTOGRAPHS
                ),
                "ranges": [
                    {"first": first, "last": stop - 1, "num_correct": number}
                    for first, stop, number in zip(edges[:-1], edges[1:], correct, strict=True)
                ],
            },
        )
        write_manifest(out_path, manifest, usage)
