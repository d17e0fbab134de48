"""All numbers of finished reports in one table, for analyses of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from records.errors import UserError
from records.files import atomic_write
from reports.export import CSV_COLUMNS

if TYPE_CHECKING:
    import pandas

TEXT = ("table", "scale", "source", "task", "row", "label", "settings", "mark", "metric", "status",
        "reason", "agreement", "digest")  # fmt: skip


def read_numbers(reports: Sequence[Path]) -> pandas.DataFrame:
    """Read the numbers of all tables of some reports.

    Args:
        reports: folders of finished reports, of one run or of several scales and sources.

    Returns:
        A line for each row, mark, metric and source of each table: the columns of the tables' CSV
        (`reports.export.CSV_COLUMNS`) after `report`, the folder. What a line does not have is NaN.

    Raises:
        UserError: a folder has no table, or a CSV is not one of this version.
    """
    import pandas  # half a second, which pages do without

    frames = []
    for report in reports:
        paths = sorted(path for path in report.glob("*.csv") if path.with_suffix(".json").exists())
        if not paths:
            raise UserError(f"{report}: no table there; make one first, such as with `make table3`")
        for path in paths:
            try:
                frame = pandas.read_csv(path, dtype=dict.fromkeys(TEXT, "str"))
            except (ValueError, OSError) as error:
                raise UserError(f"{path}: not a table's CSV ({error}); render it again") from None
            if list(frame.columns) != list(CSV_COLUMNS):
                raise UserError(f"{path}: has other columns than this version's; render it again")
            frames.append(frame.assign(report=str(report)))
    return pandas.concat(frames, ignore_index=True).reindex(columns=["report", *CSV_COLUMNS])


def write_numbers(reports: Sequence[Path], out: Path) -> int:
    """Write the numbers of all tables of some reports as one CSV; return how many lines."""
    frame = read_numbers(reports)
    with atomic_write(out) as file:
        frame.to_csv(file, index=False)
    return len(frame)
