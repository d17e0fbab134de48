"""From the images that a user brings to one zip of PNGs: parallel, resumable, whole or absent."""

import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from adm.datasets.conversion import PNG_LEVEL, Converted, list_versions
from adm.datasets.describe import (
    LICENCES,
    PREPROCESSING,
    WORDS,
    check_contents,
    count_contents,
    make_about,
    make_notes,
)
from adm.datasets.formats import open_own_images
from adm.datasets.held_out import take_part
from adm.datasets.listing import Summary, iterate_listing, make_listing
from adm.datasets.order import Order, check_order
from adm.datasets.own_images import SHOWN, Listed, OwnImages
from adm.datasets.partial import PartialZip
from adm.datasets.workers import Work, WorkerDied, convert_in_order
from records.errors import UserError
from records.events import EventLog
from records.files import atomic_write, explain_os_error, write_json
from records.interrupts import Stopped, catch_stop_signals
from records.locks import exclusive_lock
from records.manifest import make_manifest, write_manifest
from records.usage import Usage
from specs.datasets import OwnImagesSpec

RECIPE = 2
KEPT_NAME = "images.kept"  # of a finished zip in the folder beside it
# A photograph's PNG takes about this many bytes a pixel.
PNG_BYTES_PER_PIXEL = 1.9


class Interrupted(Stopped):
    """A run was ended from the keyboard."""

    exit_code = 130


def state_folder(out: Path) -> Path:
    """Return the folder in which an unfinished dataset is kept."""
    return out.with_name(f".{out.name}.partial")


def broken_path(out: Path) -> Path:
    """Return where the images that cannot be used are listed when that ends the run."""
    return out.with_name(f"{out.stem}.broken.txt")


def prepare_dataset(
    order: Order, *, spec: OwnImagesSpec | None = None, events: EventLog | None = None
) -> dict[str, Any]:
    """Make a dataset; the zip is the same bytes whatever the number of processes and of restarts.

    Finished images are kept in a hidden folder beside the output, so that the same command goes
    on where a run was killed. With a spec they stay there under a second name for whoever may
    delete the output for reasons of its own, as Snakemake does; a later run of it removes them.

    Args:
        order: what is to be made.
        spec: what the workflow asked for, for the manifest.
        events: where it is recorded what happens; None for nowhere.

    Returns:
        The manifest, which is also beside the zip.

    Raises:
        UserError: anything wrong with the images, the order or the output's folder; images that
            cannot be used, after all were tried.
        Stopped: asked to stop; what is finished is kept.
    """
    check_order(order)
    images = open_own_images(
        order.dataset,
        order.path,
        labels=order.labels,
        classes=order.classes,
        num_classes=order.num_classes,
    )
    images = take_part(images, held_out=order.held_out, part=order.part)
    folder = state_folder(order.out)
    with _explained(order.out), exclusive_lock(folder / "lock", str(order.out)):
        _check_options(folder, order)
        try:
            summary, num_same = make_listing(images, folder)
        except UserError:
            if not (folder / "records.bin").exists():
                shutil.rmtree(folder)
            raise
        _say_what_it_needs(order, summary)
        about = {
            "name": order.out.stem,
            "digest": spec and spec.digest,
            "spec": spec and spec.content(),
        }
        events = events or EventLog(None)
        with events.record(kind="dataset", job="dataset", **about) as usage:
            manifest = _make(order, images, folder, summary, num_same, about, usage)
        if spec is None:
            shutil.rmtree(folder)
    return manifest


@contextmanager
def _explained(out: Path) -> Iterator[None]:
    """Turn refusals of the output's file system into errors with advice."""
    try:
        yield
    except OSError as error:
        raise explain_os_error(error, out) or UserError(
            f"{out}: cannot be written ({error.strerror or error}); choose another place for the "
            "output"
        ) from error


def _check_options(folder: Path, order: Order) -> None:
    """Throw away what an order with other pixels has left behind."""
    options = {
        "recipe": RECIPE,
        "dataset": order.dataset,
        "image_size_px": order.image_size_px,
        "image_channels": order.image_channels,
        "crop": order.crop,
        "png_level": PNG_LEVEL,
        "versions": list_versions(),
    }
    path = folder / "options.json"
    try:
        known = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        known = None
    write_json(folder / "options.new", options)
    if known is not None and known != (folder / "options.new").read_text(encoding="utf-8"):
        _say(f"{order.out}: what was unfinished is of another size or version; starting afresh")
        for name in ("images.part", "records.bin", "listing.json"):
            (folder / name).unlink(missing_ok=True)
    (folder / "options.new").replace(path)


