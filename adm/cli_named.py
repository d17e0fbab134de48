"""`python -m adm draw NAME`, `import` and `export`: models by their published names."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from records.errors import UserError
from records.events import add_event_options, open_events
from records.files import say_how_to_forget
from records.options import NOT_NEGATIVE, POSITIVE, add_machine_options, number, whole_number
from specs.load import load_spec

if TYPE_CHECKING:
    from adm.published.names import Named

# Of the thousand classes of ImageNet the one that the paper shows guidance on.
GRID_IMAGES = 36
MAX_IMAGES = 1_000_000  # all are in memory at once
SHOWN_CLASS = {"n02113023": "Pembroke Welsh corgi"}


def add_commands(commands: Any) -> None:
    """Add draw, import and export."""
    drawing = commands.add_parser("draw", help="draw images from a model by its name")
    drawing.add_argument(
        "name_or_file", metavar="NAME", help="published name (ADM_G_256, ...) or weights file"
    )
    drawing.add_argument("--spec", type=_point_to_sample, help=argparse.SUPPRESS)
    drawing.add_argument("--out", required=True, help="grid (.png) or batch (.npz) to write")
    drawing.add_argument(
        "--grid", help=f"also a grid (.png) of the first {GRID_IMAGES} images of a batch"
    )
    drawing.add_argument(
        "--weights",
        choices=("ema", "raw"),
        default="ema",
        help="the average (ema), or of a training's state.safetensors the weights themselves (raw)",
    )
    drawing.add_argument(
        "--label",
        nargs="+",
        help="class of each image by number or name, taken in turn",
    )
    drawing.add_argument(
        "--num-images",
        type=whole_number(at_least=1, at_most=MAX_IMAGES),
        default=16,
        help="how many (16)",
    )
    drawing.add_argument("--guidance-scale", type=number(at_least=0), help="guide at this scale")
    drawing.add_argument("--classifier", help="name or file, for guidance; default: the published")
    drawing.add_argument("--base", help="an upsampler's base: name or file; default: the published")
    drawing.add_argument("--respacing", help="steps, such as 250 or ddim25; default: the published")
    drawing.add_argument(
        "--noise-temperature",
        type=number(at_least=0),
        default=1.0,
        help="factor of the noise that each step adds (1)",
    )
    drawing.add_argument(
        "--eps-temperature",
        type=number(above=0),
        default=1.0,
        help="divisor of the predicted noise: the score's temperature (1)",
    )
    drawing.add_argument(
        "--precision",
        choices=("float32", "bf16", "fp16"),
        default="float32",
        help="in which the networks run; 16 bits are faster on a GPU (float32)",
    )
    drawing.add_argument("--seed", type=NOT_NEGATIVE, default=0, help="sampling seed (0)")
    drawing.add_argument("--columns", type=POSITIVE, help="pictures in a row of the grid")
    drawing.add_argument("--batch-size", type=POSITIVE, default=8, help="images at a time (8)")
    add_machine_options(drawing)
    importing = commands.add_parser("import", help="turn a published checkpoint into safetensors")
    importing.add_argument("path", help="checkpoint (.pt): a pickled state dict")
    whose = importing.add_mutually_exclusive_group(required=True)
    whose.add_argument("--model", metavar="NAME", help="name of the model whose weights it is")
    whose.add_argument("--spec", help="spec of that model (JSON), with --mark and --iteration")
    importing.add_argument("--mark", help="mark at which the training ended")
    importing.add_argument("--iteration", type=POSITIVE, help="iterations at the mark")
    importing.add_argument("--out", required=True, help="weights to write (safetensors)")
    add_event_options(importing)
    exporting = commands.add_parser(
        "export", help="write weights as the authors' scripts read them"
    )
    exporting.add_argument("path", help="weights (safetensors)")
    exporting.add_argument("--out", required=True, help="checkpoint to write (.pt)")
    for command in (drawing, importing):
        add_list_options(command)


def add_list_options(command: argparse.ArgumentParser) -> None:
    """Add the options that say where names are looked up."""
    command.add_argument(
        "--scale", default="paper", help="scale whose models the names are (paper)"
    )
    command.add_argument("--tables", help="tables instead of params/tables.yaml")
    command.add_argument("--released", help="list of files instead of params/released.yaml")


def _point_to_sample(spec: str) -> NoReturn:
    """Refuse a spec, which is for `sample`."""
    raise UserError(
        "draw: needs a published name or a weights file; to draw from a spec, run "
        "`python -m adm sample --spec FILE --weights FILE --out FILE`"
    )


def _export(args: argparse.Namespace) -> None:
    """Write weights as the authors' checkpoint, and print the options that their scripts need."""
    from adm.published.checkpoints import export_checkpoint, find_obstacles, format_flags

    spec = export_checkpoint(args.path, args.out)
    reasons = ", ".join(find_obstacles(spec))
    says = f"they cannot build this model: {reasons}" if reasons else format_flags(spec)
    print(f"{args.out}: for the authors' scripts: {says}")


