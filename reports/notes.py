"""What a page says of rows besides numbers: their status, and the notes beneath the table."""

from collections.abc import Mapping

from reports.cells import RowMetrics
from reports.files import BROKEN, MEASURED, NOT_RUN, OTHER_SETTINGS, find_metrics, load_metrics
from reports.format import NOTE_WORDS
from specs.page import PageRow, PageSpec
from specs.results import MetricsFile
from specs.run_pages import RunPages

PUBLISHED_VALUE = "published value"
NO_SOURCE = "not available"


def make_command(spec: PageSpec | RunPages, target: str) -> str:
    """Return the command that makes a target, or a file, of a page's scale and source."""
    if (spec.scale, spec.source) == ("digits", "retrain"):
        return f"snakemake --cores all {target}"
    options = f"scale={spec.scale} source={spec.source}"
    return f"snakemake --cores all --config {options} -- {target}"


def find_status(row: PageRow, mark: str, content: MetricsFile | None) -> str:
    """Say what a cell is: measured, a published value, not available here, or why it is missing."""
    if content is not None:
        return MEASURED
    if row.kind == "baseline" and row.reason:
        return PUBLISHED_VALUE
    return NO_SOURCE if row.reason else find_metrics(row.cells[mark].metrics).status


def list_notes(
    row: PageRow, contents: Mapping[str, MetricsFile | None], command: str
) -> list[tuple[str, str]]:
    """Say of one row what the paper says of it, what is assumed, and why a number is missing.

    Args:
        row: the row.
        contents: its metrics files by mark.
        command: what runs the table.

    Returns:
        Pairs of a text and the command that fixes what it tells, "" for none.
    """
    statuses = [find_status(row, mark, content) for mark, content in contents.items()]
    reason = (row.reason or "") if MEASURED not in statuses else ""
    words = [NOTE_WORDS.get(note) or note for note in row.notes]
    notes = [(text, "") for text in words if text not in reason]  # it says the same, and more
    if row.assumed:
        notes.append((f"not stated by the paper, chosen here: {', '.join(row.assumed)}", ""))
    if reason:
        notes.append((reason, ""))
    for status in dict.fromkeys(statuses):
        if status in (NOT_RUN, OTHER_SETTINGS, BROKEN):
            notes.append((f"{status}; to run it:", command))
    lacking = {
        one.seed
        for mark, content in contents.items()
        for one in row.cells[mark].seeds
        if content is not None and load_metrics(one.metrics) is None
    }
    if lacking:
        seed, it = ("seeds", "them") if len(lacking) > 1 else ("seed", "it")
        listed = ", ".join(map(str, sorted(lacking)))
        notes.append((f"mean without training {seed} {listed}; to run {it}:", command))
    return notes


def make_footnotes(spec: PageSpec, files: RowMetrics) -> list[dict[str, str]]:
    """Letter every distinct note of the rows in the order of their first appearance."""
    notes: dict[tuple[str, str], None] = {}
    for row in spec.rows:
        contents = {mark: files[row.id, mark] for mark in spec.table.marks}
        notes.update(
            dict.fromkeys(
                list_notes(row, contents, make_command(spec, f"reproduce_{spec.table.name}"))
            )
        )
    return [
        {"mark": _letter(index), "text": text, "command": command}
        for index, (text, command) in enumerate(notes)
    ]


def _letter(index: int) -> str:
    """Return a, b, ... z, aa, ab, ..."""
    first = _letter(index // 26 - 1) if index >= 26 else ""
    return first + chr(ord("a") + index % 26)
