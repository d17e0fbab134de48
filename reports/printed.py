"""A table as lines of text cells, the same in Markdown and LaTeX: other sources beneath each row,
real images last."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from reports.format import (
    format_count,
    format_measured,
    format_published,
    format_setting,
    table_number,
)

VIEWS = {
    "values": "Measured values",
    "differences": "Differences to the first measured row",
}


class Printed(NamedTuple):
    """One number as text: the paper's, the measured one, its interval, and words on it."""

    paper: str
    number: str
    interval: str
    words: str


class Line(NamedTuple):
    """A line of a table: its label, the letters of its notes, its settings and its numbers."""

    label: str
    notes: str
    settings: list[str]
    cells: list[Printed]


def list_views(table: Mapping[str, Any]) -> list[str]:
    """Return what a table shows, the paper's own layout first."""
    rows = [row for group in table["groups"] for row in group["rows"]]
    if table["layout"] == "deltas":
        return ["differences", "values"]
    some = any(cell["difference"] for row in rows for cell in row["cells"])
    return ["values", "differences"] if some else ["values"]


def take_view(cell: Mapping[str, Any], view: str) -> Mapping[str, Any]:
    """Return a cell's own value, or its difference; the first row has its value in both views."""
    return cell["absolute"] or cell if view == "values" else cell["difference"] or cell


def list_lines(
    table: Mapping[str, Any], group: Mapping[str, Any], view: str
) -> Iterator[tuple[Line, bool]]:
    """Return the lines of a group of rows, and of each whether it is that of real images."""
    for row in group["rows"]:
        cells = [take_view(cell, view) for cell in row["cells"]]
        settings = [format_setting(row["settings"].get(key)) for key in table["settings"]]
        yield Line(row["label"], ",".join(row["footnotes"]), settings, [*map(_print, cells)]), False
        for source in dict.fromkeys(one["source"] for cell in cells for one in cell["others"]):
            others = [_print(find_other(cell, source)) for cell in cells]
            yield Line(f"{row['label']}: {source}", "", settings, others), False
    if group["ceiling"]:
        known = {cell["metric"]: cell for cell in group["ceiling"]["cells"]}
        cells = [_print(known[cell["metric"]], paper="") for cell in group["rows"][0]["cells"]]
        yield Line(name_ceiling(group, view), "", [""] * len(table["settings"]), cells), True


def find_other(cell: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return what another source says of a cell, as a cell; a dash where it says nothing."""
    nothing = {"status": "measured", "measured": None, "low": None, "high": None, "agreement": None}
    found = next((one for one in cell["others"] if one["source"] == source), nothing)
    return {**found, "metric": cell["metric"], "published": cell["published"]}


def name_ceiling(group: Mapping[str, Any], view: str) -> str:
    """Say what the line of real images is."""
    ceiling = group["ceiling"]
    counts = (format_count(ceiling[key]) for key in ("num_samples", "num_reference"))
    words = "; values, not differences" if view == "differences" else ""
    return f"real images against real images ({' against '.join(counts)}{words})"


def _print(cell: Mapping[str, Any], paper: str | None = None) -> Printed:
    """Write one number in all its parts."""
    if paper is None:
        paper = format_published(cell["published"], signed=cell.get("is_difference", False))
    if cell["measured"] is None:
        status = cell.get("status", "measured")
        return Printed(paper, status if status != "measured" else "\u2013", "", "")
    return Printed(paper, *format_measured(cell), describe_agreement(cell))


def describe_agreement(cell: Mapping[str, Any]) -> str:
    """Return the verdict on a number, or why it has none; empty where it is not judged."""
    found = cell.get("agreement")
    return (found["verdict"] or found["words"]) if found else ""


def describe_note(note: Mapping[str, str]) -> str:
    """Write a note with the command that fixes what it tells."""
    return f"{note['text']} {note['command']}".strip()


def describe_table(table: Mapping[str, Any]) -> str:
    """Return a table's title with its numbers in both versions of the paper."""
    first = f"NeurIPS 2021 {table_number(table)}, " if table["neurips"] else ""
    return (
        f"{table['title']} ({first}arXiv v4 Table "
        f"{table['arxiv_v4']}; scale {table['scale']}, source {table['source']})"
    )
