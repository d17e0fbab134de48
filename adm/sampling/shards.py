"""Batches of samples, drawn shard by shard: a stopped job loses one shard at most."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from adm.process.diffusion import from_uint8, to_uint8
from adm.sampling.draw import draw_samples, load_network
from adm.sampling.labels import draw_labels
from adm.training.precision import use_exact_float32
from adm.weights.files import read_header
from records.batches import join_batches, read_batch, write_batch
from records.errors import UserError
from records.events import EventLog
from records.files import link_or_copy, remove_leftovers, sha256_file, write_json
from records.locks import exclusive_lock
from records.manifest import hash_inputs, make_manifest, manifest_path, read_manifest
from specs.architecture import UNetArchitecture
from specs.sampling import BatchRef, SampleSpec

Draw = Callable[[range], tuple[np.ndarray, np.ndarray | None]]
IMAGES_PER_SHARD = 1000
KEPT_NAME = "samples.npz"  # of a whole batch in the state's folder
SAME = ("digest", "inputs", "precision", "versions")  # what all shards of a batch share
WHERE = ("git_commit", "platform", "cpus")  # what may differ between the shards of a batch


def write_samples(
    spec: SampleSpec,
    *,
    weights_path: str | Path,
    classifier_path: str | Path | None,
    low_res_path: str | Path | None,
    out_path: str | Path,
    start: int,
    stop: int,
    batch_size: int,
    state_dir: str | Path | None = None,
    images_per_shard: int = IMAGES_PER_SHARD,
    device: str = "cpu",
    events: EventLog | None = None,
) -> None:
    """Draw samples start..stop-1 of a sample spec into a batch file with its protocol.

    Finished shards are kept until the whole batch is written, so that the same call continues after
    a stop; no more than one shard is in memory. In a `state_dir` that is given the whole batch
    keeps a second name, from which the same call restores it where it was deleted.

    Args:
        spec: the sample spec.
        weights_path: the denoiser's weights.
        classifier_path: the classifier's weights, for a guided spec.
        low_res_path: the base's batch, for an upsampler.
        out_path: the .npz to write.
        start: first sample number.
        stop: one past the last sample number.
        batch_size: images at a time; changes nothing but the speed.
        state_dir: folder for finished shards, of this work alone; None for one beside `out_path`.
        images_per_shard: size of a shard; another size draws the shards again.
        device: a torch device.
        events: where it is recorded what happens; None for nowhere.

    Raises:
        UserError: a range outside the spec, weights of another spec, a base with other images, or
            another process is at the same work.
    """
    if not 0 <= start < stop <= spec.num_samples:
        raise UserError(
            f"{spec.name}: range {start}:{stop}; 0 <= start < stop <= {spec.num_samples} is needed"
        )
    for what, path, needed in (
        ("classifier", classifier_path, spec.classifier),
        ("low_res", low_res_path, spec.low_res),
    ):
        if path is None and needed is not None:
            raise UserError(
                f"{spec.name}: no {what} given; its spec needs {needed.name}: give its file with "
                f"--{what.replace('_', '-')}"
            )
        if path is not None and needed is None:
            raise UserError(
                f"{spec.name}: {what} {path} given, and its spec has none: leave "
                f"--{what.replace('_', '-')} out"
            )
    use_exact_float32()
    model, model_spec = load_network(weights_path, spec.model, device)
    shape = model_spec.architecture
    if not isinstance(shape, UNetArchitecture):
        raise UserError(f"{weights_path}: a classifier, which draws nothing; give a denoiser")
    classifier = None
    if classifier_path is not None and spec.classifier is not None:
        classifier, _ = load_network(classifier_path, spec.classifier, device)
    base = None
    if low_res_path is not None and spec.low_res is not None:
        base = _read_base(spec, spec.low_res, low_res_path, stop, shape.low_res_px)

    def draw(indices: range) -> tuple[np.ndarray, np.ndarray | None]:
        y, low_res = _choose_conditions(spec, indices, base, shape.in_channels)
        sample = draw_samples(
            indices,
            model=model,
            spec=model_spec,
            sampler=spec.sampler,
            seed=spec.seed,
            labels=y,
            low_res=low_res,
            classifier=classifier,
            device=device,
        )
        pixels = to_uint8(sample).numpy()
        images = np.repeat(pixels, 3, axis=-1) if shape.in_channels == 1 else pixels
        return images, None if y is None else y.numpy()

    about: dict[str, Any] = {"name": spec.name, "digest": spec.digest, "spec": spec.content()}
    manifest = make_manifest(
        kind="samples",
        **about,
        inputs=hash_inputs(weights=weights_path, classifier=classifier_path, low_res=low_res_path),
        seeds={"sampling": spec.seed},
        precision=spec.sampler.precision,
        model=model_spec.content(),
    )
    names = read_header(classifier_path or weights_path).class_names
    if names is not None and spec.num_classes is not None:
        manifest["class_names"] = list(names)
    keep = state_dir is not None
    state_dir = Path(out_path).with_suffix(".shards") if state_dir is None else Path(state_dir)
    events = events or EventLog(None)
    with (
        exclusive_lock(state_dir / "lock", f"samples {spec.name}"),
        events.record(kind="row", job="sample", device=device, **about) as usage,
    ):
        kept = state_dir / KEPT_NAME
        manifest["range"] = [start, stop]
        if is_finished(kept, manifest, same=(*SAME, "range")):
            _restore(kept, out_path, about)
            return
        ranges = {
            state_dir / f"{first:06d}-{last:06d}.npz": range(first, last)
            for first, last in split_range(start, stop, images_per_shard)
        }
        with tqdm(total=stop - start, desc=spec.name, unit="image", mininterval=5.0) as progress:
            for path, indices in ranges.items():
                if is_finished(path, manifest):
                    progress.update(len(indices))
                else:
                    began = time.monotonic()
                    _write_shard(path, indices, draw, manifest, batch_size, progress)
                    events.write(
                        "progress",
                        images=indices.stop - start,
                        images_per_second=round(len(indices) / (time.monotonic() - began), 2),
                    )
        shards = list(ranges)
        made = [read_manifest(path) or {} for path in shards]
        origins = [{name: one[name] for name in ("range", *WHERE)} for one in made]
        join_batches(out_path, shards, {**manifest, "shards": origins}, usage)
        if not keep or _keep(out_path, kept):
            for path in (*shards, *map(manifest_path, shards)):
                path.unlink()
        remove_leftovers(state_dir)
        if not keep:
            (state_dir / "lock").unlink()
            with suppress(OSError):  # files that others left there stay
                state_dir.rmdir()


def split_range(start: int, stop: int, images_per_shard: int) -> Iterator[tuple[int, int]]:
    """Cut a range at the multiples of a shard's size; yields the first and one past the last."""
    first = start
    while first < stop:
        last = min(stop, (first // images_per_shard + 1) * images_per_shard)
        yield first, last
        first = last


def is_finished(path: Path, manifest: dict[str, Any], same: Sequence[str] = SAME) -> bool:
    """Tell whether a file is whole and made the same way: spec, weights, precision, versions.

    Commit and machine may differ: a spec's recipe says when code moves numbers.
    """
    try:
        found = read_manifest(path)
    except UserError:
        return False
    return (
        found is not None
        and path.exists()
        and all(found.get(name) == manifest[name] for name in same)
        and found["sha256"] == sha256_file(path)
    )


def _keep(out_path: str | Path, kept: Path) -> bool:
    """Give a batch and its manifest a second name; False where the file system has no hard links.

    Whoever started this may delete the batch for reasons of its own: Snakemake does when a clock
    is wrong, or when it was killed itself.
    """
    try:
        for source, target in ((out_path, kept), (manifest_path(out_path), manifest_path(kept))):
            target.unlink(missing_ok=True)
            os.link(source, target)
    except OSError:
        return False
    return True


def _restore(kept: Path, out_path: str | Path, about: dict[str, Any]) -> None:
    """Give a batch that was drawn before its place, under today's name."""
    link_or_copy(kept, out_path)
    write_json(manifest_path(out_path), {**(read_manifest(kept) or {}), **about})
    print(f"{out_path}: drawn before; taken from {kept}", file=sys.stderr)


def _write_shard(
    path: Path,
    indices: range,
    draw: Draw,
    manifest: dict[str, Any],
    batch_size: int,
    progress: "tqdm[Any]",
) -> None:
    """Draw a shard, a batch at a time."""
    images, labels = [], []
    for first in range(0, len(indices), batch_size):
        batch = indices[first : first + batch_size]
        pixels, y = draw(batch)
        images.append(pixels)
        if y is not None:
            labels.append(y)
        progress.update(len(batch))
    write_batch(
        path,
        np.concatenate(images),
        np.concatenate(labels) if labels else None,
        {**manifest, "range": [indices.start, indices.stop]},
    )


def _choose_conditions(
    spec: SampleSpec,
    indices: range,
    base: tuple[np.ndarray, np.ndarray | None] | None,
    channels: int,
) -> tuple[Tensor | None, Tensor | None]:
    """Return labels and low-resolution images of some samples, where the spec has them."""
    if base is not None:
        low_res = from_uint8(torch.from_numpy(base[0][indices.start : indices.stop]))[:, :channels]
        labels = base[1]
        y = None if labels is None else torch.from_numpy(labels[indices.start : indices.stop])
        return y, low_res
    if spec.num_classes is None:
        return None, None
    y = draw_labels(
        indices,
        seed=spec.seed,
        num_classes=spec.num_classes,
        label_policy=spec.label_policy,
    )
    return y, None


def _read_base(
    spec: SampleSpec, needed: BatchRef, path: str | Path, stop: int, low_res_px: int | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Read the low-resolution batch of a stack and check that it is the one that the spec names."""
    found = (read_manifest(path) or {}).get("digest")
    if found != needed.digest:
        got = f"spec {found[:12]}" if found else "no manifest beside it that names a spec"
        raise UserError(
            f"{path}: {got}; {spec.name} enlarges {needed.name}, spec {needed.digest[:12]}: draw "
            "the base's samples again, or give their own file"
        )
    images, labels = read_batch(path)
    if images.shape[1:3] != (low_res_px, low_res_px):
        raise UserError(
            f"{path}: images of {images.shape[2]}x{images.shape[1]} pixels; {spec.name} "
            f"enlarges {low_res_px}x{low_res_px}: give the base's own samples"
        )
    if len(images) < stop or (labels is None) != (spec.num_classes is None):
        raise UserError(
            f"{path}: {len(images)} images {'without' if labels is None else 'with'} labels; "
            f"{spec.name} needs at least {stop} {'with' if spec.num_classes else 'without'}: "
            "draw the base's samples again"
        )
    return images, labels
