"""`python -m adm nll`, `invert` and `interpolate`: what a model makes of given images."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adm.cli_named import add_list_options
from records.batches import write_arrays
from records.errors import UserError
from records.events import add_event_options, open_events
from records.files import atomic_write, check_writable, write_json
from records.manifest import write_manifest
from records.options import NOT_NEGATIVE, POSITIVE, add_machine_options

if TYPE_CHECKING:
    from adm.published.read import Reading

GRID_IMAGES = 8  # in each of the two halves of a row


def add_commands(commands: Any) -> None:
    """Add nll, invert and interpolate."""
    nll = commands.add_parser("nll", help="bound the bits per dimension of images")
    nll.add_argument("--out", required=True, help="JSON file to write")
    invert = commands.add_parser("invert", help="find the noise from which DDIM draws images")
    invert.add_argument(
        "--out", required=True, help="latents, images and reconstructions (.npz) to write"
    )
    invert.add_argument("--grid", help="picture (.png): each image beside its reconstruction")
    between = commands.add_parser("interpolate", help="draw what lies between pairs of images")
    between.add_argument("--out", required=True, help="images on the way (.npz) to write")
    between.add_argument(
        "--num-steps", type=POSITIVE, default=7, help="images from one to the other (7)"
    )
    between.add_argument("--digest", help="of the spec that asked for it, for the manifest")
    add_event_options(between)
    for command in (nll, invert, between):
        command.add_argument(
            "name_or_file", metavar="NAME", help="published name (ADM_...) or weights file"
        )
        command.add_argument("data", help="dataset zip (python -m adm dataset)")
        command.add_argument("--num-images", type=POSITIVE, default=100, help="how many (100)")
        command.add_argument("--respacing", help="steps, such as 250; default: as in drawing")
        command.add_argument("--weights", choices=("ema", "raw"), default="ema", help="see draw")
        command.add_argument("--seed", type=NOT_NEGATIVE, default=0, help="of images and noise (0)")
        command.add_argument("--batch-size", type=POSITIVE, default=25, help="images at a time")
        add_list_options(command)
        add_machine_options(command)


def _open(args: argparse.Namespace) -> "Reading":
    """Load the model and choose the images."""
    from adm.published.read import open_reading

    return open_reading(
        args.command,
        args.name_or_file,
        args.data,
        num_images=args.num_images,
        respacing=args.respacing,
        seed=args.seed,
        batch_size=args.batch_size,
        device=args.device,
        weights=args.weights,
        scale=args.scale,
        tables=args.tables,
        released=args.released,
    )


def _measure_nll(args: argparse.Namespace) -> None:
    """Write the bound of each image, and say the mean."""
    from adm.published.read import measure_bpd

    reading = _open(args)
    found = measure_bpd(reading, seed=args.seed)
    total, number = found["total"], len(reading.indices)
    error = float(total.std(ddof=1) / number**0.5) if number > 1 else None
    mean = float(total.mean())
    write_json(
        args.out,
        {
            **reading.manifest,
            "bits_per_dimension": mean,
            "std_error": error,
            "prior": float(found["prior"].mean()),
            "indices": reading.indices.tolist(),
            "by_image": total.tolist(),
        },
    )
    spread = "" if error is None else f" +- {error:.4f} (standard error)"
    print(
        f"{args.out}: {mean:.4f}{spread} bits per dimension, an upper bound over {number} images "
        f"and {reading.schedule.num_steps} steps"
    )


def _invert(args: argparse.Namespace) -> None:
    """Write latents and reconstructions, and say how far these are from the images."""
    import numpy as np

    from adm.published.read import invert_images

    if not args.out.endswith(".npz") or (args.grid and not args.grid.endswith(".png")):
        raise UserError("invert: give an .npz as --out, and a .png as --grid")
    if args.grid:
        check_writable(args.grid)
    reading = _open(args)
    found = invert_images(reading)
    with atomic_write(args.out) as file:
        np.savez(file, allow_pickle=False, **found)
    images, again = found["images"], found["reconstructions"]
    far = float(np.abs(images.astype(int) - again.astype(int)).mean())
    write_json(
        args.out.removesuffix(".npz") + ".json", {**reading.manifest, "mean_difference": far}
    )
    if args.grid:
        from adm.sampling.grids import draw_grid, save_grid

        pairs = np.stack([images, again], axis=1).reshape(-1, *images.shape[1:])
        shown = pairs[: 4 * GRID_IMAGES]
        heading = [f"{reading.model.spec.name}: images, each with its reconstruction beside it"]
        sheet = draw_grid(shown, heading=heading, num_columns=GRID_IMAGES)
        save_grid(args.grid, sheet, reading.manifest)
    print(
        f"{args.out}: {len(images)} images; reconstructions differ by {far:.2f} of 255 in the mean"
    )


def _interpolate(args: argparse.Namespace) -> None:
    """Write the images between pairs, with their manifest."""
    from adm.published.read import interpolate_images

    if not args.out.endswith(".npz"):
        raise UserError("interpolate: give an .npz as --out")
    about = {"name": Path(args.out).stem, "digest": args.digest, "spec": None}
    with open_events(args).record(kind="picture", job="interpolate", **about) as usage:
        reading = _open(args)
        found = interpolate_images(reading, args.num_steps)
        write_arrays(args.out, found)
        write_manifest(args.out, {**reading.manifest, "digest": args.digest}, usage)
    print(f"{args.out}: {found['strips'].shape[1]} pairs, {args.num_steps} images each")


COMMANDS = {"nll": _measure_nll, "invert": _invert, "interpolate": _interpolate}