def _say_what_it_needs(order: Order, summary: Summary) -> None:
    """Say what is coming, and whether the disk is likely to be too small."""
    classes = f" of {summary.num_classes} classes" if summary.num_classes else ""
    _say(f"{order.path}: {summary.num_images} images{classes}")
    if order.image_size_px is None:
        return
    needed = summary.num_images * (order.image_size_px**2 * PNG_BYTES_PER_PIXEL + 200)
    free = shutil.disk_usage(order.out.parent).free
    if needed > free:
        _say(
            f"note: photographs of that size take about {needed / 1e9:.1f} GB, and "
            f"{free / 1e9:.1f} GB are free in {order.out.parent}"
        )


def _make(
    order: Order,
    images: OwnImages,
    folder: Path,
    summary: Summary,
    num_same: int,
    about: dict[str, Any],
    usage: Usage,
) -> dict[str, Any]:
    """Convert all images, then give the zip its end and its name."""
    started = time.monotonic()
    _take_back(folder)
    work = Work(
        images.kind, str(images.path), order.image_size_px, order.crop, order.image_channels
    )
    broken = folder / "broken.jsonl"
    partial = _reopen(folder, num_same, work, broken)
    with closing(partial):
        num_kept = partial.num_records
        if num_kept:
            _say(f"{order.out}: going on after {num_kept} images that are finished")
        _convert_all(order, partial, work, folder, summary, broken)
        seconds = time.monotonic() - started
        if partial.num_usable < partial.num_records and not order.skip_broken:
            raise _report_broken(order, broken, partial)
        contents = count_contents(partial, summary.num_classes)
        check_contents(images, contents)
        fields = {
            "name": order.out.stem,
            "image_size_px": order.image_size_px,
            "image_channels": order.image_channels,
            "num_classes": summary.num_classes,
            "class_names": images.class_names and list(images.class_names),
            "count": contents.num_images,
            "preprocessing": PREPROCESSING[order.crop],
            "source": order.words or WORDS[order.dataset],
            "licence": order.licence or LICENCES[order.dataset],
        }
        listing = make_about(partial, fields=fields, labelled=images.labelled)
        sha256, num_bytes = partial.finish(listing)
    manifest = {
        **make_manifest(kind="dataset", **about),
        **fields,
        "file": order.out.name,
        "sha256": sha256,
        "num_bytes": num_bytes,
        "pixels_sha256": contents.pixels_sha256,
        "images_per_class": contents.per_class or None,
        "dataset": order.dataset,
        "recipe": RECIPE,
        "classes_kept": order.classes and list(order.classes),
        "source_path": str(images.path.resolve()),
        "source_kind": images.kind,
        "num_listed": summary.num_images,
        "num_ignored_files": summary.num_ignored,
        "some_ignored_files": summary.some_ignored,
        "ignored_files": summary.ignored,
        "traits": contents.traits,
        "skipped": list(_read_broken(broken)),
        "notes": make_notes(order.dataset, contents, summary, order.image_channels),
        "versions": {**list_versions(), "python": platform.python_version()},
        "num_workers": order.num_workers,
        "num_from_earlier_run": num_kept,
        "seconds": round(seconds, 3),
        "images_per_second": round((summary.num_images - num_kept) / max(seconds, 1e-9), 2),
    }
    if about["spec"] is not None:
        with suppress(OSError):  # no hard links there
            os.link(folder / "images.part", folder / KEPT_NAME)
    (folder / "images.part").replace(order.out)
    manifest = write_manifest(order.out, manifest, usage)
    broken_path(order.out).unlink(missing_ok=True)
    return manifest


def _take_back(folder: Path) -> None:
    """Go on with a zip that was finished and is gone; its end is cut off and written again."""
    kept, part = folder / KEPT_NAME, folder / "images.part"
    if kept.exists() and not part.exists():
        if kept.stat().st_nlink > 1:  # it is still there, under some name
            shutil.copyfile(kept, folder / "images.own")
            (folder / "images.own").replace(part)
        else:
            kept.replace(part)
    kept.unlink(missing_ok=True)


