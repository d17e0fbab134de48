"""Numbers as CSV: every digit, and no text that a spreadsheet would run."""

import csv
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

from reports.format import format_exact

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def render_lines(columns: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    """Write lines of values under the names of their columns.

    Args:
        columns: names.
        lines: values in the order of the columns; None is an empty cell.
    """
    written: list[str] = []
    # Text is put in quotes for a character of the line's end: for \r too, which ends none here.
    writer = csv.writer(SimpleNamespace(write=written.append), lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_write_exact(value) for value in line] for line in lines)
    return "".join(line.removesuffix("\r\n") + "\n" for line in written)


def _write_exact(value: Any) -> str:
    """Write a value with all its digits; text is never a formula."""
    if isinstance(value, float):
        return repr(value)
    text = format_exact(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(FORMULA_STARTS) else text
