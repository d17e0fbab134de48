"""The commands of `python -m adm`: each reads a spec, does one thing and writes one file."""

import argparse
from collections.abc import Sequence
from typing import Any

from records.errors import UserError, main_guard
from records.files import read_json, spec_digest


def make_parser() -> argparse.ArgumentParser:
    """Describe the commands and their options."""
    parser = argparse.ArgumentParser(prog="python -m adm", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    dataset = commands.add_parser("dataset", help="write the images of a task into one zip")
    dataset.add_argument("--spec", required=True, help="dataset spec (JSON)")
    dataset.add_argument("--out", required=True, help="the zip to write")

    train = commands.add_parser("train", help="train a model up to a mark")
    train.add_argument("--spec", required=True, help="model spec (JSON)")
    train.add_argument("--digest", help="refuse a spec with another digest")
    train.add_argument("--data", required=True, help="dataset zip")
    train.add_argument("--state", required=True, help="folder of the run's own state")
    train.add_argument("--mark", required=True, help="name of the mark")
    train.add_argument("--iterations", required=True, type=int, help="iterations at the mark")
    train.add_argument("--out", required=True, help="averaged weights to write (safetensors)")
    train.add_argument("--events", required=True, help="file that events are appended to")
    train.add_argument("--save-every-seconds", type=int, default=600)
    _add_machine(train)

    sample = commands.add_parser("sample", help="draw a batch of samples")
    sample.add_argument("--spec", required=True, help="sample spec (JSON)")
    sample.add_argument("--digest", help="refuse a spec with another digest")
    sample.add_argument("--weights", required=True, help="the model's averaged weights")
    sample.add_argument("--classifier", help="the classifier's weights, for guidance")
    sample.add_argument("--low-res", help="the base's batch, for an upsampler")
    sample.add_argument("--start", type=int, default=0, help="first sample number")
    sample.add_argument("--stop", type=int, help="one past the last sample number")
    sample.add_argument("--batch-size", type=int, default=64)
    sample.add_argument("--out", required=True, help="batch to write (.npz)")
    _add_machine(sample)
    return parser


def _add_machine(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where to compute."""
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)


def _read_spec(path: str, expected: str | None) -> dict[str, Any]:
    """Read a spec and refuse one that changed since the work was planned."""
    spec = read_json(path, "spec")
    got = spec_digest(spec)
    if expected is not None and got != expected:
        raise UserError(
            f"{path}: digest {got[:12]}, but {expected[:12]} was planned; the parameters changed "
            "in between: run the workflow again"
        )
    return spec


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Raises:
        UserError: anything that the user can mend.
    """
    args = make_parser().parse_args(argv)
    if args.command == "dataset":
        return _dataset(args)
    spec = _read_spec(args.spec, args.digest)
    import torch  # late: the other commands and --help need none

    torch.set_num_threads(args.threads)
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(
            f"--device {args.device}: torch sees no CUDA device here; use --device cpu, or set "
            "compute: device of the scale"
        )
    return _train(args, spec) if args.command == "train" else _sample(args, spec)


def _dataset(args: argparse.Namespace) -> int:
    """Write a dataset zip."""
    from adm.digits import make_digits

    spec = read_json(args.spec, "dataset spec")
    make_digits(args.out, image_size_px=spec["image_size_px"], classes=spec["classes"])
    return 0


def _train(args: argparse.Namespace, spec: dict[str, Any]) -> int:
    """Train a model up to a mark."""
    from adm.training import train

    train(
        spec,
        data_path=args.data,
        state_dir=args.state,
        out_path=args.out,
        mark=args.mark,
        iterations=args.iterations,
        events_path=args.events,
        device=args.device,
        threads=args.threads,
        save_every_seconds=args.save_every_seconds,
    )
    return 0


def _sample(args: argparse.Namespace, spec: dict[str, Any]) -> int:
    """Draw a batch of samples."""
    from adm.sampling import write_samples

    write_samples(
        spec,
        weights_path=args.weights,
        classifier_path=args.classifier,
        low_res_path=args.low_res,
        out_path=args.out,
        start=args.start,
        stop=spec["num_images"] if args.stop is None else args.stop,
        batch_size=args.batch_size,
        device=args.device,
    )
    return 0


main = main_guard(run)