def _reopen(folder: Path, num_same: int, work: Work, broken: Path) -> PartialZip:
    """Open what is finished, without what follows an image that was unusable and no longer is.

    What could not be used is tried again: a disk or a network may have failed, not the file.
    """
    partial = PartialZip(folder, num_same)
    pairs = zip(partial.iterate_records(), iterate_listing(folder), strict=False)
    unusable, listed = [], []
    for number, (record, one) in enumerate(pairs):
        if not record.usable:
            unusable.append(number)
            listed.append(one)
    results = convert_in_order([one.place for one in listed], work, num_workers=1)
    with open(broken, "w", encoding="utf-8") as file:
        for number, one, result in zip(unusable, listed, results, strict=True):
            if isinstance(result, Converted):
                partial.close()
                return PartialZip(folder, number)
            _write_broken(file, one, result)
    return partial


def _convert_all(
    order: Order,
    partial: PartialZip,
    work: Work,
    folder: Path,
    summary: Summary,
    broken: Path,
) -> None:
    """Convert what is left of the list and append it.

    Raises:
        Stopped: by a signal; what was appended is kept.
    """
    start = partial.num_records
    listed = iterate_listing(folder, start)
    results = convert_in_order(
        (one.place for one in iterate_listing(folder, start)), work, num_workers=order.num_workers
    )
    progress = tqdm(
        desc=order.out.name,
        total=summary.num_images,
        initial=start,
        unit=" images",
        mininterval=0.5 if sys.stderr.isatty() else 60.0,
        dynamic_ncols=True,
    )
    with (
        catch_stop_signals() as caught,
        closing(results),
        progress,
        open(broken, "a", encoding="utf-8") as file,
    ):
        try:
            for one, result in zip(listed, results, strict=True):
                label = -1 if one.label is None else one.label
                if isinstance(result, Converted):
                    partial.append_image(
                        result.png,
                        label=label,
                        traits=result.traits,
                        pixels_sha256=result.pixels_sha256,
                    )
                else:
                    partial.append_unusable(label=label)
                    _write_broken(file, one, result)
                progress.update()
                if caught:
                    raise Stopped(_stopped_words(order, partial, summary, caught[0]))
        except WorkerDied:  # a batch system sends its signal to all processes of a job
            if caught:
                raise Stopped(_stopped_words(order, partial, summary, caught[0])) from None
            raise
        except KeyboardInterrupt:
            raise Interrupted(_stopped_words(order, partial, summary, "the keyboard")) from None


def _stopped_words(order: Order, partial: PartialZip, summary: Summary, by: str) -> str:
    """Say how far a stopped run came."""
    return (
        f"{order.out}: stopped by {by} after {partial.num_records} of {summary.num_images} images; "
        "they are kept: run the same command again to go on"
    )


def _write_broken(file: TextIO, one: Listed, reason: str) -> None:
    """Note an image that cannot be used."""
    file.write(json.dumps([one.name, reason]) + "\n")


def _read_broken(path: Path) -> Iterator[list[str]]:
    """Read the images that cannot be used: name and reason of each."""
    with open(path, encoding="utf-8") as file:
        yield from map(json.loads, file)


def _report_broken(order: Order, broken: Path, partial: PartialZip) -> UserError:
    """Write the list of what cannot be used beside the output; return the error that names it."""
    num_broken = partial.num_records - partial.num_usable
    path = broken_path(order.out)
    with atomic_write(path) as file:
        for name, reason in _read_broken(broken):
            file.write(f"{name}: {reason}\n".encode(errors="backslashreplace"))
    first = [f"{name}: {reason}" for name, reason in islice(_read_broken(broken), SHOWN)]
    more = f"\n  and {num_broken - SHOWN} more" if num_broken > SHOWN else ""
    return UserError(
        f"{order.path}: {num_broken} of {partial.num_records} images cannot be used; all are "
        f"listed in {path}. Fix or remove them, or leave them out: --skip-broken, or in a "
        "scale's file `skip_broken: true` in the tasks of this place; what is finished is "
        "kept.\n  " + "\n  ".join(first) + more
    )


def _say(words: str) -> None:
    """Tell the user, on stderr as the progress bar does."""
    print(words, file=sys.stderr, flush=True)
