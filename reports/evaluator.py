"""Whether the evaluator gives what the authors' own gave for the same two published files."""

from collections.abc import Mapping, Sequence
from typing import Any

from reports.agreement import takes_other_distances
from reports.cells import RowMetrics, read_measured
from reports.format import metric_name
from specs.page import PageSpec

# Largest differences between two right evaluators that take float16 distances: precision and recall
# count samples, and a neighbour at almost the same distance may fall to either side. By exact
# distances the same batch has 0.0010 and 0.0024 less, which says nothing of an evaluator.
TOLERANCES = {"fid": 0.001, "sfid": 0.001, "is": 0.01, "precision": 0.001, "recall": 0.003}
SLACK = 1e-9  # of the binary form of decimal numbers


def compare_evaluators(spec: PageSpec, files: RowMetrics) -> list[dict[str, Any]]:
    """Hold the metrics of a published batch against those that its authors published in full.

    Args:
        spec: what the page shows.
        files: metrics files (`reports.tables.load_row_metrics`).

    Returns:
        For each metric that was measured with the authors' arithmetic: row's label, metric, here,
        authors, difference (here less authors), tolerance and whether it is exceeded.
    """
    known = spec.known_evaluation
    if known is None:
        return []
    content = files[known.row, spec.table.marks[-1]]
    label = next(row.label for row in spec.rows if row.id == known.row)
    lines = []
    for metric, tolerance in TOLERANCES.items():
        here, authors = read_measured(content, metric)["measured"], known.values.get(metric)
        if content is None or here is None or authors is None:
            continue
        if takes_other_distances(content, metric):
            continue  # the difference would be that of the arithmetic
        difference = here - authors
        lines.append(
            {
                "label": label,
                "metric": metric,
                "here": here,
                "authors": authors,
                "difference": difference,
                "tolerance": tolerance,
                "exceeded": abs(difference) > tolerance + SLACK,
            }
        )
    return lines


def describe_evaluator(line: Mapping[str, Any]) -> str:
    """Write one line of `compare_evaluators` as a sentence without its full stop."""
    return (
        f"{metric_name(line['metric'])} of “{line['label']}”: evaluator: here {line['here']:.4f}, "
        f"authors' README {line['authors']:.4f}, difference {line['difference']:+.4f} "
        f"({'more than' if line['exceeded'] else 'within'} {line['tolerance']:g})"
    )


def flag_evaluator(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what to check before using a table's numbers: differences that are too large."""
    return [f"{describe_evaluator(line)}." for line in lines if line["exceeded"]]
