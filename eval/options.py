"""The options of `python -m eval`."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from records.events import add_event_options
from records.metrics import EXTRAS, PAPER
from records.options import NOT_NEGATIVE, POSITIVE, add_machine_options

PROGRAM = "adm-eval" if Path(sys.argv[0]).name == "adm-eval" else "python -m eval"


class _ShowVersion(argparse.Action):
    """Print the version, which takes a while to find, when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from records.provenance import environment

        told = environment()
        versions = told["versions"]
        ours = versions.get("adm-eval") or versions.get("adm-tables", "unknown")
        rest = ", ".join(f"{name} {versions[name]}" for name in ("torch", "numpy", "scipy"))
        print(f"adm-eval {ours} (commit {told['git_commit']}; {rest})")
        parser.exit()


def make_parser(command: str, descriptions: Mapping[str, str | None]) -> argparse.ArgumentParser:
    """Describe a command and its options.

    Args:
        command: which; the empty one is grading.
        descriptions: of all commands, by name.
    """
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} {command}".strip(), description=descriptions[command]
    )
    add = parser.add_argument
    if not command:
        parser.epilog = (
            f"other commands, each with --help: {', '.join(filter(None, descriptions))}. REFERENCE "
            "and SAMPLES are an .npz with arr_0 uint8 NHWC (the authors' layout), a folder of "
            "such, a .zip of PNGs or a folder of PNGs."
        )
        add("--version", action=_ShowVersion, nargs=0, help="show the version and stop")
        add("reference", metavar="REFERENCE", help="images, with or without statistics")
        add("samples", metavar="SAMPLES", nargs="+", help="the images to grade, one batch or more")
        add("--intervals", action="store_true", help="add 95 %% intervals")
        add(
            "--paired",
            action="store_true",
            help="sample i of all SAMPLES has the same label and noise, although no manifest says "
            "so: --intervals then compares them with the first sample by sample",
        )
        add(
            "--num-images",
            type=POSITIVE,
            help="grade the first so many samples, or random ones with --shuffle (default: all)",
        )
        add(
            "--shuffle",
            action="store_true",
            help="grade the samples in a random order (of --seed), which moves the Inception Score "
            "of those that come class by class",
        )
        add(
            "--by-class",
            action="store_true",
            help="add precision of the samples and recall of the reference images of each class",
        )
        add(
            "--cache",
            action="store_true",
            help="keep features under ~/.cache (20 kB an image) and use those that are there",
        )
        add(
            "--shards",
            metavar="FOLDER",
            help="keep features of finished images there until all are done, for a run that is "
            "killed",
        )
        add("--samples-digest", metavar="DIGEST", help="refuse samples of another spec")
        add("--json", metavar="OUT", help="write metrics and protocol there (-: to stdout)")
        add("--table", metavar="OUT", help="write a table there: .txt, .csv, .md or .tex")
    elif command == "ceiling":
        add("data", metavar="DATA", help="real images: .zip, folder or .npz")
        _add_num_images(parser, 50_000, "random images of each half at most")
        add(
            "--json",
            metavar="OUT",
            required=True,
            help="write the metrics there (-: to stdout)",
        )
    elif command == "reference":
        add("data", metavar="DATA", help="images: .zip of PNGs, folder or .npz")
        _add_num_images(
            parser, 10_000, "random images stored for precision and recall; statistics use all"
        )
        add("--out", metavar="REF.npz", required=True, help="the file to write")
    elif command == "nearest":
        add("reference", metavar="REFERENCE", help="real images, as in grading")
        add("samples", metavar="SAMPLES", help="the samples")
        add("--num-images", type=POSITIVE, default=10, help="how many samples (default 10)")
        add("--num-neighbours", type=POSITIVE, default=5, help="images of each (default 5)")
        add("--out", metavar="NEAREST.npz", required=True, help="the file to write")
    elif command == "network":
        add("data", metavar="DATA", help="labelled zip of PNGs with dataset.json")
        add("--spec", metavar="SPEC.json", required=True, help="how to train it")
        add("--out", metavar="NET.safetensors", required=True, help="the file to write")
    elif command == "weights":
        add("--sha256", metavar="HASH", help="what it must be (default: the published one's)")
        add("--out", metavar="FILE.pb", required=True, help="where to put it")
    elif command == "audit":
        add("path", metavar="FILE", help="a batch: .npz, .zip or folder")
        add("--json", metavar="OUT", help="write the same as JSON there (-: to stdout)")
    elif command == "selftest":
        add("--reference", metavar="REF.npz", help="the authors' imagenet_256 reference")
        add("--samples", metavar="SAMPLES.npz", help="their ADM-G, ADM-U samples")
    _add_shared_options(parser, command)
    return parser


def _add_num_images(parser: argparse.ArgumentParser, default: int, words: str) -> None:
    """Add how many images are drawn at random."""
    parser.add_argument(
        "--num-images",
        type=POSITIVE,
        default=default,
        help=f"{words} (default {default})",
    )


def _add_shared_options(parser: argparse.ArgumentParser, command: str) -> None:
    """Add the options that a command shares with others."""
    add = parser.add_argument
    if command in ("", "ceiling", "reference", "network", "audit"):
        add("--allow-jpeg", action="store_true", help="take JPEG files, although they move FID")
    if command in ("", "ceiling"):
        add(
            "--half-distances",
            action="store_true",
            help="precision and recall with the authors' float16 arithmetic, which moves them by "
            "up to 0.02, and exactly beside it (default: exactly alone)",
        )
        add("--name", help="of the result (default: from the file's name)")
        add(
            "--metrics",
            metavar="NAMES",
            help=f"with commas, out of {', '.join(PAPER)} (the default) and {', '.join(EXTRAS)}",
        )
    if command in ("", "ceiling", "reference", "nearest"):
        add("--digest", help="of the spec that asked for it, written into the result")
    if command in ("", "ceiling", "reference", "nearest", "network", "weights"):
        add_event_options(parser)
    if command in ("", "ceiling", "reference"):
        add("--seed", type=NOT_NEGATIVE, default=0, help="of random draws (default 0)")
    if command in ("", "ceiling", "reference", "nearest", "selftest"):
        add(
            "--weights",
            metavar="NET",
            help="the feature network: Inception's frozen graph (default: downloaded once and "
            "kept) or a small network's .safetensors",
        )
        add(
            "--any-weights",
            action="store_true",
            help="take a frozen graph with another hash than the published one; its FIDs compare "
            "with no published ones",
        )
        add(
            "--backend",
            choices=("torch", "tensorflow"),
            default="torch",
            help="what runs Inception (default torch)",
        )
        add("--batch-size", type=POSITIVE, default=64, help="images at a time")
        add_machine_options(parser)
