"""What a page says first: in what its numbers were made otherwise than the paper's."""

from reports.cells import RowMetrics
from reports.format import format_count
from specs.page import PageSpec


def make_differences(spec: PageSpec, files: RowMetrics) -> list[dict[str, str]]:
    """Return what differs, with the paper's words and those that hold here.

    Args:
        spec: what the page shows.
        files: metrics files (`reports.tables.load_row_metrics`); they tell how many images a data
            set turned out to have, where the numbers do not compare with the paper's.
    """
    lines = [one.content() for one in spec.differences]
    counts = {
        f"{format_count(content.counts.reference)} ({row.task_words})": None
        for row in spec.rows
        for mark in spec.table.marks
        if (content := files[row.id, mark]) is not None and content.counts.reference is not None
    }
    if spec.agreement is None and counts:
        words = "images trained on and compared with"
        lines.append({"what": words, "paper": "whole data sets", "here": "; ".join(counts)})
    return lines
