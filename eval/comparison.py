"""Several batches graded against one reference, as one table: text, CSV, Markdown or LaTeX."""

import csv
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from eval.result import GradingResult, Metric
from records.errors import UserError
from records.metrics import METRICS

LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
LATEX |= {sign: f"\\{sign}" for sign in "&%$#_{}"}


def format_table(results: Sequence[GradingResult], kind: str = "txt") -> str:
    """Write results as a table, a line for each.

    Args:
        results: of one reference and the same metrics.
        kind: txt, csv (a column each for value, low and high), md or tex.

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
    return KINDS[kind](results)


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


def _make_cells(results: Sequence[GradingResult]) -> list[list[str]]:
    """Make the head and a line for each result, with intervals in brackets."""
    names = [name for name in METRICS if name in results[0].metrics]
    lines = [["", "Samples", *(METRICS[name].column for name in names)]]
    for one in results:
        cells = [_format_metric(one.metrics[name]) for name in names]
        lines.append([one.name, f"{one.counts['samples']:,}", *cells])
    return lines


def _format_metric(metric: Metric) -> str:
    """Write a value and its interval."""
    if metric.interval is None:
        return f"{metric.value:.5g}"
    return "{:.5g} ({:.5g} to {:.5g})".format(metric.value, *metric.interval)


def _write_text(results: Sequence[GradingResult]) -> str:
    lines = _make_cells(results)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [[line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in lines]
    return "".join("  ".join(line).rstrip() + "\n" for line in padded)


def _write_csv(results: Sequence[GradingResult]) -> str:
    names = [name for name in METRICS if name in results[0].metrics]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    columns = [name + end for name in names for end in ("", "_low", "_high")]
    writer.writerow(["name", "samples", *columns])
    for one in results:
        row: list[object] = [one.name, one.counts["samples"]]
        for name in names:
            metric = one.metrics[name]
            row += [metric.value, *(metric.interval or ("", ""))]
        writer.writerow(row)
    return file.getvalue()


def _write_markdown(results: Sequence[GradingResult]) -> str:
    head, *lines = [
        [re.sub(r"([\\|`*_<>\[\]])", r"\\\1", cell) for cell in line]
        for line in _make_cells(results)
    ]
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, rule, *lines))


def _write_latex(results: Sequence[GradingResult]) -> str:
    head, *lines = [
        ["".join(LATEX.get(sign, sign) for sign in cell) for cell in line]
        for line in _make_cells(results)
    ]
    rows = [" & ".join(line) + r" \\" for line in (head, *lines)]
    begin = rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}"
    parts = [begin, r"\hline", rows[0], r"\hline", *rows[1:], r"\hline", r"\end{tabular}"]
    return "\n".join(parts).replace("\u221e", r"$_\infty$") + "\n"


KINDS: dict[str, Callable[[Sequence[GradingResult]], str]] = {
    "txt": _write_text,
    "csv": _write_csv,
    "md": _write_markdown,
    "tex": _write_latex,
}
