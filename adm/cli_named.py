"""`python -m adm sample NAME`, `import`, `export` and `spec`: models by their published names."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from records.errors import UserError
from records.files import check_writable, say_how_to_forget, spec_digest, write_json
from records.inputs import refuse_replacing
from specs.spec_checks import load_spec

if TYPE_CHECKING:
    from adm.published.names import Named

# Of the thousand classes of ImageNet the one that the paper shows guidance on.
SHOWN_CLASS = {263: "Pembroke Welsh corgi"}
COMMANDS = ("import", "export", "spec")
READ = ("path", "spec", "tables", "released")  # options of theirs that are files
# Options of `sample` that one of its two forms alone knows; None says that one was not given.
OF_NAMES = (
    "label", "num_images", "guidance_scale", "respacing", "seed", "base", "columns", "scale",
    "tables", "released",
)  # fmt: skip
OF_SPECS = (
    "digest",
    "weights",
    "low_res",
    "start",
    "stop",
    "state",
    "images_per_shard",
    "events",
    "tag",
)
COUNTS = ("num_images", "columns", "images_per_shard", "batch_size", "threads")
SCALE, NUM_IMAGES, BATCH_SIZE = "paper", 16, 8


def add_lists(parser: argparse.ArgumentParser, scale: str | None = SCALE) -> None:
    """Add the options that say where names are looked up."""
    parser.add_argument(
        "--scale", default=scale, help=f"scale whose models the names are ({SCALE})"
    )
    parser.add_argument("--tables", help="tables instead of params/tables.yaml")
    parser.add_argument("--released", help="list of files instead of params/released.yaml")


def add_sample_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `sample NAME`."""
    parser.add_argument(
        "name", nargs="?", help="published name (ADM_G_256, ...) or weights file; instead of --spec"
    )
    named = parser.add_argument_group("with a NAME")
    named.add_argument("--label", type=int, nargs="+", help="class of each image, taken in turn")
    named.add_argument("--num-images", type=int, help=f"how many ({NUM_IMAGES})")
    named.add_argument("--guidance-scale", type=float, help="guide at this scale")
    named.add_argument("--respacing", help="steps, such as 250 or ddim25; default: the published")
    named.add_argument("--seed", type=int, help="sampling seed (0)")
    named.add_argument("--base", help="an upsampler's base: name or file; default: the published")
    named.add_argument("--columns", type=int, help="pictures in a row of the grid")
    add_lists(named, scale=None)


def add_commands(commands: Any) -> None:
    """Add import, export and spec."""
    importing = commands.add_parser("import", help="turn a published checkpoint into safetensors")
    importing.add_argument("path", help="checkpoint (.pt): a pickled state dict")
    importing.add_argument("--model", help="name of the model whose weights it is")
    importing.add_argument("--out", required=True, help="weights to write (safetensors)")
    add_lists(importing)
    planned = importing.add_argument_group("instead of --model")
    planned.add_argument("--spec", help="model spec (JSON)")
    planned.add_argument("--mark", help="mark at which the training ended")
    planned.add_argument("--iteration", type=int, help="iterations at the mark")
    exporting = commands.add_parser(
        "export", help="write weights as the authors' scripts read them"
    )
    exporting.add_argument("path", help="weights (safetensors)")
    exporting.add_argument("--out", required=True, help="checkpoint to write (.pt)")
    spec = commands.add_parser("spec", help="write the spec that a name stands for, for training")
    spec.add_argument("name", help="published name, or model of the scale")
    spec.add_argument("--out", required=True, help="JSON file to write")
    add_lists(spec)


def run(args: argparse.Namespace) -> int:
    """Run import, export or spec.

    Raises:
        UserError: anything that the user can fix.
    """
    from adm.published.names import find_model, load_sources

    check_writable(args.out)
    refuse_replacing(args.out, *[getattr(args, key, None) for key in READ])
    if args.command == "export":
        from adm.published.checkpoints import export_checkpoint, format_flags

        flags = format_flags(export_checkpoint(args.path, args.out))
        print(f"{args.out}: for the authors' scripts: {flags or 'they cannot build this model'}")
        return 0
    sources = load_sources(args.scale, args.tables, args.released)
    if args.command == "spec":
        named = find_model(args.name, sources)
        write_json(args.out, named.spec)
        print(
            f"{args.out}: {named.name}, {named.iteration} iterations to mark {named.mark}, data "
            f"{named.spec['training']['dataset']['task']}"
        )
        return 0
    from adm.published.checkpoints import import_checkpoint

    named = _find_planned(args) or find_model(args.model, sources)
    about = {"checkpoint": Path(args.path).name}
    try:
        import_checkpoint(args.path, args.out, named, sources, about=about)
    except UserError as error:
        raise UserError(f"{error}{_advise_forgetting(args.path)}") from None
    print(f"{args.out}: {named.name}, spec {spec_digest(named.spec)[:12]}")
    return 0


