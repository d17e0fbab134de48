"""The commands of `python -m records`: bring what jobs recorded into MLflow, and look at it."""

import argparse
import os
import sys
from collections.abc import Sequence

from records.errors import UserError, main_guard
from records.mlflow_page import serve_page
from records.options import whole_number
from records.tracking import Summary, default_uri, track

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
    page = commands.add_parser("ui", help="the same, then serve MLflow's page on the runs")
    for command in (tracking, page):
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
    uri = os.environ.get(URI_VARIABLE) or None
    if args.command == "ui" and uri is not None:
        raise UserError(
            f"{URI_VARIABLE} names a server, which has a page of its own: open it there, or unset "
            "the variable to see the results folder's runs"
        )
    summary = track(args.results, uri)
    for notice in summary.notices:
        print(notice, file=sys.stderr)
    print(_describe(summary, uri or default_uri(args.results)))
    if args.command == "ui":
        return serve_page(args.results, args.port, summary.experiments)
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
