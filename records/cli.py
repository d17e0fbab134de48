"""The commands of `python -m records`: trace a number back to its images, and runs into MLflow."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from records.errors import UserError, main_guard
from records.files import atomic_write
from records.interrupts import catch_stop_signals
from records.lineage import list_artefacts, trace, verify
from records.lineage_drawing import draw_svg, draw_tree
from records.mlflow_page import serve_page
from records.options import whole_number
from records.runs import find_events
from records.tracking import Summary, default_uri, track
from records.tracking_store import hide_password

PAUSE_S = 5.0  # between two looks for something new
CURE = "make or pull it again, or name the folder that has it with --results"
URI_VARIABLE = "MLFLOW_TRACKING_URI"


def make_parser() -> argparse.ArgumentParser:
    """Describe the commands and their options."""
    parser = argparse.ArgumentParser(prog="python -m records", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    tracking = commands.add_parser(
        "track",
        help="bring recorded runs into MLflow, each once, however often it is called",
        description=f"The store is what ${URI_VARIABLE} names, else mlflow.db in the results.",
    )
    tracking.add_argument(
        "--follow",
        action="store_true",
        help="go on bringing what jobs record, until Ctrl-C",
    )
    page = commands.add_parser("ui", help="the same, then serve MLflow's page on the runs")
    lineage = commands.add_parser(
        "trace",
        help="walk from a result back to the images: samples, weights, data, by their hashes",
        description="Exit code 1 when a link is broken: a file is missing, or differs from its "
        "hash (--verify).",
    )
    lineage.add_argument("file", help="metrics, samples, weights or a page of this project")
    lineage.add_argument("--verify", action="store_true", help="hash every file again")
    lineage.add_argument("--svg", help="draw the chain into this file as well")
    for command in (tracking, page, lineage):
        command.add_argument("--results", default="results", help="folder of results (results)")
    page.add_argument(
        "--port",
        type=whole_number(at_least=1, at_most=65535),
        default=5000,
        help="of the page's address (5000)",
    )
    return parser


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Raises:
        UserError: anything that the user can fix.
    """
    args = make_parser().parse_args(argv)
    if args.command == "trace":
        return _trace(args)
    uri = os.environ.get(URI_VARIABLE) or None
    if args.command == "ui" and uri is not None:
        raise UserError(
            f"{URI_VARIABLE}: names {hide_password(uri)}, and this page shows the results folder's "
            "own runs; unset the variable, or open that server's page (of a database, that of "
            "`mlflow server --backend-store-uri ADDRESS`)"
        )
    if args.command == "track" and args.follow:
        return _follow(args.results, uri)
    summary = track(args.results, uri)
    for notice in summary.notices:
        print(notice, file=sys.stderr)
    print(_describe(summary, uri or default_uri(args.results)))
    if args.command == "ui":
        return serve_page(args.results, args.port, summary.experiments)
    return 0


def _trace(args: argparse.Namespace) -> int:
    """Print where a result comes from; return 1 when a link is broken."""
    first = trace(args.file, args.results)
    num_hashed = verify(first) if args.verify else 0
    print(draw_tree(first))
    if args.svg:
        with atomic_write(args.svg) as file:
            file.write(f"{draw_svg(first)}\n".encode())
    chain = list_artefacts(first)
    readers = {id(one): reader.path for reader in chain for _, one in reader.inputs}
    broken = [one for one in chain if one.fault]
    for one in broken:
        place = one.path or readers.get(id(one)) or one.name
        print(f"error: {place}: {one.fault}; {CURE}", file=sys.stderr)
    if num_hashed and not broken:
        files = f"{num_hashed} file{'s' * (num_hashed != 1)}"
        print(f"{files} hashed: each is what its readers recorded")
    return 1 if broken else 0


def _follow(results: str, uri: str | None) -> int:
    """Bring what jobs record, whenever they have recorded something, until Ctrl-C; return 0.

    An import that is under way then is finished first; Ctrl-C again cuts it off.

    Raises:
        UserError: as `track` does; what was recorded stays for the next import.
    """
    seen: list[tuple[str, int]] | None = None
    told: set[str] = set()
    with suppress(KeyboardInterrupt), catch_stop_signals(signal.SIGINT) as caught:
        while not caught:
            sizes = [(str(path), _measure(path)) for path in find_events(results)[0]]
            if sizes != seen:
                summary = track(results, uri)
                for notice in summary.notices:
                    if notice not in told:
                        print(notice, file=sys.stderr)
                told |= {*summary.notices}
                print(_describe(summary, uri or default_uri(results)), flush=True)
                seen = sizes
            end = time.monotonic() + PAUSE_S
            while not caught and time.monotonic() < end:
                time.sleep(0.1)
    return 0


def _measure(path: Path) -> int:
    """Return the size of a file; 0 of one that has just gone, or is a link to nothing."""
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _describe(summary: Summary, uri: str) -> str:
    """Say in a line what an import did."""
    if not summary.num_runs:
        return "no recorded runs yet: run some jobs first, such as `make table3`"
    old = summary.num_runs - summary.num_new - summary.num_changed
    names = ", ".join(summary.experiments)
    place = uri.rpartition("@")[2]  # never the password of a server's address
    return (
        f"{summary.num_runs} runs of {names} in {place}: {summary.num_new} new, "
        f"{summary.num_changed} brought up to date, {old} as they were"
    )


main = main_guard(run)