def _advise_forgetting(path: str) -> str:
    """Say how to get rid of a wrong published file; nothing of a file that was not fetched."""
    if not Path(f"{path}.sha256").exists():
        return ""
    return f". {say_how_to_forget(path)}; then run the same command again"


def _find_planned(args: argparse.Namespace) -> "Named | None":
    """Return the model of `import --spec`; None for `import --model`.

    Raises:
        UserError: both, neither, or a spec without mark and iteration.
    """
    from adm.published.names import Named

    if (args.model is None) == (args.spec is None):
        raise UserError(
            "import: give either --model NAME, or --spec with --mark and --iteration: whose "
            "weights they are"
        )
    if args.spec is None:
        return None
    if args.mark is None or args.iteration is None:
        raise UserError("import: --mark and --iteration are missing; --spec needs both")
    spec = load_spec(args.spec, "model")
    return Named(spec["name"], spec["name"], spec, args.mark, args.iteration)


def refuse_mixture(args: argparse.Namespace) -> None:
    """Demand either a name or a spec with weights, and no option that only the other form has.

    Raises:
        UserError: both, neither, a spec without weights, an option that would be ignored, or a
            count below 1.
    """
    if (args.name is None) == (args.spec is None):
        raise UserError(
            "sample: give either a NAME (ADM_G_256, or a weights file), or --spec with --weights"
        )
    if args.spec is not None and args.weights is None:
        raise UserError("sample: --weights is missing; --spec says which are needed")
    foreign, own, other = (
        (OF_NAMES, "--spec", "a NAME") if args.name is None else (OF_SPECS, "a NAME", "--spec")
    )
    given = [_option(key) for key in foreign if getattr(args, key) is not None]
    if given:
        raise UserError(
            f"sample: {', '.join(given)}: of use with {other} alone, ignored with {own}; leave it "
            "out"
        )
    for key in COUNTS:
        if (count := getattr(args, key)) is not None and count < 1:
            raise UserError(f"sample: {_option(key)} {count}: give at least 1")


def _option(key: str) -> str:
    """Return how an option is written on the command line."""
    return "--" + key.replace("_", "-")


def sample(args: argparse.Namespace) -> int:
    """Draw images of a named model into a grid (.png) or a batch (.npz).

    Raises:
        UserError: anything that the user can fix.
    """
    suffix = Path(args.out).suffix
    if suffix not in (".png", ".npz"):
        raise UserError(f"--out {args.out}: give a .png for a grid or an .npz for a batch")
    from adm.published.draw import draw_named

    drawn = draw_named(
        args.name,
        num_images=args.num_images or NUM_IMAGES,
        labels=args.label,
        guidance_scale=args.guidance_scale,
        classifier=args.classifier,
        base=args.base,
        respacing=args.respacing,
        seed=args.seed or 0,
        batch_size=args.batch_size or BATCH_SIZE,
        device=args.device,
        scale=args.scale or SCALE,
        tables=args.tables,
        released=args.released,
    )
    if suffix == ".npz":
        import numpy as np

        from records.batches import write_batch

        images = drawn.images
        images = np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images
        write_batch(args.out, images, drawn.labels, drawn.protocol)
    else:
        from adm.sampling.grids import draw_grid, save_grid

        captions = None
        if drawn.labels is not None:
            known = SHOWN_CLASS if drawn.num_classes == 1000 else {}
            captions = [
                f"{label} {known.get(label, '')}".strip() for label in drawn.labels.tolist()
            ]
        sheet = draw_grid(
            drawn.images, heading=drawn.heading, captions=captions, num_columns=args.columns
        )
        save_grid(args.out, sheet, drawn.protocol)
    settings = json.dumps(drawn.protocol["sampling"], sort_keys=True)
    print(f"{args.out}: {len(drawn.images)} images; {settings}")
    return 0
