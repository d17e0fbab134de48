"""Numbers as CSV: every digit, and no text that a spreadsheet would run."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from reports.format import format_exact

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def render_lines(columns: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    """Write lines of values under the names of their columns.

    Args:
        columns: names.
        lines: values in the order of the columns; None is an empty cell.
    """
    cells = ([_write_exact(value) for value in line] for line in lines)
    return "".join(map(_write_line, [columns, *cells]))


def _write_line(cells: Sequence[str]) -> str:
    """Write a line; text is put in quotes for a carriage return too, though none ends the line."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(cells)
    return out.getvalue().removesuffix("\r\n") + "\n"


def _write_exact(value: Any) -> str:
    """Write a value with all its digits; text is never a formula."""
    if isinstance(value, float):
        return repr(value)
    text = format_exact(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(FORMULA_STARTS) else text
