"""Several batches graded against one reference, as tables: text, CSV, Markdown or LaTeX.

One holds the values. Where batches are compared with the first, another holds how they differ; in
CSV these are further columns of the one table.
"""

import csv
import io
import re
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path

from eval.pairs import Comparison, Difference
from eval.result import GradingResult, Metric
from records.errors import UserError
from records.metrics import METRICS

LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
LATEX |= {sign: f"\\{sign}" for sign in "&%$#_{}"}


Lines = list[list[str]]


def format_table(
    results: Sequence[GradingResult],
    kind: str = "txt",
    comparisons: Sequence[Comparison] = (),
) -> str:
    """Write results as a table, a line for each, and how they differ from the first.

    Args:
        results: of one reference and the same metrics.
        kind: txt, csv (a column each for value, low and high), md or tex.
        comparisons: of all but the first with the first, in the same order; none are written where
            there are none.

    Returns:
        The text, which ends with a line break.

    Raises:
        UserError: another kind, or no result.
    """
    if kind not in KINDS or not results:
        raise UserError(
            f"table: got kind {kind!r} and {len(results)} results; one of {', '.join(KINDS)} and "
            "one result or more are needed"
        )
    if kind == "csv":
        return _write_csv(results, comparisons)
    tables = [_make_cells(results), *([_make_differences(comparisons)] if comparisons else [])]
    return "\n".join(WRITERS[kind](lines) for lines in tables)


def find_kind(path: str | Path) -> str:
    """Tell the kind of a table by the ending of its file.

    Raises:
        UserError: none of them.
    """
    kind = Path(path).suffix[1:].lower()
    if kind not in KINDS:
        endings = ", ".join(f".{one}" for one in KINDS)
        raise UserError(f"{path}: a table is {endings} by its ending; choose one of these")
    return kind


def _make_cells(results: Sequence[GradingResult]) -> Lines:
    """Make the head and a line for each result, with intervals in brackets."""
    names = [name for name in METRICS if name in results[0].metrics]
    lines = [["", "Samples", *(METRICS[name].column for name in names)]]
    for one in results:
        cells = [_format_metric(one.metrics[name]) for name in names]
        lines.append([one.name, f"{one.counts['samples']:,}", *cells])
    return lines


def _make_differences(comparisons: Sequence[Comparison]) -> Lines:
    """Make the head and a line for each comparison."""
    names = list(comparisons[0].differences)
    heads = [f"{METRICS[name].column} {METRICS[name].statistic}" for name in names]
    lines = [[f"Against {comparisons[0].against}", "Errors", *heads]]
    for one in comparisons:
        found = [one.differences[name] for name in names]
        cells = ["none" if metric is None else _format_metric(metric) for metric in found]
        lines.append([one.name, "paired" if one.paired else "unpaired", *cells])
    return lines


def _format_metric(metric: Metric | Difference) -> str:
    """Write a value and its interval."""
    if metric.interval is None:
        return f"{metric.value:.5g}"
    return "{:.5g} ({:.5g} to {:.5g})".format(metric.value, *metric.interval)


def _write_text(lines: Lines) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [[line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in lines]
    return "".join("  ".join(line).rstrip() + "\n" for line in padded)


def _write_csv(results: Sequence[GradingResult], comparisons: Sequence[Comparison]) -> str:
    names = [name for name in METRICS if name in results[0].metrics]
    compared = list(comparisons[0].differences) if comparisons else []
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    columns = [name + end for name in names for end in ("", "_low", "_high")]
    if comparisons:
        heads = [f"{name}_{METRICS[name].statistic}" for name in compared]
        columns += ["against", "paired"]
        columns += [head + end for head in heads for end in ("", "_low", "_high")]
    writer.writerow(["name", "samples", *columns])
    for one, comparison in zip_longest(results, [None, *comparisons]):
        row: list[object] = [one.name, one.counts["samples"]]
        for name in names:
            metric = one.metrics[name]
            row += [metric.value, *(metric.interval or ("", ""))]
        if comparisons:
            row += ["", ""] if comparison is None else [comparison.against, comparison.paired]
        for name in compared:
            found = comparison.differences[name] if comparison else None
            row += ["", "", ""] if found is None else [found.value, *found.interval]
        writer.writerow(row)
    return file.getvalue()


def _write_markdown(lines: Lines) -> str:
    head, *rest = [[re.sub(r"([\\|`*_<>\[\]])", r"\\\1", cell) for cell in line] for line in lines]
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, rule, *rest))


def _write_latex(lines: Lines) -> str:
    rows = [
        " & ".join("".join(LATEX.get(sign, sign) for sign in cell) for cell in line) + r" \\"
        for line in lines
    ]
    begin = rf"\begin{{tabular}}{{l{'r' * (len(lines[0]) - 1)}}}"
    parts = [begin, r"\hline", rows[0], r"\hline", *rows[1:], r"\hline", r"\end{tabular}"]
    return "\n".join(parts).replace("\u221e", r"$_\infty$") + "\n"


WRITERS: dict[str, Callable[[Lines], str]] = {
    "txt": _write_text,
    "md": _write_markdown,
    "tex": _write_latex,
}
KINDS = ("txt", "csv", "md", "tex")