def _import(args: argparse.Namespace) -> None:
    """Turn a checkpoint into a weights file with its spec."""
    from adm.published.names import find_model, load_catalogue

    catalogue = load_catalogue(args.scale, args.tables, args.released)
    named = _find_planned(args) or find_model(args.model, catalogue)
    from adm.published.checkpoints import import_checkpoint

    spec = named.spec
    about = {"kind": "weights", "job": "import", "name": named.name, "digest": spec.digest}
    source = {"checkpoint": Path(args.path).name}
    try:
        with open_events(args).record(spec=spec.content(), **about):
            import_checkpoint(args.path, args.out, named, catalogue, about=source)
    except UserError as error:
        raise UserError(f"{error}{_advise_forgetting(args.path)}") from None
    print(f"{args.out}: {named.name}, spec {named.spec.digest[:12]}")


def _advise_forgetting(path: str) -> str:
    """Say how to get rid of a wrong published file; nothing of a file that was not fetched."""
    if not Path(f"{path}.sha256").exists():
        return ""
    return f". {say_how_to_forget(path)}; then run the same command again"


def _find_planned(args: argparse.Namespace) -> "Named | None":
    """Return the model of `import --spec`; None for `import --model`.

    Raises:
        UserError: a spec without mark and iteration.
    """
    from adm.published.names import Named

    if args.spec is None:
        return None
    if args.mark is None or args.iteration is None:
        raise UserError("import: --mark and --iteration are missing; --spec needs both")
    spec = load_spec(args.spec, "model")
    return Named(spec.name, spec.name, spec, args.mark, args.iteration)


def _draw(args: argparse.Namespace) -> None:
    """Draw images of a named model into a grid (.png) or a batch (.npz).

    Raises:
        UserError: anything that the user can fix.
    """
    suffix = Path(args.out).suffix
    if suffix not in (".png", ".npz"):
        raise UserError(f"--out {args.out}: give a .png for a grid or an .npz for a batch")
    if args.grid is not None and (suffix, Path(args.grid).suffix) != (".npz", ".png"):
        raise UserError(f"--grid {args.grid}: give a .png here, and an .npz as --out")
    from adm.published.draw import draw_named
    from adm.training.precision import warn_of_slow_precision

    warn_of_slow_precision(args.name_or_file, args.precision, args.device)
    drawn = draw_named(
        args.name_or_file,
        num_images=args.num_images,
        labels=args.label,
        guidance_scale=args.guidance_scale,
        classifier=args.classifier,
        base=args.base,
        respacing=args.respacing,
        noise_temperature=args.noise_temperature,
        eps_temperature=args.eps_temperature,
        precision=args.precision,
        weights=args.weights,
        seed=args.seed,
        batch_size=args.batch_size,
        device=args.device,
        scale=args.scale,
        tables=args.tables,
        released=args.released,
    )
    if suffix == ".npz":
        import numpy as np

        from records.batches import write_batch

        images = drawn.images
        images = np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images
        write_batch(args.out, images, drawn.labels, drawn.manifest)
    grid = args.out if suffix == ".png" else args.grid
    if grid is not None:
        from adm.sampling.grids import draw_grid, save_grid

        shown = slice(None) if suffix == ".png" else slice(GRID_IMAGES)
        labels = None if drawn.labels is None else drawn.labels[shown].tolist()
        sheet = draw_grid(
            drawn.images[shown],
            heading=drawn.heading,
            captions=labels and [_caption(label, drawn.class_names) for label in labels],
            num_columns=args.columns,
        )
        save_grid(grid, sheet, drawn.manifest)
    settings = json.dumps(drawn.manifest["sampling"], sort_keys=True)
    print(f"{args.out}: {len(drawn.images)} images; {settings}")


def _caption(label: int, class_names: tuple[str, ...] | None) -> str:
    """Write a class as its number and, where it is known, its name."""
    if class_names is None:
        return str(label)
    name = class_names[label]
    return f"{label} {SHOWN_CLASS.get(name, name)}"


COMMANDS = {"draw": _draw, "import": _import, "export": _export}
