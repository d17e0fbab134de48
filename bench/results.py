"""Write docs/results.md from a finished run: what it cost, its tables, its claims.

    python -m bench.results results/digits [--page docs/results.md]

Everything in the page above its line MARKER is written by hand and stays; the rest is replaced.
"""

import argparse
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench.recognition import compute_real_accuracy, compute_recognised
from records.errors import UserError, main_guard
from records.files import atomic_write
from reports.claims import PUBLISHED_ONLY, VERDICTS
from reports.cli import load_costs, load_table
from reports.format import (
    describe_effect,
    escape_markdown,
    format_count,
    format_seconds,
    start_sentence,
    table_number,
)
from workflow.costs import make_costs
from workflow.settings import load_plan

PAGE = Path(__file__).resolve().parent.parent / "docs" / "results.md"
MARKER = "<!-- Everything below this line is written by `python -m bench.results`. -->"
NUM_MODELS = 5  # the most expensive ones


def find_tables(report: Path) -> list[dict[str, Any]]:
    """Return the evaluated tables of a report, in order.

    Raises:
        UserError: there is none, or one is broken.
    """
    paths = sorted(path for path in report.glob("table?.json") if path.stem[5:].isdigit())
    if not paths:
        raise UserError(
            f"{report}: no table there; run `make reproduce` first, and name the folder of the "
            "scale, such as results/digits"
        )
    return [load_table(path) for path in paths]


