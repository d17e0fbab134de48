"""Numbers as CSV: every digit, and no text that a spreadsheet would run."""

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
    from pandas import DataFrame  # late: it takes half a second

    cells = [[_write_exact(value) for value in line] for line in lines]
    return DataFrame(cells, columns=list(columns)).to_csv(index=False, lineterminator="\n")


def _write_exact(value: Any) -> str:
    """Write a value with all its digits; text is never a formula."""
    if isinstance(value, float):
        return repr(value)
    text = format_exact(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(FORMULA_STARTS) else text
