"""The commands of `python -m workflow`: what a page shows and what the jobs cost."""

import argparse
from collections.abc import Sequence

from records.errors import UserError, main_guard
from records.files import write_json
from workflow.costs import format_allotment, make_allotment
from workflow.settings import DEFAULTS, load_plan
from workflow.table_spec import make_table_spec


def make_parser() -> argparse.ArgumentParser:
    """Describe the commands and their options."""
    parser = argparse.ArgumentParser(prog="python -m workflow", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    table = commands.add_parser("table-spec", help="write what a table's page shows")
    table.add_argument("--table", required=True, help="table1 to table6")
    table.add_argument("--out", required=True, help="JSON file to write")
    allotment = commands.add_parser("allotment", help="write what the jobs cost")
    allotment.add_argument("--out", required=True, help="JSON file to write")
    summary = commands.add_parser("summary", help="print what the jobs cost")
    for command in (table, allotment, summary):
        for key, value in DEFAULTS.items():
            command.add_argument(f"--{key}", default=value)
    return parser


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Raises:
        UserError: anything that the user can mend.
    """
    args = make_parser().parse_args(argv)
    plan = load_plan({key: getattr(args, key) for key in DEFAULTS})
    if args.command == "table-spec":
        if args.table not in plan.tables:
            raise UserError(f"--table: got {args.table!r}; needed: one of {', '.join(plan.tables)}")
        write_json(args.out, make_table_spec(plan, args.table))
    elif args.command == "allotment":
        write_json(args.out, make_allotment(plan))
    else:
        print(format_allotment(make_allotment(plan)))
        print(f"report: {plan.root}/report/index.html")
    return 0


main = main_guard(run)
