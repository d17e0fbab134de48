"""`python -m adm spec` and `fit`: models of a user's own images, from a known one."""

import argparse
import sys
from pathlib import Path
from typing import Any

from adm.cli_named import add_list_options
from records.events import EventLog
from records.files import check_writable, write_json
from records.inputs import refuse_replacing
from records.options import POSITIVE, add_machine_options, whole_number
from specs.datasets import NAME
from specs.models import ModelSpec

MARK = "final"
SAVE_EVERY_SECONDS = 120
CLASSIFIER_SHARE = 3  # a classifier takes a third of the iterations


def add_commands(commands: Any) -> None:
    """Add spec and fit."""
    spec = commands.add_parser("spec", help="write the spec that a name stands for, for training")
    spec.add_argument(
        "model", metavar="NAME", help="published name, model of the scale, small, small_classifier"
    )
    spec.add_argument("--name", help="name of your own model and images")
    spec.add_argument("--data", help="dataset zip that says the size, channels and classes")
    spec.add_argument("--image-size-px", type=POSITIVE, help="height and width of the images")
    spec.add_argument(
        "--num-classes", type=whole_number(at_least=0), help="classes of the images; 0 for none"
    )
    spec.add_argument(
        "--iterations", type=POSITIVE, help="length of the training, which the average then fits"
    )
    spec.add_argument("--out", required=True, help="JSON file to write")
    add_list_options(spec)
    fit = commands.add_parser("fit", help="train a small model of your own images, and its guide")
    fit.add_argument("data", help="dataset zip (python -m adm dataset)")
    fit.add_argument("--iterations", type=POSITIVE, default=2000, help="of the model (2000)")
    fit.add_argument("--out", required=True, help="folder for specs, weights and states")
    add_machine_options(fit)


def write_spec(args: argparse.Namespace) -> None:
    """Write the spec that a name stands for, changed to other images where that is asked for."""
    from adm.published.names import find_model, load_catalogue
    from adm.published.own import adapt_spec, describe_data, find_small

    named = find_small(args.model)
    if named is None:
        named = find_model(args.model, load_catalogue(args.scale, args.tables, args.released))
    options: dict[str, Any] = {} if args.data is None else describe_data(args.data)
    by_hand = {"image_size_px": args.image_size_px, "num_classes": args.num_classes}
    options |= {key: value for key, value in by_hand.items() if value is not None}
    spec = adapt_spec(named.spec, name=args.name, iterations=args.iterations, **options)
    write_json(args.out, spec.content())
    print(
        f"{args.out}: {args.name or named.name}, {args.iterations or named.iteration} iterations "
        f"to mark {named.mark}, data {spec.training.dataset.task}"
    )


def fit(args: argparse.Namespace) -> None:
    """Train a small model of a user's images, and a classifier where they have classes.

    Raises:
        UserError: anything that the user can fix.
    """
    from adm.published.own import SMALL, SMALL_CLASSIFIER, adapt_spec, describe_data, find_small

    folder = Path(args.out)
    own = folder.name if NAME.fullmatch(folder.name) else "own"
    images = describe_data(args.data)
    plan = [("model", SMALL, own, args.iterations)]
    if images["num_classes"] > 1:
        iterations = -(-args.iterations // CLASSIFIER_SHARE)
        plan.append(("classifier", SMALL_CLASSIFIER, f"{own}_classifier", iterations))
    else:
        images["num_classes"] = 0
    for stem, small, name, iterations in plan:
        named = find_small(small)
        assert named is not None
        spec = adapt_spec(named.spec, name=name, iterations=iterations, **images)
        _train(args, folder / stem, spec, iterations)
    guided = " --guidance-scale 1" if len(plan) > 1 else ""
    print(
        f"{folder}: draw with `python -m adm draw {folder / 'model.safetensors'}{guided} "
        f"--num-images 16 --out grid.png`"
    )


def _train(args: argparse.Namespace, stem: Path, spec: ModelSpec, iterations: int) -> None:
    """Train a model into a file of a given name without suffix, beside its spec."""
    from adm.training.loop import train

    out = stem.with_suffix(".safetensors")
    check_writable(out)
    refuse_replacing(out, args.data)
    write_json(stem.with_suffix(".spec.json"), spec.content())
    say_at_start(spec, iterations, args.device)
    train(
        spec,
        data_path=args.data,
        state_dir=stem.with_name("state") / f"{stem.name}-{spec.digest[:12]}",
        out_path=out,
        mark=MARK,
        iterations=iterations,
        events=EventLog(stem.with_suffix(".jsonl"), whole_process=True),
        device=args.device,
        threads=args.threads,
        save_every_seconds=SAVE_EVERY_SECONDS,
    )


def say_at_start(spec: ModelSpec, iterations: int, device: str) -> None:
    """Tell on standard error what a user would otherwise find out hours later."""
    from adm.training.ema import explain_short_run
    from adm.training.precision import warn_of_slow_precision

    words = explain_short_run(spec.training.ema_decay, iterations)
    if words is not None:
        print(f"note: {spec.name}: {words}", file=sys.stderr)
    warn_of_slow_precision(spec.name, spec.training.precision, device)


COMMANDS = {"spec": write_spec, "fit": fit}
