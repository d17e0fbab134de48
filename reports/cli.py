"""Command line: `table` evaluates one table and writes its files, `index` writes the first page.

`site`, `pdf` and `screenshots` make other things of finished pages.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from records.errors import UserError
from records.events import EventLog, add_event_options, open_events
from records.files import atomic_write, read_json, write_json
from records.inputs import refuse_replacing
from records.manifest import hash_inputs, make_manifest, write_manifest
from reports.browser import print_pdf, take_screenshots
from reports.claims import count_verdicts
from reports.crate import make_crate
from reports.export import render_csv, render_markdown
from reports.figures.page import render_figures, render_points
from reports.figures.points import evaluate_figures
from reports.files import condense, find_metrics, list_problems
from reports.frame import write_numbers
from reports.latex import render_latex
from reports.pictures import make_pictures
from reports.plots import write_plots
from reports.render import has_page, render_index, render_table
from reports.reviewer import render_checklist
from reports.runs.page import find_sample_pages, list_pages, write_run_pages
from reports.site import make_site
from reports.tables import FORMAT, make_table
from specs.figure_page import load_figure_page
from specs.page import PageSpec, load_page
from specs.results import AllCosts, EvaluatedTable
from specs.run_pages import MODELS, SAMPLES, load_run_pages
from specs.strict import validated


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8) that is either whole or absent."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8"))


def write_table(
    spec_path: str | Path,
    out_dir: str | Path,
    events: EventLog | None = None,
    runs_path: str | Path | None = None,
) -> None:
    """Evaluate a table and write it as JSON, CSV, Markdown, LaTeX and HTML, with its manifest.

    Args:
        spec_path: table specification; its paths are relative to the current folder.
        out_dir: where table<N>.html and its siblings go.
        events: where to record that; None records nothing.
        runs_path: specification of the pages of its models and sample sets; None for none.

    Raises:
        UserError: a broken specification, or one that would be written over.
    """
    spec, runs = load_page(spec_path), load_run_pages(runs_path) if runs_path else None
    out = {
        ending: Path(out_dir) / f"{spec.table.name}.{ending}"
        for ending in ("csv", "md", "tex", "json", "html")
    }
    for path in out.values():
        refuse_replacing(path, spec_path)
    about: dict[str, Any] = {"kind": "page", "name": spec.table.name, "digest": spec.digest}
    events = events or EventLog(None)
    with events.record(job="table", spec=None, **about) as usage:
        events.write("verdicts", **_write_pages(spec, out, find_sample_pages(runs)))
        if runs:
            write_run_pages(runs, Path(out_dir))
        manifest = make_manifest(**about, inputs=hash_inputs(metrics=_list_shown(spec)))
        write_manifest(out["html"], manifest, usage)


def _write_pages(
    spec: PageSpec, out: Mapping[str, Path], sample_pages: Mapping[str, str]
) -> dict[str, int]:
    """Evaluate a table and write it in every format; return how many claims have which verdict."""
    table = make_table(spec)
    problems: list[str] = []
    pictures = make_pictures(spec, problems)
    table["flags"] = condense([*dict.fromkeys([*table["flags"], *problems])])
    for problem in condense(list_problems(spec.list_metrics()) + problems):
        print(f"warning: {problem}", file=sys.stderr)
    texts = {
        "LaTeX": render_latex(table), "Markdown": render_markdown(table), "CSV": render_csv(table)
    }  # fmt: skip
    page = render_table(table, pictures, spec.pages, out["html"].parent, sample_pages, texts)
    for ending, text in zip(("tex", "md", "csv"), texts.values(), strict=True):
        write_text(out[ending], text)
    write_json(out["json"], table)
    write_text(out["html"], page)
    return count_verdicts(table["claims"])


def _list_shown(spec: PageSpec) -> list[str]:
    return [one.path for one in spec.list_metrics() if find_metrics(one).content is not None]


def load_table(path: str | Path) -> dict[str, Any]:
    """Read an evaluated table.

    Raises:
        UserError: missing, not JSON, or of another format.
    """
    table = read_json(path, "table of numbers (python -m reports table)")
    if not isinstance(table, dict) or table.get("format") != FORMAT or "claims" not in table:
        raise UserError(
            f"{path}: not an evaluated table of format {FORMAT}; "
            "write it with `python -m reports table` and name the .json beside its page"
        )
    return validated(EvaluatedTable, table, str(path)).content()


def load_costs(path: str | Path) -> dict[str, Any]:
    """Read what everything cost: lists of named entries, entries by name, and single numbers.

    Raises:
        UserError: missing, not JSON, or of another shape.
    """
    return validated(AllCosts, read_json(path, "list of costs"), str(path)).content()


def write_index(
    table_paths: Sequence[str | Path], out_dir: str | Path, costs_path: str | Path | None
) -> None:
    """Write index.html: all claims first, then the tables, then what they cost.

    Args:
        table_paths: evaluated tables, in any order.
        out_dir: the folder of the tables' pages.
        costs_path: JSON of training iterations, seconds and samples, or None.

    Raises:
        UserError: a file is broken, or two tables have one name.
    """
    tables = [load_table(path) for path in table_paths]
    tables.sort(key=lambda table: (table["neurips"] is None, table["neurips"] or table["arxiv_v4"]))
    names = [table["name"] for table in tables]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UserError(f"{', '.join(repeated)} given twice; name every table once")
    costs = None if costs_path is None else load_costs(costs_path)
    folder = Path(out_dir)
    page = render_index(
        tables,
        costs,
        has_figures=has_page(folder, "figures"),
        run_pages={"models": list_pages(folder, MODELS), "rows": list_pages(folder, SAMPLES)},
    )
    write_text(folder / "index.html", page)


def write_figures(
    spec_path: str | Path,
    out_dir: str | Path,
    events: EventLog | None = None,
    runs_path: str | Path | None = None,
    index_tables: Sequence[str] = (),
) -> None:
    """Draw all figures and write their page, and the points of each as CSV.

    A first page that is there is rendered again: it gets its link to the figures.

    Args:
        spec_path: specification of the figures; its paths are relative to the current folder.
        out_dir: where figures.html goes, and the folder figures/ with the points.
        events: where to record that; None records nothing.
        runs_path: specification of the pages of its models and sample sets; None for none.
        index_tables: the evaluated tables of the first page.

    Raises:
        UserError: a broken specification.
    """
    page, runs = load_figure_page(spec_path), load_run_pages(runs_path) if runs_path else None
    about: dict[str, Any] = {"kind": "page", "name": "figures", "digest": page.digest}
    with (events or EventLog(None)).record(job="figures", spec=None, **about) as usage:
        problems: list[str] = []
        figures = evaluate_figures(page, problems)
        for problem in condense(list(dict.fromkeys(problems))):
            print(f"warning: {problem}", file=sys.stderr)
        folder = Path(out_dir)
        pages = {one.name: one.title for table in page.tables.values() for one in table.pages}
        links = [
            (name, title.partition(":")[0])
            for name, title in pages.items()
            if has_page(folder, name)
        ]
        if links or has_page(folder, "index"):  # which is rendered after the tables
            links.insert(0, ("index", "Overview"))
        said = condense(list(dict.fromkeys(problems)))
        text = render_figures(page, figures, said, links, find_sample_pages(runs))
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        for figure in figures:
            write_text(folder / "figures" / f"{figure['name']}.csv", render_points(figure))
        write_text(folder / "figures.html", text)
        if runs:
            write_run_pages(runs, folder)
        write_manifest(folder / "figures.html", make_manifest(**about, inputs={}), usage)
        if index_tables:
            _link_figures(index_tables, folder)


def _link_figures(table_paths: Sequence[str], folder: Path) -> None:
    """Render a first page that is there again; where it cannot be, it stays as it was."""
    costs = folder / "costs.json"
    if not all(Path(path).exists() for path in (folder / "index.html", *table_paths)):
        return
    try:
        write_index(table_paths, folder, costs if costs.exists() else None)
    except UserError as error:
        print(f"warning: {folder / 'index.html'} is as it was: {error}", file=sys.stderr)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m reports`."""
    parser = argparse.ArgumentParser(prog="python -m reports", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    table = commands.add_parser(
        "table", help="evaluate one table: HTML, CSV, Markdown, LaTeX, JSON"
    )
    table.add_argument("--spec", required=True, help="table specification (JSON)")
    table.add_argument("--out-dir", required=True, help="folder to write to")
    figures = commands.add_parser("figures", help="write the page of all figures")
    figures.add_argument("--spec", required=True, help="specification of the figures (JSON)")
    figures.add_argument("--out-dir", required=True, help="folder of the tables' pages")
    figures.add_argument(
        "--index-tables",
        nargs="*",
        default=(),
        metavar="TABLE.json",
        help="those of the first page, which gets a link to the figures if it is there",
    )
    index = commands.add_parser("index", help="write index.html over evaluated tables")
    index.add_argument("tables", nargs="+", metavar="TABLE.json", help="files written by `table`")
    index.add_argument("--out-dir", required=True, help="folder of the tables' pages")
    index.add_argument("--costs", help="JSON of iterations, seconds and samples")
    for command in (table, figures):
        command.add_argument(
            "--runs", help="specification of the pages of its models and sample sets (JSON)"
        )
    for command in (table, figures, index):
        add_event_options(command)
    numbers = commands.add_parser("numbers", help="collect the numbers of all tables in one CSV")
    numbers.add_argument("reports", type=Path, nargs="+", help="folders of finished reports")
    numbers.add_argument("--out", type=Path, required=True, help="file to write")
    for name, words in (
        ("site", "copy a finished report, and what it links to, for a web server"),
        ("pdf", "print all tables into one PDF"),
        ("screenshots", "picture the pages for the README"),
        ("plots", "write the plots of a page as SVG files"),
        ("reviewer", "answer the checklists of reviewers from manifests"),
        ("crate", "pack pages, numbers and their provenance as a Workflow Run RO-Crate"),
    ):
        command = commands.add_parser(name, help=words)
        words = "a page (HTML)" if name == "plots" else "folder of a finished report"
        command.add_argument("report", type=Path, help=words)
        command.add_argument("--out", type=Path, required=True, help="file or folder to write")
        if name == "crate":
            command.add_argument(
                "--everything",
                action="store_true",
                help="pack images, weights and samples as well, not their hashes alone",
            )
            command.add_argument("--agent", help="name of the person who ran it")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command."""
    args = make_parser().parse_args(argv)
    if args.command == "table":
        write_table(args.spec, args.out_dir, open_events(args), args.runs)
    elif args.command == "figures":
        events = open_events(args)
        write_figures(args.spec, args.out_dir, events, args.runs, args.index_tables)
    elif args.command == "numbers":
        print(f"{args.out}: {write_numbers(args.reports, args.out)} lines")
    elif args.command == "site":
        num_files, num_bytes = make_site(args.report.absolute(), args.out.absolute())
        print(f"{args.out}: {num_files} files, {num_bytes / 1e6:.1f} MB")
    elif args.command == "crate":
        num_files, num_described = make_crate(
            args.report, args.out, everything=args.everything, agent=args.agent
        )
        print(f"{args.out}: {num_files} files, {num_described} artefacts described")
    elif args.command == "reviewer":
        write_text(args.out, render_checklist(args.report))
        print(args.out)
    elif args.command == "plots":
        print(f"{args.out}: {len(write_plots(args.report, args.out))} plots")
    elif args.command == "pdf":
        print_pdf(args.report, args.out)
        print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB")
    elif args.command == "screenshots":
        for path in take_screenshots(args.report, args.out):
            print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")
    else:
        about = {"kind": "page", "name": "index", "digest": None, "spec": None}
        with open_events(args).record(job="index", **about):
            write_index(args.tables, args.out_dir, args.costs)
