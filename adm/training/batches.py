"""From an image set to the inputs of a training step: order, augmentation, noise."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from math import ceil, floor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from adm.datasets.centre_crop import resize_short_side
from adm.datasets.image_zip import ImageZip
from adm.process.diffusion import from_uint8
from adm.process.seeds import make_generator
from records.errors import UserError
from specs.models import ModelSpec, WeightsSpec

MAX_CROP_FRACTION, MIN_CROP_FRACTION = 1.0, 0.8


def open_dataset(spec: ModelSpec | WeightsSpec, data_path: str | Path) -> ImageZip:
    """Open the image set of a spec and check that it is one that this model can learn from.

    Raises:
        UserError: another size, colour for a grey model, no labels or another number of classes.
    """
    shape = spec.architecture
    augmentation = spec.training.augmentation
    cropped = augmentation is not None and augmentation.random_crop
    dataset = ImageZip(data_path, image_size_px=None if cropped else shape.image_size_px)
    if dataset.image_channels > shape.in_channels:
        raise UserError(
            f"{data_path}: colour images; {spec.name} has in_channels {shape.in_channels}: make "
            "the dataset again with --channels 1"
        )
    num_classes = shape.num_classes
    if num_classes is not None and dataset.num_classes != num_classes:
        raise UserError(
            f"{data_path}: {dataset.num_classes or 'no'} classes; {spec.name} needs labels of "
            f"{num_classes}: give the dataset of its task"
        )
    return dataset


def compute_batch_indices(
    num_images: int, *, batch_size: int, seed: int, iteration: int
) -> np.ndarray:
    """Say which images make the batch of an iteration.

    Images are taken in the order of one random permutation per epoch, each a function of
    (seed, epoch); a batch continues into the next epoch. So the place in the data needs no memory.

    Args:
        num_images: size of the set.
        batch_size: images in a batch.
        seed: training seed.
        iteration: counted from 0.

    Returns:
        int64 [batch_size].
    """
    position, stop = iteration * batch_size, (iteration + 1) * batch_size
    parts = []
    while position < stop:
        epoch, start = divmod(position, num_images)
        part = _epoch_order(num_images, seed, epoch)[start : start + stop - position]
        parts.append(part)
        position += len(part)
    return np.concatenate(parts)


@lru_cache(maxsize=4)
def _epoch_order(num_images: int, seed: int, epoch: int) -> np.ndarray:
    generator = make_generator("training", seed, "epoch", epoch)
    return torch.randperm(num_images, generator=generator).numpy()


def crop_image(image: np.ndarray, *, image_size_px: int, fractions: Sequence[float]) -> np.ndarray:
    """Resize and crop an image as the authors' classifier training does.

    The short side becomes one of ceil(size / 1.0) .. ceil(size / 0.8) px: halved by a box filter
    while at least twice that, then bicubic; the crop is taken anywhere. (Dhariwal & Nichol 2021,
    appendix; sizes and order as in their released loader.)

    Args:
        image: uint8 [h, w, 3].
        image_size_px: height and width of the crop.
        fractions: three numbers in [0, 1) that choose the short side, the top and the left.

    Returns:
        uint8 [image_size_px, image_size_px, 3].
    """
    smallest = ceil(image_size_px / MAX_CROP_FRACTION)
    largest = ceil(image_size_px / MIN_CROP_FRACTION)
    short_px = smallest + floor(fractions[0] * (largest - smallest + 1))
    pixels = np.asarray(resize_short_side(Image.fromarray(image), short_px))
    top = floor(fractions[1] * (pixels.shape[0] - image_size_px + 1))
    left = floor(fractions[2] * (pixels.shape[1] - image_size_px + 1))
    return pixels[top : top + image_size_px, left : left + image_size_px]


def load_training_batch(
    dataset: ImageZip,
    *,
    image_size_px: int,
    batch_size: int,
    seed: int,
    iteration: int,
    flip: bool,
    random_crop: bool,
    rows: range | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Load the batch of an iteration, augmented: a function of the seed and the iteration only.

    Args:
        dataset: the image set.
        image_size_px: size to train at.
        batch_size: images in a batch.
        seed: training seed.
        iteration: counted from 0.
        flip: mirror each image left to right with probability 1/2.
        random_crop: see `crop_image`.
        rows: which samples of the batch are loaded; None for all.

    Returns:
        uint8 [rows, image_size_px, image_size_px, 3]; int64 labels [rows] or None.
    """
    part = slice(None) if rows is None else slice(rows.start, rows.stop)
    indices = compute_batch_indices(
        len(dataset), batch_size=batch_size, seed=seed, iteration=iteration
    )[part]
    if random_crop:
        generator = make_generator("training", seed, "crop", iteration)
        fractions = torch.rand(batch_size, 3, generator=generator, dtype=torch.float64)[part]
        images = np.stack(
            [
                crop_image(dataset.read(int(index)), image_size_px=image_size_px, fractions=three)
                for index, three in zip(indices, fractions.tolist(), strict=True)
            ]
        )
    else:
        images = dataset.load(indices)
    if flip:
        generator = make_generator("training", seed, "flip", iteration)
        mirrored = torch.rand(batch_size, generator=generator).numpy()[part] < 0.5
        images[mirrored] = images[mirrored, :, ::-1]
    return images, None if dataset.labels is None else dataset.labels[indices]


def iterate_batches(
    dataset: ImageZip,
    *,
    first_iteration: int,
    stop_iteration: int,
    num_threads: int,
    **options: Any,
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Load the batches of iterations first..stop-1 in order, ahead of time when that is slow.

    Args:
        dataset: the image set; one that fits in memory is read without threads.
        first_iteration: first iteration, counted from 0.
        stop_iteration: one past the last.
        num_threads: threads that decode; what they load does not depend on their number.
        options: arguments of `load_training_batch` that stay the same.

    Yields:
        What `load_training_batch` returns.
    """
    iterations = range(first_iteration, stop_iteration)
    if dataset.fits_memory and not options["random_crop"]:
        for iteration in iterations:
            yield load_training_batch(dataset, iteration=iteration, **options)
        return
    with ThreadPoolExecutor(num_threads) as pool:
        waiting: deque[Any] = deque()
        try:
            for iteration in iterations:
                waiting.append(
                    pool.submit(load_training_batch, dataset, iteration=iteration, **options)
                )
                if len(waiting) > 2 * num_threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def make_inputs(
    images: np.ndarray,
    labels: np.ndarray | None,
    *,
    spec: ModelSpec,
    iteration: int,
    device: str,
    rows: range,
) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
    """Make what a training step takes from the batch of an iteration.

    Args:
        images: uint8 [n, h, w, 3].
        labels: int64 [n] or None.
        spec: model spec.
        iteration: counted from 0; it decides t and eps.
        device: where they go; each kind of device draws its own noise.
        rows: which samples of the batch these are.

    Returns:
        x_start [n, c, h, w] in [-1, 1], y int64 [n] or None, t int64 [n] uniform, eps like x_start.
    """
    training, shape = spec.training, spec.architecture
    pixels = torch.from_numpy(images[..., : shape.in_channels]).to(device)
    x_start = from_uint8(pixels)
    y = None if shape.num_classes is None else torch.from_numpy(labels).to(device)
    generator = make_generator("training", training.seed, "noise", iteration, device=device)
    num, part = training.batch_size, slice(rows.start, rows.stop)
    t = torch.randint(training.num_timesteps, (num,), generator=generator, device=device)
    eps = torch.randn((num, *x_start.shape[1:]), generator=generator, device=device)
    return x_start, y, t[part], eps[part]
