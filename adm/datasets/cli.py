"""`python -m adm dataset`: from the user's images, or from a spec of the workflow, to one zip."""

import argparse
import os
from pathlib import Path
from typing import Any

from adm.datasets.centre_crop import CROPS
from adm.datasets.classes import LABELS
from adm.datasets.formats import DATASETS
from adm.datasets.order import MAX_SIZE_PX, Order
from adm.datasets.own_images import show_some
from adm.datasets.prepare import broken_path, prepare_dataset
from records.cores import count_cores
from records.errors import UserError
from records.events import add_event_options, open_events
from records.files import check_writable
from records.inputs import refuse_replacing
from records.manifest import make_manifest, manifest_path, write_manifest
from records.options import POSITIVE, whole_number
from specs.datasets import DigitsSpec, OwnImagesSpec
from specs.load import load_spec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command.

    Either --spec says what is to be made, as the workflow does, or --dataset and --image-size-px.
    """
    parser.add_argument("--out", required=True, type=Path, help="the zip to write")
    parser.add_argument("--spec", help="dataset spec (JSON); instead of the next eight")
    parser.add_argument("--dataset", choices=DATASETS, help="what the images are")
    parser.add_argument(
        "--image-size-px",
        type=whole_number(at_least=1, at_most=MAX_SIZE_PX),
        help="height and width of the images to make",
    )
    parser.add_argument(
        "--channels",
        dest="image_channels",
        type=int,
        choices=(1, 3),
        help="3 (default), or 1 for grey images; colour ones are made grey",
    )
    parser.add_argument(
        "--crop", choices=CROPS, help="centre (default; LSUN: centre_box), or none for whole images"
    )
    parser.add_argument(
        "--labels", choices=LABELS, help="where a folder's or zip's labels come from"
    )
    parser.add_argument("--classes", nargs="+", help="names of the classes to keep (default: all)")
    parser.add_argument("--num-classes", type=POSITIVE, help="how many classes there must be")
    parser.add_argument(
        "--skip-broken",
        action="store_const",
        const=True,
        help="leave out images that cannot be used, and list them in the manifest",
    )
    parser.add_argument(
        "--path", type=Path, help="the images: tar, lmdb, folder or zip (not for digits)"
    )
    parser.add_argument(
        "--path-variable", help="environment variable that gives the path when it is set"
    )
    parser.add_argument(
        "--workers",
        type=POSITIVE,
        default=count_cores(),
        help="processes that convert images (default: all cores)",
    )
    parser.add_argument("--licence", help="licence of the images, for the manifest")
    parser.add_argument("--words", help="where the images come from, for the manifest")
    add_event_options(parser)


def run(args: argparse.Namespace) -> int:
    """Make a dataset.

    Raises:
        UserError: see `prepare_dataset`; no path; options that do not go together.
    """
    by_hand = {
        "dataset": args.dataset,
        "image_size_px": args.image_size_px,
        "image_channels": args.image_channels,
        "crop": args.crop,
        "labels": args.labels,
        "classes": args.classes,
        "num_classes": args.num_classes,
        "skip_broken": args.skip_broken,
    }
    if args.spec is None:
        if args.dataset is None:
            raise UserError(
                f"dataset: give --dataset ({', '.join(DATASETS)}) with --path and --image-size-px, "
                "or --spec"
            )
        return _prepare(args, by_hand, None)
    given = [name for name, value in by_hand.items() if value is not None]
    if given:
        option = "channels" if given[0] == "image_channels" else given[0].replace("_", "-")
        raise UserError(f"--{option}: the spec says that; leave one of the two out")
    spec = load_spec(args.spec, "dataset")
    if isinstance(spec, DigitsSpec):
        from adm.datasets.digits import make_digits

        check_writable(args.out)
        refuse_replacing(args.out, args.spec)
        about = {"name": args.out.stem, "digest": spec.digest, "spec": spec.content()}
        with open_events(args).record(kind="dataset", job="dataset", **about) as usage:
            options = spec.model_dump(include={"image_size_px", "classes", "held_out", "part"})
            make_digits(args.out, **options)
            write_manifest(args.out, make_manifest(kind="dataset", **about), usage)
        return 0
    return _prepare(args, _take_what_decides(spec), spec)


def _take_what_decides(spec: OwnImagesSpec) -> dict[str, Any]:
    """Take from a spec what decides the images."""
    labels = spec.labels if spec.num_classes else "none"
    return {**spec.model_dump(exclude={"recipe", "task"}), "labels": labels}


def _prepare(args: argparse.Namespace, what: dict[str, Any], spec: OwnImagesSpec | None) -> int:
    """Make a dataset from the user's images and say what came out."""
    dataset = what["dataset"]
    crop = what["crop"] or ("centre_box" if dataset == "lsun" else "centre")
    path = find_path(args.path, args.path_variable, dataset)
    check_writable(args.out)
    beside = (manifest_path(args.out), broken_path(args.out))
    refuse_replacing(args.out, args.spec, path, beside=beside)
    manifest = prepare_dataset(
        Order(
            dataset=dataset,
            path=path,
            out=args.out,
            image_size_px=what["image_size_px"],
            image_channels=what["image_channels"] or 3,
            crop=crop,
            labels=what["labels"] or "auto",
            classes=None if what["classes"] is None else tuple(what["classes"]),
            num_classes=what["num_classes"],
            num_workers=args.workers,
            skip_broken=bool(what["skip_broken"]),
            held_out=what.get("held_out"),
            part=what.get("part"),
            licence=args.licence,
            words=args.words,
        ),
        spec=spec,
        events=open_events(args),
    )
    size = manifest["image_size_px"]
    classes = manifest["num_classes"]
    print(
        f"{args.out}: {manifest['count']} images"
        + (f" of {size}x{size} px" if size else " of their own sizes")
        + (", grey" if manifest["image_channels"] == 1 else "")
        + (f", {classes} classes" if classes else ", without labels")
        + f", {manifest['num_bytes'] / 1e6:.1f} MB, {manifest['images_per_second']:.1f} images/s"
        + (f", {len(manifest['skipped'])} skipped" if manifest["skipped"] else "")
        + f"; {manifest_path(args.out)}"
    )
    if manifest["class_names"]:
        names = [f"{label} {name}" for label, name in enumerate(manifest["class_names"])]
        print(f"classes: {show_some(names)}")
    for note in manifest["notes"]:
        print(f"note: {note}")
    return 0


def find_path(path: Path | None, variable: str | None, dataset: str) -> Path:
    """Return where the user's images are: the environment variable's word counts first.

    Args:
        path: as given on the command line or in the scale's file.
        variable: name of an environment variable.
        dataset: what is looked for, for the message.

    Raises:
        UserError: neither is given.
    """
    value = os.environ.get(variable) if variable else None
    if value:
        return Path(value)
    if path is None:
        how = f"set {variable}=/path/to/the/images, or give --path" if variable else "give --path"
        raise UserError(f"{dataset}: where the images are is not known; {how}")
    return path
