"""`python -m eval`: grade samples; make reference batches, ceilings and feature networks."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from records.errors import main_guard
from records.files import read_json, sha256_file, write_json

TITLES = {
    "is": "Inception Score",
    "fid": "FID",
    "sfid": "sFID",
    "precision": "Precision",
    "recall": "Recall",
    "memorised": "Memorised",
}
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command and run it; the first word picks another command than grading."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    commands = {"reference": _reference, "ceiling": _ceiling, "network": _network}
    command = commands.get(arguments[0]) if arguments else None
    return command(arguments[1:]) if command else _grade(arguments)


run = main_guard(main)


def _grade(argv: Sequence[str]) -> int:
    """`python -m eval REFERENCE SAMPLES`."""
    parser = _make_parser(
        "",
        "Grade samples as the paper did: Inception Score, FID, sFID, Precision, Recall.",
        "other commands: reference, ceiling, network (each with --help)",
    )
    parser.add_argument("reference", metavar="REFERENCE", help=".npz reference batch, or a .zip")
    parser.add_argument("samples", metavar="SAMPLES", help=".npz with arr_0 uint8 NHWC, or a .zip")
    _add_naming(parser)
    parser.add_argument("--intervals", action="store_true", help="add 95 %% intervals")
    parser.add_argument("--json", metavar="OUT", help="write metrics and protocol there")
    options = parser.parse_args(argv)
    _set_threads(options.threads)
    from eval.grade import grade
    from eval.network import load_network

    result = grade(
        options.reference,
        options.samples,
        load_network(options.weights),
        name=options.name or Path(options.samples).stem,
        digest=options.digest,
        intervals=options.intervals,
        seed=options.seed,
        batch_size=options.batch_size,
    )
    return _finish(result, options.json)


def _ceiling(argv: Sequence[str]) -> int:
    """`python -m eval ceiling DATA`."""
    parser = _make_parser("ceiling", "Grade a random half of the real images against the other.")
    parser.add_argument("data", metavar="DATA", help="zip of PNGs with dataset.json")
    _add_naming(parser)
    parser.add_argument("--json", metavar="OUT", required=True, help="write the metrics there")
    options = parser.parse_args(argv)
    _set_threads(options.threads)
    from eval.grade import grade_ceiling
    from eval.network import load_network

    result = grade_ceiling(
        options.data,
        load_network(options.weights),
        name=options.name or f"real-{Path(options.data).stem}",
        digest=options.digest,
        seed=options.seed,
        batch_size=options.batch_size,
    )
    return _finish(result, options.json)


def _reference(argv: Sequence[str]) -> int:
    """`python -m eval reference DATA`."""
    parser = _make_parser("reference", "Make a reference batch in the authors' layout.")
    parser.add_argument("data", metavar="DATA", help="zip of PNGs with dataset.json")
    parser.add_argument(
        "--num-images",
        type=_positive,
        default=10_000,
        help="random images stored for precision and recall (default 10000); statistics use all",
    )
    parser.add_argument("--out", metavar="REF.npz", required=True, help="the file to write")
    options = parser.parse_args(argv)
    _set_threads(options.threads)
    from eval.network import load_network
    from eval.reference import make_reference

    make_reference(
        options.data,
        load_network(options.weights),
        options.out,
        num_images=options.num_images,
        seed=options.seed,
        batch_size=options.batch_size,
    )
    return 0


def _network(argv: Sequence[str]) -> int:
    """`python -m eval network DATA`."""
    parser = argparse.ArgumentParser(
        prog="python -m eval network", description="Train a small-scale feature network."
    )
    parser.add_argument("data", metavar="DATA", help="labelled zip of PNGs with dataset.json")
    parser.add_argument("--spec", metavar="SPEC.json", required=True, help="how to train it")
    parser.add_argument("--out", metavar="NET.safetensors", required=True, help="the file to write")
    options = parser.parse_args(argv)
    _set_threads(1)
    spec = read_json(options.spec, "feature network spec")
    from eval.images import load_dataset
    from eval.network import save_network
    from eval.network_training import train_network

    images, labels = load_dataset(options.data)
    parameters, description = train_network(images, labels, spec, options.data)
    description["data_sha256"] = sha256_file(options.data)
    save_network(options.out, parameters, description)
    print(f"Held-out accuracy: {description['held_out_accuracy']:.4f}")
    return 0


def _make_parser(
    command: str, description: str, epilog: str | None = None
) -> argparse.ArgumentParser:
    """Make a parser with the options that every command with a feature network has."""
    parser = argparse.ArgumentParser(
        prog=f"python -m eval {command}".strip(), description=description, epilog=epilog
    )
    parser.add_argument(
        "--weights", metavar="NET", required=True, help="file of the feature network"
    )
    parser.add_argument("--seed", type=int, default=0, help="of random draws (default 0)")
    parser.add_argument("--batch-size", type=_positive, default=64, help="images at a time")
    parser.add_argument("--threads", type=_positive, default=1, help="threads (default 1)")
    return parser


def _add_naming(parser: argparse.ArgumentParser) -> None:
    """Add what the result is called."""
    parser.add_argument("--name", help="of the result (default: from the file's name)")
    parser.add_argument("--digest", help="of the spec that asked for it, written into the result")


def _positive(text: str) -> int:
    """Parse a count."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not a positive number")
    return value


def _set_threads(num_threads: int) -> None:
    """Fix the number of threads, of numpy's libraries too when they are not loaded yet."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(num_threads)
    import torch

    torch.set_num_threads(num_threads)


def _finish(result: dict[str, Any], out: str | None) -> int:
    """Write the result and print its numbers."""
    if out:
        write_json(out, result)
    for name, title in TITLES.items():
        metric = result["metrics"][name]
        line = f"{title}: {metric['value']:.6g}"
        if metric["interval"]:
            line += " (95 % interval {:.6g} to {:.6g})".format(*metric["interval"])
        print(line)
    return 0