def find_costs(root: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the jobs cost: as the report's index shows it, or from the jobs' logs.

    Args:
        root: results folder of a scale.
        table: one of its evaluated tables, for scale and source.
    """
    path = root / "report" / "costs.json"
    if path.exists():
        return load_costs(path)
    named = {"scale": table["scale"], "source": table["source"], "results": str(root.parent)}
    return make_costs(load_plan(named))


def render_costs(costs: Mapping[str, Any]) -> list[str]:
    """Write the sums of the stages and the most expensive models."""
    stages = sorted(costs["stages"].items(), key=lambda item: -item[1]["cpu_seconds"])
    models = sorted(costs["models"], key=lambda one: -one["cpu_seconds"])[:NUM_MODELS]
    lines = [
        "## What the run cost",
        "",
        f"The jobs took {costs['total_cpu_seconds'] / 60:.1f} minutes of CPU time in all. The "
        f"largest used {costs['peak_memory_mb']:.0f} MB of memory.",
        "",
        *_table("stage, jobs:, CPU time:"),
    ]
    for name, stage in stages:
        lines.append(f"| {name} | {stage['jobs']} | {format_seconds(stage['cpu_seconds'])} |")
    lines += [
        "",
        f"The {len(models)} most expensive of {len(costs['models'])} trained models "
        "(`python -m workflow summary` lists all models and rows):",
        "",
        *_table("model, iterations:, CPU time:"),
    ]
    for model in models:
        seconds = format_seconds(model["cpu_seconds"])
        lines.append(f"| {model['name']} | {format_count(model['iterations'])} | {seconds} |")
    return [*lines, ""]


def render_tables(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write one line for each table, with links to its numbers and pages."""
    lines = [
        "## Tables",
        "",
        _wrap(
            "A cell is a row at one mark of training. The numbers are in git. The pages are not: "
            "their links work in a folder where the tables have been computed."
        ),
        "",
        *_table("table, rows measured:, cells:, numbers, page"),
    ]
    for table in tables:
        scale, name = table["scale"], table["name"]
        numbers = f"[JSON](../metrics/{scale}/{table['source']}/{name}.json)"
        endings = (("HTML", "html"), ("CSV", "csv"), ("Markdown", "md"))
        pages = ", ".join(f"[{a}](../results/{scale}/report/{name}.{b})" for a, b in endings)
        lines.append(
            f"| {table_number(table)}. {escape_markdown(table['title'])} | "
            f"{table['num_measured']} of {table['num_rows']} | {count_cells(table)} | "
            f"{numbers} | {pages} |"
        )
    return [*lines, ""]


def count_cells(table: Mapping[str, Any]) -> int:
    """Count the measured cells of a table: rows, each at one mark."""
    rows = [row for group in table["groups"] for row in group["rows"]]
    return sum(mark["status"] == "measured" for row in rows for mark in row["marks"])


def render_claims(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write how many claims have which verdict, then every claim."""
    counts = Counter(claim["verdict"] for table in tables for claim in table["claims"])
    words = ", ".join(f"{counts[name]} {name}" for name in VERDICTS if counts[name])
    lines = [
        "## Claims",
        "",
        _wrap(
            f"{counts.total()} claims of the paper: {words}. An effect is what decides "
            "a claim: by how many per cent one FID, sFID or Inception Score exceeds another, or "
            "the difference of two shares. A positive effect agrees with the paper."
        ),
        "",
    ]
    for table in tables:
        if table["claims"]:
            lines += [f"### {table_number(table)}", ""]
            lines += [f"- {describe_claim(claim)}" for claim in table["claims"]]
            lines.append("")
    return lines


def describe_claim(claim: Mapping[str, Any]) -> str:
    """Write a claim with its verdict and what decides it."""
    deciding = claim["comparisons"][claim["deciding"]]
    effect = describe_effect(deciding)
    if claim["verdict"] == PUBLISHED_ONLY:
        sources = " or ".join(claim["sources"])
        decided = (
            f"Only source {sources} can test it." if sources else "No source has all its rows."
        )
    elif effect:
        decided = f"Effect {effect}."
    else:
        decided = f"{start_sentence(claim['reason'])}." if claim["reason"] else ""
    return f"**{claim['verdict']}**: {escape_markdown(claim['text'])} {decided}".rstrip()


def render_recognition(root: Path) -> list[str]:
    """Write how many samples a classifier from outside the pipeline reads as their label."""
    shares = sorted((share, name) for name, share in compute_recognised(root).items())
    if not shares:
        return []
    large, small = (compute_real_accuracy(size) for size in (8, 4))
    (lowest, worst), (highest, best) = shares[0], shares[-1]
    text = (
        "A support-vector classifier was fitted to the real digits. No part of the pipeline has "
        f"seen it. Of held-out real digits it reads {large:.3f} correctly at 8×8 pixels and "
        f"{small:.3f} at 4×4. For each of {len(shares)} batches with labels we count the samples "
        "that it reads as the label they were drawn for. The median share is "
        f"{median(share for share, _ in shares):.3f}; the lowest is {lowest:.3f} (`{worst}`) and "
        f"the highest {highest:.3f} (`{best}`). `python -m bench.recognition results/digits` lists "
        "every batch."
    )
    return ["## Samples read as their label", "", _wrap(text), ""]


def render_versions(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write what computed the numbers: commits and versions."""
    facts = [dict(table["protocol_summary"]) for table in tables]
    lines = ["## What computed it", "", "- scale and source: "]
    lines[-1] += "; ".join(dict.fromkeys(f"{one['scale']}, {one['source']}" for one in tables))
    for key, words in (("code", "commit"), ("versions", "versions")):
        found = list(dict.fromkeys(one[key] for one in facts if key in one))
        lines += [_wrap(f"- {words}: {'; '.join(found)}")] if found else []
    return lines


def _wrap(text: str) -> str:
    """Break a paragraph or list item into lines as long as those of the other documents."""
    indent = "  " if text.startswith("- ") else ""
    return textwrap.fill(
        text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _table(heads: str) -> list[str]:
    """Return the first two lines of a Markdown table; a colon sets a column to the right."""
    names = heads.split(", ")
    rules = ("---:" if name.endswith(":") else "---" for name in names)
    return [
        "| " + " | ".join(name.removesuffix(":") for name in names) + " |",
        "| " + " | ".join(rules) + " |",
    ]


def render_body(root: Path) -> str:
    """Write all that a finished run says.

    Args:
        root: results folder of a scale.

    Raises:
        UserError: no evaluated table is there, or one is broken.
    """
    tables = find_tables(root / "report")
    lines = [*render_costs(find_costs(root, tables[0])), *render_tables(tables)]
    lines += [*render_claims(tables), *render_recognition(root), *render_versions(tables)]
    return "\n".join(lines) + "\n"


def replace_body(page: str, body: str, where: str | Path) -> str:
    """Put a body below the marker of a page.

    Raises:
        UserError: the page has no such line.
    """
    head, found, _ = page.partition(f"{MARKER}\n")
    if not found:
        raise UserError(f"{where}: has no line {MARKER!r}; add it where the generated part begins")
    return f"{head}{MARKER}\n\n{body}"


def run(argv: Sequence[str] | None = None) -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.results",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("root", type=Path, help="results folder of a finished run")
    parser.add_argument("--page", type=Path, default=PAGE, help="page to write (docs/results.md)")
    args = parser.parse_args(argv)
    if not args.page.is_file():
        raise UserError(f"{args.page}: no such file; name a page that has the line {MARKER!r}")
    text = replace_body(args.page.read_text(encoding="utf-8"), render_body(args.root), args.page)
    with atomic_write(args.page) as file:
        file.write(text.encode())
    print(f"wrote {args.page}")


main = main_guard(run)

if __name__ == "__main__":
    raise SystemExit(main())
