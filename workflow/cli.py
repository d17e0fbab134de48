"""The commands of `python -m workflow`: what jobs will cost, what they cost, what a page shows.

`resolve`, `reproduce` and `collect` are the stages of dvc.yaml; `forget` removes a published file
that proved the wrong one.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from records.errors import UserError, main_guard
from records.files import write_json
from records.options import POSITIVE, number
from specs.overrides import Run
from specs.strict import read_yaml, validated
from workflow.availability import list_artefacts
from workflow.costs import format_costs, make_costs
from workflow.doctor import examine_machine
from workflow.doctor_slurm import examine_cluster, load_profile
from workflow.fetching import forget_artefact
from workflow.figures import make_figure_page
from workflow.forecast import make_forecast
from workflow.forecast_counts import write_counts
from workflow.forecast_facts import load_devices
from workflow.forecast_text import format_forecast
from workflow.layout import find_shipped
from workflow.paper_revision import make_paper_revision
from workflow.plan import FIGURES, NONE, Plan
from workflow.resolve import load_run, resolve_tables
from workflow.run_pages import make_run_pages
from workflow.sealing import list_uncommitted, seal
from workflow.settings import DEFAULTS, load_plan
from workflow.stage import collect_numbers, reproduce_table
from workflow.table_spec import make_table_spec

RUN = "params/run.yaml"  # what `dvc repro` computes


def make_parser() -> argparse.ArgumentParser:
    """Describe the commands and their options."""
    parser = argparse.ArgumentParser(prog="python -m workflow", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    table = commands.add_parser("table-spec", help="write what a table's page shows")
    table.add_argument("--table", required=True, help="a table, as params/tables.yaml names it")
    figures = commands.add_parser("figures-spec", help="write what the page of figures shows")
    for command in (table, figures):
        command.add_argument("--out", required=True, help="JSON file to write")
        command.add_argument(
            "--runs", help="write here what the pages of its models and sample sets show (JSON)"
        )
    costs = commands.add_parser("costs", help="write what the jobs cost")
    costs.add_argument("--out", required=True, help="JSON file to write")
    summary = commands.add_parser("summary", help="print what the jobs cost")
    plan = commands.add_parser(
        "plan", help="forecast what targets cost: jobs, operations, GPU hours, disk, wall time"
    )
    plan.add_argument(
        "targets",
        nargs="*",
        default=["reproduce_all"],
        metavar="TARGET",
        help="reproduce_all (default), reproduce_table4, a table's name or alias, figures",
    )
    devices = ", ".join(load_devices()["devices"])
    plan.add_argument("--gpu", help=f"what computes: {devices} (default: as the scale's device)")
    plan.add_argument(
        "--utilisation",
        type=number(above=0, at_most=1),
        help="share of the GPU's peak that is reached, such as 0.3",
    )
    plan.add_argument("--num-gpus", type=POSITIVE, default=1, help="how many there are")
    plan.add_argument(
        "--keep-state", action="store_true", help="optimiser states stay after the last mark"
    )
    plan.add_argument("--json", action="store_true", help="print JSON")
    plan.add_argument(
        "--write", action="store_true", help="first count the scale's networks again (loads torch)"
    )
    resolve = commands.add_parser(
        "resolve", help="write what each table depends on (stage plan of dvc.yaml)"
    )
    for key in ("scale", "source"):
        resolve.add_argument(f"--{key}", required=True, help="as in params/run.yaml")
    resolve.add_argument("--overrides", default=NONE, help="params/run.yaml, or a file like it")
    reproduce = commands.add_parser(
        "reproduce", help="make one table with Snakemake (stages table1 to table6 of dvc.yaml)"
    )
    reproduce.add_argument("plan", help="what the table depends on: a file that resolve wrote")
    reproduce.add_argument(
        "snakemake", nargs=argparse.REMAINDER, help="snakemake and its arguments"
    )
    collect = commands.add_parser("collect", help="write a table's numbers (its stage's end)")
    collect.add_argument("plan", help="what the table depends on: a file that resolve wrote")
    doctor = commands.add_parser(
        "doctor", help="see whether a run can go through here: folder, locks, disk, SLURM, a node"
    )
    doctor.add_argument("targets", nargs="*", default=["reproduce_all"], metavar="TARGET")
    doctor.add_argument("--profile", help="of Snakemake, such as slurm: look at the cluster too")
    for key in DEFAULTS:
        doctor.add_argument(f"--{key}", help="default: the profile's, else as everywhere")
    paper = commands.add_parser(
        "paper",
        help="make a revision `paper` of git, for `dvc metrics diff paper`; scale and source are "
        "those of params/run.yaml unless named",
    )
    sealing = commands.add_parser(
        "seal",
        help="hand finished results to DVC, to push them and pull them elsewhere; scale and source "
        "are those of params/run.yaml unless named",
    )
    forget = commands.add_parser(
        "forget", help="remove a published file that proved the wrong one, to fetch it again"
    )
    forget.add_argument("path", help="as published (64x64_diffusion.pt), or the path of a copy")
    for command in (table, figures, costs, summary, plan, paper, sealing, forget):
        for key, value in DEFAULTS.items():
            command.add_argument(f"--{key}", default=value)
    forget.set_defaults(scale="paper")  # whose files they are
    for command in (paper, sealing):  # None: as params/run.yaml says
        command.set_defaults(scale=None, source=None)
    return parser


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Raises:
        UserError: anything that the user can fix.
    """
    args = make_parser().parse_args(argv)
    if args.command == "reproduce":
        return reproduce_table(args.plan, args.snakemake)
    if args.command == "collect":
        print(f"wrote {collect_numbers(args.plan)}")
        return 0
    if args.command == "resolve":
        for path in resolve_tables(load_run(args.scale, args.source, args.overrides)):
            print(f"wrote {path}")
        return 0
    if args.command == "doctor":
        return see_doctor(args)
    settings = {key: getattr(args, key) for key in DEFAULTS}
    if None in settings.values():
        told = validated(Run, read_yaml(find_shipped(RUN)), RUN)
        settings |= {key: getattr(told, key) for key in ("scale", "source") if not settings[key]}
    plan = load_plan(settings)
    if args.command == "table-spec":
        if args.table not in plan.tables:
            raise UserError(f"--table: got {args.table!r}; needed: one of {', '.join(plan.tables)}")
        write_json(args.out, make_table_spec(plan, args.table).content())
        _write_runs(plan, args.table, args.runs)
    elif args.command == "figures-spec":
        write_json(args.out, make_figure_page(plan).content())
        _write_runs(plan, FIGURES, args.runs)
    elif args.command == "costs":
        write_json(args.out, make_costs(plan))
    elif args.command == "forget":
        for path in forget_artefact(
            args.path, list_artefacts(plan.released), root=plan.layout.root
        ):
            print(f"removed {path}")
        print("it is fetched again when it is needed; numbers made of it already stay")
    elif args.command == "paper":
        print(f"branch paper: {make_paper_revision(plan)}; now type `dvc metrics diff paper`")
    elif args.command == "seal":
        files = seal(plan.layout)
        print("results are in DVC's cache; to share them:")
        changed = list_uncommitted([*files, "metrics", "dvc.lock"])
        added = f"git add {' '.join(changed)} && git commit && " if changed else ""
        print(f"  {added}dvc push")
    elif args.command == "plan":
        if args.write:
            print(f"wrote {write_counts(plan)}", file=sys.stderr)
        forecast = make_forecast(
            plan,
            args.targets,
            gpu=args.gpu,
            utilisation=args.utilisation,
            num_gpus=args.num_gpus,
            keep_state=args.keep_state or plan.scale.compute.keep_state,
        )
        print(json.dumps(forecast, indent=1) if args.json else format_forecast(forecast))
    else:
        print_summary(plan)
    return 0


