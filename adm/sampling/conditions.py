"""What samples are drawn for: their labels, and the small images that an upsampler enlarges."""

from pathlib import Path

import torch
from torch import Tensor

from adm.process.diffusion import from_uint8
from adm.sampling.labels import draw_labels
from records.batches import read_batch
from records.errors import UserError
from records.manifest import read_manifest
from specs.sampling import SampleSpec


def make_conditions(
    spec: SampleSpec, indices: range, base: str | Path | None, channels: int
) -> tuple[Tensor | None, Tensor | None]:
    """Make the labels and the low-resolution images of some samples, where the spec has them.

    Args:
        spec: of the samples.
        indices: sample numbers, whose rows alone are read of the base.
        base: the low-resolution batch, see `check_base`.
        channels: of the images that the network takes.

    Returns:
        Labels int64 [n] or None, and images float32 [n, channels, h, w] in [-1, 1] or None.
    """
    if base is not None:
        images, labels = read_batch(base, indices)
        low_res = from_uint8(torch.from_numpy(images))[:, :channels]
        return None if labels is None else torch.from_numpy(labels), low_res
    if spec.num_classes is None:
        return None, None
    y = draw_labels(
        indices, seed=spec.seed, num_classes=spec.num_classes, label_policy=spec.label_policy
    )
    return y, None


def check_base(spec: SampleSpec, path: str | Path, stop: int, low_res_px: int | None) -> None:
    """Demand the low-resolution batch that the spec of a stack names.

    Args:
        spec: of the samples.
        path: the batch.
        stop: one past the last sample number that is drawn.
        low_res_px: size of the images that the network enlarges.

    Raises:
        UserError: another batch, or one with other images, too few, or without labels.
    """
    needed, manifest = spec.low_res, read_manifest(path) or {}
    assert needed is not None
    if (found := manifest.get("digest")) != needed.digest:
        got = f"spec {found[:12]}" if found else "no manifest beside it that names a spec"
        raise UserError(
            f"{path}: {got}; {spec.name} enlarges {needed.name}, spec {needed.digest[:12]}: draw "
            "the base's samples again, or give their own file"
        )
    last, labels = read_batch(path, range(stop - 1, stop))
    if last.shape[1:3] != (low_res_px, low_res_px):
        raise UserError(
            f"{path}: images of {last.shape[2]}x{last.shape[1]} pixels; {spec.name} "
            f"enlarges {low_res_px}x{low_res_px}: give the base's own samples"
        )
    if not len(last) or (labels is None) != (spec.num_classes is None):
        raise UserError(
            f"{path}: {manifest.get('num_images', 'some')} images "
            f"{'without' if labels is None else 'with'} labels; {spec.name} needs at least {stop} "
            f"{'with' if spec.num_classes else 'without'}: draw the base's samples again"
        )
