"""Write what a finished run measured as Markdown: costs, verdicts, tables, samples read as labels.

Run `python -m bench.results results/digits > part.md`; docs/results.md is this with a head that
says on what machine it ran and how long it took.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

from bench.recognition import compute_real_accuracy, compute_recognised
from workflow.costs import format_allotment

SKIPPED = "- "  # the sentences about the scale stand once, in the head


def describe_verdicts(report: Path) -> str:
    """Count the verdicts of all claims, in words."""
    tables = [json.loads(path.read_text()) for path in find_tables(report)]
    counts = Counter(claim["verdict"] for table in tables for claim in table["claims"])
    parts = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    return f"{parts}, of {counts.total()}."


def find_tables(report: Path) -> list[Path]:
    """Return the tables' own JSON files, in order."""
    return sorted(path for path in report.glob("table?.json") if path.stem[5:].isdigit())


def shift_headings(text: str) -> str:
    """Make every heading one level deeper and leave out the list that follows the first one."""
    head, _, rest = text.partition("\n## ")
    kept = [line for line in head.splitlines() if not line.startswith(SKIPPED)]
    lines = [*kept, *f"## {rest}".splitlines()] if rest else kept
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in lines)


def main() -> None:
    """Print the parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="results folder of a finished run: results/digits")
    root = parser.parse_args().root
    report = root / "report"
    allotment = json.loads((report / "allotment.json").read_text())
    print(f"## What each model and row cost\n\n```\n{format_allotment(allotment).strip()}\n```\n")
    print(f"## Verdicts\n\n{describe_verdicts(report)}\n")
    for path in find_tables(report):
        print(shift_headings(path.with_suffix(".md").read_text()).strip() + "\n")
    print("## Samples read as their label\n\n`python -m bench.recognition`: a support-vector")
    print("classifier of the real digits, which no part of the pipeline has seen.\n\n```")
    for size in (8, 4):
        print(f"{f'held-out real digits, {size}x{size}':34}{compute_real_accuracy(size):7.3f}")
    for name, share in compute_recognised(root).items():
        print(f"{name:34}{share:7.3f}")
    print("```")


if __name__ == "__main__":
    main()
