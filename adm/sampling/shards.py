"""Batches of samples, drawn shard by shard: a stopped job loses one shard at most."""

import os
import re
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor
from tqdm import tqdm

from adm.process.diffusion import to_uint8
from adm.sampling.conditions import make_conditions
from adm.sampling.draw import prepare_drawing
from records.batches import join_batches, write_batch
from records.errors import UserError
from records.events import EventLog
from records.files import link_or_copy, remove_leftovers, sha256_file, write_json
from records.locks import exclusive_lock
from records.manifest import hash_inputs, make_manifest, manifest_path, read_manifest
from records.usage import Usage
from specs.sampling import SampleSpec

Draw = Callable[[range, Tensor | None, Tensor | None], np.ndarray]
Only = Literal["draw", "join"]
Span = tuple[int, int]  # the first sample of a shard, and one past its last
IMAGES_PER_SHARD = 1000
SHARD_NAME = re.compile(r"(\d{6,})-(\d{6,})\.npz")
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
    only: Only | None = None,
) -> None:
    """Draw samples start..stop-1 of a sample spec into a batch file with its protocol.

    Finished shards are kept until the whole batch is written, so that the same call continues after
    a stop, whatever size of shard it asks for then; no more than one shard is in memory. In a
    `state_dir` that is given the whole batch keeps a second name, from which the same call restores
    it where it was deleted. Several processes may each draw a part of a batch into one `state_dir`,
    and another join them.

    Args:
        spec: the sample spec.
        weights_path: the denoiser's weights.
        classifier_path: the classifier's weights, for a guided spec.
        low_res_path: the base's batch, for an upsampler.
        out_path: the .npz to write; with `only="draw"` a note of which samples are drawn (JSON).
        start: first sample number.
        stop: one past the last sample number.
        batch_size: images at a time; changes nothing but the speed.
        state_dir: folder for finished shards, of this work alone; None for one beside `out_path`.
        images_per_shard: size of a shard at most.
        device: a torch device.
        events: where it is recorded what happens; None for nowhere.
        only: `draw` the shards and leave them, or `join` those that are there; None for both.

    Raises:
        UserError: a range outside the spec, weights of another spec, a base with other images,
            another process is at the same work, or shards are missing that should only be joined.
    """
    files: dict[str, Any] = {
        "weights_path": weights_path, "classifier_path": classifier_path,
        "low_res_path": low_res_path,
    }  # fmt: skip
    header, names, draw_images = prepare_drawing(
        spec, **files, start=start, stop=stop, device=device
    )

    def draw(indices: range, y: Tensor | None, low_res: Tensor | None) -> np.ndarray:
        pixels = to_uint8(draw_images(indices, y, low_res)).numpy()
        return np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels

    about: dict[str, Any] = {"name": spec.name, "digest": spec.digest, "spec": spec.content()}
    manifest = make_manifest(
        kind="samples",
        **about,
        inputs=hash_inputs(weights=weights_path, classifier=classifier_path, low_res=low_res_path),
        seeds={"sampling": spec.seed},
        precision=spec.sampler.precision,
        model=header.spec.content(),
    )
    if names is not None and spec.num_classes is not None:
        manifest["class_names"] = list(names)
    keep = state_dir is not None
    state_dir = Path(out_path).with_suffix(".shards") if state_dir is None else Path(state_dir)
    events = events or EventLog(None)
    lock = state_dir / (f"lock-{start:06d}-{stop:06d}" if only == "draw" else "lock")
    note = {**about, "inputs": manifest["inputs"], "range": [start, stop]}
    with (
        exclusive_lock(lock, f"samples {spec.name}"),
        events.record(kind="row", job="sample", device=device, **about) as usage,
    ):
        kept = state_dir / KEPT_NAME
        if only == "draw" and is_made_so(kept, manifest):  # all of it is there: join takes it
            write_json(out_path, note)
            return
        manifest["range"] = [start, stop]
        if is_finished(kept, manifest, same=(*SAME, "range")):
            _restore(kept, out_path, about)
            return
        finished = find_finished(state_dir, start, stop, manifest)
        spans = cut_range(start, stop, images_per_shard, finished)
        missing = [span for span in spans if span not in finished]
        if only == "join" and missing:
            _remove_shards(state_dir, find_spans(state_dir, start, stop) - finished)
            raise UserError(
                f"{state_dir}: lacks samples {missing[0][0]} to {missing[0][1] - 1} of "
                f"{spec.name}; start the same run again, which draws what is missing"
            )
        with tqdm(total=stop - start, desc=spec.name, unit="image", mininterval=5.0) as progress:
            for first, last in spans:
                if (first, last) in finished:
                    progress.update(last - first)
                    continue
                began = time.monotonic()
                channels = header.spec.architecture.in_channels
                conditions = make_conditions(spec, range(first, last), low_res_path, channels)
                path = _name_shard(state_dir, first, last)
                _write_shard(
                    path, range(first, last), draw, conditions, manifest, batch_size, progress
                )
                events.write(
                    "progress",
                    images=last - start,
                    images_per_second=round((last - first) / (time.monotonic() - began), 2),
                )
        if only == "draw":
            write_json(out_path, note)
            return
        shards = [_name_shard(state_dir, *span) for span in spans]
        made = [read_manifest(path) or {} for path in shards]
        if finished:
            usage.more["shards"] = _add_up(made[spans.index(span)] for span in finished & {*spans})
        join_batches(out_path, shards, {**manifest, "shards": _list_origins(made)}, usage)
        if not keep or _keep(out_path, kept):
            _remove_shards(state_dir, find_spans(state_dir, start, stop))
        remove_leftovers(state_dir)
        if not keep:
            lock.unlink()
            with suppress(OSError):  # files that others left there stay
                state_dir.rmdir()


