"""The commands of `python -m adm`: each reads a spec, does one thing and writes one file."""

import argparse
import os
from collections.abc import Sequence
from typing import Any

from adm import cli_named
from adm.datasets import cli as cli_datasets
from records.cores import count_cores
from records.errors import UserError, main_guard
from records.events import add_event_options, open_events
from records.files import check_writable
from records.inputs import refuse_replacing
from specs.spec_checks import load_spec

KINDS = {"train": "model", "sample": "sample", "accuracy": "accuracy"}  # of spec
READ = (  # options that are, or may be, files to read
    "spec", "data", "weights", "classifier", "low_res", "name", "base", "tables", "released",
)  # fmt: skip


def make_parser() -> argparse.ArgumentParser:
    """Describe the commands and their options."""
    parser = argparse.ArgumentParser(prog="python -m adm", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    dataset = commands.add_parser("dataset", help="write the images of a task into one zip")
    cli_datasets.add_arguments(dataset)

    train = commands.add_parser("train", help="train a model up to a mark")
    train.add_argument("--spec", required=True, help="model spec (JSON)")
    train.add_argument("--digest", help="refuse a spec with another digest")
    train.add_argument("--data", required=True, help="dataset zip")
    train.add_argument("--state", required=True, help="folder of the run's own state")
    train.add_argument("--mark", required=True, help="name of the mark")
    train.add_argument("--iterations", required=True, type=int, help="iterations at the mark")
    train.add_argument("--out", required=True, help="averaged weights to write (safetensors)")
    add_event_options(train)
    train.add_argument("--save-every-seconds", type=int, default=600)
    train.add_argument(
        "--drop-state",
        type=int,
        choices=(0, 1),
        default=0,
        help="1: delete the run's state once the mark is written",
    )
    _add_machine(train)

    sample = commands.add_parser("sample", help="draw a batch of samples, or a grid of a NAME")
    cli_named.add_sample_arguments(sample)
    planned = sample.add_argument_group("with a --spec")
    planned.add_argument("--spec", help="sample spec (JSON)")
    planned.add_argument("--digest", help="refuse a spec with another digest")
    planned.add_argument("--weights", help="the model's averaged weights")
    planned.add_argument("--low-res", help="the base's batch, for an upsampler")
    planned.add_argument("--start", type=int, help="first sample number (0)")
    planned.add_argument("--stop", type=int, help="one past the last sample number")
    planned.add_argument("--state", help="folder of finished shards (beside --out)")
    planned.add_argument("--images-per-shard", type=int, help="size of a shard (1000)")
    add_event_options(planned)
    sample.add_argument("--classifier", help="the classifier's weights (or name), for guidance")
    sample.add_argument("--batch-size", type=int, help="images at a time (64; with a NAME 8)")
    sample.add_argument("--out", required=True, help="batch (.npz) or grid (.png) to write")
    _add_machine(sample)
    cli_named.add_commands(commands)

    accuracy = commands.add_parser("accuracy", help="measure a noisy classifier by timestep")
    accuracy.add_argument("--spec", required=True, help="accuracy spec (JSON)")
    accuracy.add_argument("--digest", help="refuse a spec with another digest")
    accuracy.add_argument("--weights", required=True, help="the classifier's weights")
    accuracy.add_argument("--data", required=True, help="dataset zip")
    accuracy.add_argument("--batch-size", type=int, default=250)
    accuracy.add_argument("--out", required=True, help="JSON file to write")
    _add_machine(accuracy)
    return parser


def _add_machine(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where to compute."""
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="CPU threads (1; with a NAME all)")


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Raises:
        UserError: anything that the user can fix.
    """
    args = make_parser().parse_args(argv)
    if args.command == "dataset":
        return cli_datasets.run(args)
    if args.command in cli_named.COMMANDS:
        return cli_named.run(args)
    if args.command == "sample":
        cli_named.refuse_mixture(args)
    named = args.command == "sample" and args.name is not None
    spec = {} if named else load_spec(args.spec, KINDS[args.command], args.digest)
    args.threads = args.threads or (count_cores() if named else 1)
    check_writable(args.out)
    _check_paths(args)
    import torch  # late: the other commands and --help need none

    torch.set_num_threads(args.threads)
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(
            f"--device {args.device}: torch sees no CUDA device here; give --device cpu, in the "
            "workflow --config device=cpu"
        )
    return {"train": _train, "sample": _sample, "accuracy": _accuracy}[args.command](args, spec)


def _check_paths(args: argparse.Namespace) -> None:
    """Demand outputs that replace nothing read; for training also data that are there.

    A mark that was reached before is written again without reading the data; a wrong path is told
    all the same, so that it does not come out only when something is left to train.
    """
    from records.batches import protocol_path

    read = [getattr(args, key, None) for key in READ]
    if getattr(args, "events", None) is not None:
        refuse_replacing(args.events, *read)
    if args.command == "train" and not os.path.exists(args.data):
        raise UserError(f"{args.data}: no such file; make the dataset first")
    if args.command == "sample" and args.low_res is not None:
        read.append(protocol_path(args.low_res))
    beside = [protocol_path(args.out)] if args.command == "sample" else []
    refuse_replacing(args.out, *read, beside=beside)


def _train(args: argparse.Namespace, spec: dict[str, Any]) -> int:
    """Train a model up to a mark."""
    from adm.training.loop import train

    if spec["training"]["seed"] is None:
        raise UserError(
            f"{args.spec}: training: seed: got None; this is the spec of published weights, which "
            "`python -m adm import` takes: write a seed to train the model"
        )
    train(
        spec,
        data_path=args.data,
        state_dir=args.state,
        out_path=args.out,
        mark=args.mark,
        iterations=args.iterations,
        events=open_events(args),
        device=args.device,
        threads=args.threads,
        save_every_seconds=args.save_every_seconds,
        keep_state=not args.drop_state,
    )
    return 0


def _sample(args: argparse.Namespace, spec: dict[str, Any]) -> int:
    """Draw a batch of samples, by a spec or by a name."""
    if args.name is not None:
        return cli_named.sample(args)
    from adm.sampling.shards import IMAGES_PER_SHARD, write_samples

    write_samples(
        spec,
        weights_path=args.weights,
        classifier_path=args.classifier,
        low_res_path=args.low_res,
        out_path=args.out,
        start=args.start or 0,
        stop=spec["num_images"] if args.stop is None else args.stop,
        batch_size=args.batch_size or 64,
        state_dir=args.state,
        images_per_shard=args.images_per_shard or IMAGES_PER_SHARD,
        device=args.device,
        events=open_events(args),
    )
    return 0


def _accuracy(args: argparse.Namespace, spec: dict[str, Any]) -> int:
    """Measure a noisy classifier."""
    from adm.sampling.accuracy import write_accuracy

    write_accuracy(
        spec,
        weights_path=args.weights,
        data_path=args.data,
        out_path=args.out,
        batch_size=args.batch_size,
        device=args.device,
    )
    return 0


main = main_guard(run)
