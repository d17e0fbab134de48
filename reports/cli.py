"""Command line: `table` evaluates one table and writes its files, `index` writes the first page."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from records.errors import UserError
from records.files import atomic_write, read_json, write_json
from records.inputs import refuse_replacing
from reports.export import render_csv, render_latex, render_markdown
from reports.pictures import make_pictures
from reports.render import render_index, render_table
from reports.spec import NUMBER, TEXT, TEXTS, WHOLE, check_keys, check_type, load_spec
from reports.tables import FORMAT, make_table

# What the first page shows of an evaluated table, and of what everything cost.
EVALUATED_KEYS = {
    "name": TEXT, "neurips": (int, type(None)), "arxiv_v4": WHOLE, "title": TEXT, "scale": TEXT,
    "source": TEXT, "scale_notes": TEXTS, "claims": [dict], "num_measured": WHOLE,
    "num_rows": WHOLE, "flags": TEXTS, "protocol_summary": [[TEXT]], "command": TEXT,
}  # fmt: skip
JUDGED_KEYS = {
    "id": TEXT, "text": TEXT, "where": TEXT, "verdict": TEXT, "deciding": WHOLE,
    "comparisons": [dict],
}  # fmt: skip
COST = (*NUMBER, str, type(None))


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8) that is either whole or absent."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8"))


def write_table(spec_path: str | Path, out_dir: str | Path) -> None:
    """Evaluate a table and write it as JSON, CSV, Markdown, LaTeX and HTML.

    Args:
        spec_path: table specification; its paths are relative to the current folder.
        out_dir: where table<N>.html and its siblings go.

    Raises:
        UserError: a broken specification, metrics file or batch of samples, or a specification that
            would be written over.
    """
    spec = load_spec(spec_path)
    out = {
        ending: Path(out_dir) / f"{spec['table']['name']}.{ending}"
        for ending in ("csv", "md", "tex", "json", "html")
    }
    for path in out.values():
        refuse_replacing(path, spec_path)
    table = make_table(spec)
    page = render_table(table, make_pictures(spec), spec.get("pages", []))
    write_text(out["csv"], render_csv(table))
    write_text(out["md"], render_markdown(table))
    write_text(out["tex"], render_latex(table))
    write_json(out["json"], table)
    write_text(out["html"], page)


def load_table(path: str | Path) -> dict[str, Any]:
    """Read an evaluated table.

    Raises:
        UserError: missing, not JSON, or of another format.
    """
    table = read_json(path, "evaluated table (python -m reports table)")
    if not isinstance(table, dict) or table.get("format") != FORMAT or "claims" not in table:
        raise UserError(
            f"{path}: not an evaluated table of format {FORMAT}; "
            "write it with `python -m reports table` and name the .json beside its page"
        )
    check_keys(table, EVALUATED_KEYS, str(path))
    for index, claim in enumerate(table["claims"]):
        check_keys(claim, JUDGED_KEYS, f"{path}: claims[{index}]")
    return table


def load_allotment(path: str | Path) -> dict[str, Any]:
    """Read what everything cost: lists of named entries, entries by name, and single numbers.

    Raises:
        UserError: missing, not JSON, or of another shape.
    """
    allotment = read_json(path, "allotment")
    if not isinstance(allotment, dict):
        raise UserError(f"{path}: got a {type(allotment).__name__}; an object is needed")
    for key, value in allotment.items():
        entries = {key: value}
        if isinstance(value, list):
            entries = {f"{key}[{index}]": entry for index, entry in enumerate(value)}
        elif isinstance(value, dict):
            for name, one in value.items():
                check_type(one, dict, f"{path}: {key}.{name}")
            entries = {f"{key}.{name}": {"name": name, **one} for name, one in value.items()}
        for place, entry in entries.items():
            if isinstance(value, (list, dict)):
                check_keys(entry, {"name": TEXT}, f"{path}: {place}")
            for name, cost in entry.items() if isinstance(entry, dict) else [("", entry)]:
                check_type(cost, COST, f"{path}: {place} {name}".rstrip())
    return allotment


def write_index(
    table_paths: Sequence[str | Path], out_dir: str | Path, allotment_path: str | Path | None
) -> None:
    """Write index.html: all claims first, then the tables, then what they cost.

    Args:
        table_paths: evaluated tables, in any order.
        out_dir: the folder of the tables' pages.
        allotment_path: JSON of training iterations, seconds and samples, or None.

    Raises:
        UserError: a file is broken, or two tables have one name.
    """
    tables = [load_table(path) for path in table_paths]
    tables.sort(key=lambda table: (table["neurips"] is None, table["neurips"] or table["arxiv_v4"]))
    names = [table["name"] for table in tables]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UserError(f"{', '.join(repeated)} given twice; name every table once")
    allotment = None if allotment_path is None else load_allotment(allotment_path)
    write_text(Path(out_dir) / "index.html", render_index(tables, allotment))


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m reports`."""
    parser = argparse.ArgumentParser(prog="python -m reports", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    table = commands.add_parser(
        "table", help="evaluate one table: HTML, CSV, Markdown, LaTeX, JSON"
    )
    table.add_argument("--spec", required=True, help="table specification (JSON)")
    table.add_argument("--out-dir", required=True, help="folder to write to")
    index = commands.add_parser("index", help="write index.html over evaluated tables")
    index.add_argument("tables", nargs="+", metavar="TABLE.json", help="files written by `table`")
    index.add_argument("--out-dir", required=True, help="folder of the tables' pages")
    index.add_argument("--allotment", help="JSON of iterations, seconds and samples")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command."""
    args = make_parser().parse_args(argv)
    if args.command == "table":
        write_table(args.spec, args.out_dir)
    else:
        write_index(args.tables, args.out_dir, args.allotment)