def split_range(start: int, stop: int, images_per_shard: int) -> Iterator[tuple[int, int]]:
    """Cut a range at the multiples of a shard's size; yields the first and one past the last."""
    first = start
    while first < stop:
        last = min(stop, (first // images_per_shard + 1) * images_per_shard)
        yield first, last
        first = last


def cut_range(
    start: int, stop: int, images_per_shard: int, finished: Collection[Span]
) -> list[Span]:
    """Cut a range into shards so that as few images as possible are left to draw.

    Args:
        start: first sample number.
        stop: one past the last sample number.
        images_per_shard: those that are left to draw end at its multiples.
        finished: shards within the range, which may overlap and leave gaps.

    Returns:
        Shards one after the other, of the finished ones and others.
    """
    grid = split_range(start, stop, images_per_shard)
    ends = sorted({end for span in [*grid, *finished] for end in span})
    left, after = {stop: (0, 0)}, {}  # images and shards from an end on, and the next end
    for first, second in reversed(list(pairwise(ends))):
        ways = [
            ((left[last][0], left[last][1] + 1), last) for one, last in finished if one == first
        ]
        ways.append(((left[second][0] + second - first, left[second][1] + 1), second))
        left[first], after[first] = min(ways)
    spans = []
    while start < stop:
        spans.append((start, after[start]))
        start = after[start]
    return spans


def find_spans(folder: Path, start: int, stop: int) -> set[Span]:
    """Find the shards in a folder that are within a range, whole or not."""
    names = [SHARD_NAME.fullmatch(path.name) for path in folder.glob("*.npz")]
    spans = {(int(name[1]), int(name[2])) for name in names if name}
    return {(first, last) for first, last in spans if start <= first < last <= stop}


def find_finished(folder: Path, start: int, stop: int, manifest: dict[str, Any]) -> set[Span]:
    """Find the shards in a folder that are within a range, whole, and made the same way."""
    return {
        span
        for span in find_spans(folder, start, stop)
        if is_finished(_name_shard(folder, *span), {**manifest, "range": [*span]}, (*SAME, "range"))
    }


def _remove_shards(folder: Path, spans: Iterable[Span]) -> None:
    for path in (_name_shard(folder, *span) for span in spans):
        for one in (path, manifest_path(path)):
            one.unlink(missing_ok=True)


def _name_shard(folder: Path, first: int, last: int) -> Path:
    return folder / f"{first:06d}-{last:06d}.npz"


def is_made_so(path: Path, manifest: dict[str, Any], same: Sequence[str] = SAME) -> bool:
    """Tell whether a file was made the same way: spec, weights, precision, versions.

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
    )


def is_finished(path: Path, manifest: dict[str, Any], same: Sequence[str] = SAME) -> bool:
    """Tell whether a file was made the same way and is whole."""
    return is_made_so(path, manifest, same) and (read_manifest(path) or {}).get(
        "sha256"
    ) == sha256_file(path)


def _list_origins(made: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """List by which commit and on which machine shards were made, equal ones in a row as one."""
    origins: list[dict[str, Any]] = []
    for one in made:
        origin = {name: one[name] for name in ("range", *WHERE)}
        if origins and all(origins[-1][name] == origin[name] for name in WHERE):
            origin["range"] = [origins.pop()["range"][0], origin["range"][1]]
        origins.append(origin)
    return origins


def _add_up(made: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Add up what shards cost that were found finished, and name the device that drew them."""
    runs = [one.get("run") or {} for one in made]
    kinds = ("cpu_seconds", "wall_seconds")
    total = {kind: round(sum(one.get(kind, 0.0) for one in runs), 3) for kind in kinds}
    devices = [one["device"] for one in runs if "device" in one]
    return total | ({"device": devices[0]} if devices else {})


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
    conditions: tuple[Tensor | None, Tensor | None],
    manifest: dict[str, Any],
    batch_size: int,
    progress: "tqdm[Any]",
) -> None:
    """Draw a shard, a batch at a time."""
    images, usage = [], Usage()
    for first in range(0, len(indices), batch_size):
        part = slice(first, first + batch_size)
        batch = [None if one is None else one[part] for one in conditions]
        images.append(draw(indices[part], *batch))
        progress.update(len(indices[part]))
    labels = conditions[0]
    write_batch(
        path,
        np.concatenate(images),
        None if labels is None else labels.numpy(),
        {**manifest, "range": [indices.start, indices.stop]},
        usage,
    )