def _write_runs(plan: Plan, page: str, path: str | None) -> None:
    if path is not None:
        write_json(path, make_run_pages(plan, page).content())


def see_doctor(args: argparse.Namespace) -> int:
    """Print a line for each thing that a run needs; return 1 when one of them has to be mended."""
    profile, settings = load_profile(args.profile) if args.profile else ({}, {})
    given = {key: value for key in DEFAULTS if (value := getattr(args, key)) is not None}
    plan = load_plan({**settings, **given})
    findings = chain(
        examine_machine(plan, args.targets),
        examine_cluster(plan, profile, args.targets) if args.profile else (),
    )
    is_well = True
    for finding in findings:
        print(finding.line, flush=True)
        is_well &= finding.is_well
    return 0 if is_well else 1


def print_summary(plan: Plan) -> None:
    """Print what the jobs of a plan cost, and where their pages are; one line when none ran."""
    costs = make_costs(plan)
    if not costs["stages"]:
        print(
            f"no job of scale {plan.scale.name}, source {plan.source} has run here: "
            f"nothing in {plan.layout.logs}"
        )
        return
    print(format_costs(costs))
    pages = [Path(plan.layout.page(name)) for name in ("index", *plan.shown_tables)]
    made = [page for page in pages if page.exists()]
    for page in made[:1] if made[:1] == pages[:1] else made:  # the index leads to the others
        print(f"report: {page}")


main = main_guard(run)
