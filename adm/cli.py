"""The commands of `python -m adm`: each reads a spec, a name or a file, and writes one file."""

import argparse
import os
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from adm import cli_named, cli_own, cli_read
from adm.datasets import cli as cli_datasets
from records.errors import UserError, main_guard
from records.events import add_event_options, open_events
from records.files import check_writable
from records.inputs import refuse_replacing
from records.options import NOT_NEGATIVE, POSITIVE, add_machine_options, check_device, whole_number
from specs.load import load_spec
from specs.models import ModelSpec
from specs.sampling import AccuracySpec, DenoisingSpec, LossSpec, SampleSpec
from specs.strict import Spec

# The kind of spec that a command reads.
KINDS = {
    "train": "model", "sample": "sample", "denoise": "denoising", "accuracy": "accuracy",
    "loss": "loss",
}  # fmt: skip
READ = (  # options that are, or may be, files to read
    "spec", "data", "weights", "classifier", "low_res", "path", "name_or_file", "base", "tables",
    "released",
)  # fmt: skip


def make_parser() -> argparse.ArgumentParser:
    """Describe the commands and their options."""
    parser = argparse.ArgumentParser(prog="python -m adm", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    dataset = commands.add_parser("dataset", help="write the images of a task into one zip")
    cli_datasets.add_arguments(dataset)

    train = _add_planned(commands, "train", "train a model up to a mark")
    train.add_argument("--data", required=True, help="dataset zip")
    train.add_argument("--state", required=True, help="folder of the run's own state")
    train.add_argument("--mark", required=True, help="name of the mark")
    train.add_argument("--iterations", required=True, type=POSITIVE, help="iterations at the mark")
    train.add_argument("--out", required=True, help="averaged weights to write (safetensors)")
    train.add_argument(
        "--stop-after-seconds", type=POSITIVE, help="save the state then and end, as at a signal"
    )
    train.add_argument(
        "--part",
        type=whole_number(at_least=0, at_most=1),
        default=0,
        help="1: write to --out how far the run has come (JSON), also when it is stopped in time",
    )
    add_event_options(train)
    train.add_argument(
        "--microbatch-size",
        type=POSITIVE,
        help="images that go through the network at a time, fewer where a GPU is too small for the "
        "whole batch; changes results by rounding only",
    )
    train.add_argument("--save-every-seconds", type=POSITIVE, default=600)
    train.add_argument("--log-every-iterations", type=POSITIVE, default=50)
    train.add_argument(
        "--drop-state",
        type=whole_number(at_least=0, at_most=1),
        default=0,
        help="1: delete the run's state once the mark is written",
    )

    sample = _add_planned(commands, "sample", "draw the samples that a spec describes")
    sample.add_argument("name", nargs="?", type=_point_to_draw, help=argparse.SUPPRESS)
    denoise = _add_planned(commands, "denoise", "draw samples, and keep what they were on the way")
    for drawing in (sample, denoise):
        drawing.add_argument("--weights", required=True, help="the model's averaged weights")
        drawing.add_argument("--classifier", help="the classifier's weights, for guidance")
        drawing.add_argument("--low-res", help="the base's batch, for an upsampler")
        drawing.add_argument(
            "--batch-size", type=POSITIVE, default=64, help="images at a time (64)"
        )
        add_event_options(drawing)
    denoise.add_argument("--out", required=True, help="images on the way (.npz) to write")
    sample.add_argument("--start", type=NOT_NEGATIVE, default=0, help="first sample number (0)")
    sample.add_argument("--stop", type=POSITIVE, help="one past the last sample number")
    sample.add_argument("--state", help="folder of finished shards (beside --out)")
    sample.add_argument(
        "--only",
        choices=("draw", "join"),
        help="draw: leave the shards in --state, and write to --out which samples they are (JSON); "
        "join: put the batch together of shards that are all there",
    )
    sample.add_argument("--images-per-shard", type=POSITIVE, help="size of a shard (1000)")
    sample.add_argument("--out", required=True, help="batch to write (.npz)")
    cli_named.add_commands(commands)
    cli_own.add_commands(commands)
    cli_read.add_commands(commands)

    accuracy = _add_planned(commands, "accuracy", "measure a noisy classifier by timestep")
    loss = _add_planned(commands, "loss", "measure a denoiser's loss on held-out images")
    for parser_of, model in ((accuracy, "classifier"), (loss, "denoiser")):
        parser_of.add_argument("--weights", required=True, help=f"the {model}'s weights")
        parser_of.add_argument("--data", required=True, help="dataset zip")
        parser_of.add_argument(
            "--batch-size", type=POSITIVE, default=250, help="images at a time (250)"
        )
        add_event_options(parser_of)
        parser_of.add_argument("--out", required=True, help="JSON file to write")
    return parser


def _add_planned(commands: Any, name: str, words: str) -> argparse.ArgumentParser:
    """Add a command that reads a spec."""
    parser = commands.add_parser(name, help=words)
    parser.add_argument("--spec", required=True, help=f"{KINDS[name]} spec (JSON)")
    parser.add_argument("--digest", help="refuse a spec with another digest")
    add_machine_options(parser, threads=1)
    return parser


def _point_to_draw(name: str) -> NoReturn:
    """Refuse a name, which `sample` took before there was `draw`."""
    raise UserError(
        "sample: needs a spec (--spec, --weights); to draw from a published name or a weights "
        "file, run `python -m adm draw NAME --out FILE`"
    )


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Raises:
        UserError: anything that the user can fix.
    """
    args = make_parser().parse_args(argv)
    if args.command == "dataset":  # looks at its paths itself
        return cli_datasets.run(args)
    kind = KINDS.get(args.command)
    given = () if kind is None else (_load_planned(args, kind),)
    _check_paths(args)
    if hasattr(args, "device"):
        import torch  # late: the other commands and --help need none

        torch.set_num_threads(args.threads)
        check_device(args.device, torch)
    COMMANDS[args.command](args, *given)
    return 0


def _load_planned(args: argparse.Namespace, kind: str) -> Spec:
    """Read the spec of a command, which has the digest that was planned."""
    spec: Spec = load_spec(args.spec, kind)
    if args.digest not in (None, spec.digest):
        raise UserError(
            f"{args.spec}: digest {spec.digest[:12]}, but {args.digest[:12]} was planned; the "
            "parameters changed in between: run the workflow again"
        )
    return spec


def _check_paths(args: argparse.Namespace) -> None:
    """Demand outputs that replace nothing read; for training also data that are there.

    A mark that was reached before is written again without reading the data; a wrong path is told
    all the same, so that it does not come out only when something is left to train.
    """
    from records.manifest import manifest_path

    if args.command == "fit":  # a folder, whose files are checked one by one
        return
    check_writable(args.out)
    read = [getattr(args, key, None) for key in READ]
    named = [one for one in read if one and os.path.basename(one)]  # nothing is beside "." or "/"
    read += [beside for one in named if (beside := manifest_path(one)).exists()]
    if getattr(args, "events", None) is not None:
        refuse_replacing(args.events, *read)
    if args.command == "train" and not os.path.exists(args.data):
        raise UserError(f"{args.data}: no such file; make the dataset first")
    if args.command == "train" and os.path.isdir(args.data):
        raise UserError(f"{args.data}: cannot be read (Is a directory); give the zip of a dataset")
    beside = [] if args.command in ("spec", "export") else [manifest_path(args.out)]
    for path in beside:
        check_writable(path)
    refuse_replacing(args.out, *read, beside=beside)


def _train(args: argparse.Namespace, spec: ModelSpec) -> None:
    """Train a model up to a mark."""
    from adm.training.loop import train

    if spec.training.seed is None:
        raise UserError(
            f"{args.spec}: training: seed: got None; this is the spec of published weights, which "
            "`python -m adm import` takes: write a seed to train the model"
        )
    cli_own.say_at_start(spec, args.iterations, args.device)
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
        microbatch_size=args.microbatch_size,
        save_every_seconds=args.save_every_seconds,
        log_every_iterations=args.log_every_iterations,
        stop_after_seconds=args.stop_after_seconds,
        is_part=bool(args.part),
        keep_state=not args.drop_state,
    )


def _sample(args: argparse.Namespace, spec: SampleSpec) -> None:
    """Draw a batch of samples."""
    from adm.sampling.shards import IMAGES_PER_SHARD, write_samples
    from adm.training.precision import warn_of_slow_precision

    if args.only is not None and args.state is None:
        raise UserError(f"--only {args.only}: where are the shards? Give their folder with --state")
    if args.only != "join":
        warn_of_slow_precision(spec.name, spec.sampler.precision, args.device)
    write_samples(
        spec,
        weights_path=args.weights,
        classifier_path=args.classifier,
        low_res_path=args.low_res,
        out_path=args.out,
        start=args.start,
        stop=spec.num_samples if args.stop is None else args.stop,
        batch_size=args.batch_size,
        state_dir=args.state,
        images_per_shard=args.images_per_shard or IMAGES_PER_SHARD,
        device=args.device,
        events=open_events(args),
        only=args.only,
    )


def _denoise(args: argparse.Namespace, spec: DenoisingSpec) -> None:
    """Draw samples, and keep what the model took them to be on the way."""
    from adm.sampling.denoising import write_denoising

    write_denoising(
        spec,
        weights_path=args.weights,
        classifier_path=args.classifier,
        low_res_path=args.low_res,
        out_path=args.out,
        batch_size=args.batch_size,
        device=args.device,
        events=open_events(args),
    )


def _accuracy(args: argparse.Namespace, spec: AccuracySpec) -> None:
    """Measure a noisy classifier."""
    from adm.sampling.accuracy import write_accuracy

    _measure(write_accuracy, args, spec)


def _loss(args: argparse.Namespace, spec: LossSpec) -> None:
    """Measure the loss of a denoiser."""
    from adm.sampling.loss import write_loss

    _measure(write_loss, args, spec)


def _measure(
    write: Callable[..., None], args: argparse.Namespace, spec: AccuracySpec | LossSpec
) -> None:
    """Measure weights on images, and write what they score."""
    write(
        spec,
        weights_path=args.weights,
        data_path=args.data,
        out_path=args.out,
        batch_size=args.batch_size,
        device=args.device,
        events=open_events(args),
    )


COMMANDS = {
    "train": _train,
    "sample": _sample,
    "denoise": _denoise,
    "accuracy": _accuracy,
    "loss": _loss,
    **cli_named.COMMANDS,
    **cli_own.COMMANDS,
    **cli_read.COMMANDS,
}

main = main_guard(run)
