"""A second line of evidence beside FID: losses on images that no model was trained on.

Every model sees the same images, timesteps and noise, so that losses are paired image by image.
"""

from typing import Any

from reports.cell_intervals import compare_rows
from reports.claims import CONTRADICTED, SUPPORTED
from reports.effects import exceed
from reports.replicates import CellReplicates, average_metric
from specs.page import PageRow, PageSpec

LOSS_NAMES = {"hybrid": "hybrid loss", "vlb": "variational bound"}


def make_losses(
    spec: PageSpec, losses: CellReplicates, replicates: CellReplicates
) -> list[dict[str, Any]]:
    """Compare the losses of a table's rows with those of the first row that has one.

    Args:
        spec: what the page shows.
        losses: of the rows' models, by training seed.
        replicates: metrics of the rows, for their FID.

    Returns:
        For each row and mark with a loss: label, mark, number of images and seeds, `losses` (by
        name: value, and, but for the first row, change with its interval in per cent and whether it
        is decided), the same of `fid`, and `disagree`: the losses that are decided the other way.
    """
    lines = []
    for mark in spec.table.marks:
        rows = [row for row in spec.rows if losses[row.id, mark]]
        for row in rows:
            cell = losses[row.id, mark]
            some = next(iter(cell.values())).content
            line: dict[str, Any] = {
                "label": row.label,
                "mark": mark,
                "num_images": some.counts.samples,
                "num_seeds": len(cell),
                "losses": {
                    name: {
                        "value": average_metric(cell, name),
                        **_compare(spec, row, rows[0], mark, losses, name),
                    }
                    for name in LOSS_NAMES
                },
                "fid": _compare(spec, row, rows[0], mark, replicates, "fid"),
            }
            line["disagree"] = [
                name
                for name, one in line["losses"].items()
                if {one["decided"], line["fid"]["decided"]} == {SUPPORTED, CONTRADICTED}
            ]
            lines.append(line)
    return lines if len(lines) > 1 else []


def _compare(
    spec: PageSpec, row: PageRow, first: PageRow, mark: str, cells: CellReplicates, metric: str
) -> dict[str, Any]:
    """Return by how many per cent a number exceeds that of the first row, and its interval."""
    nothing = {"change": None, "low": None, "high": None, "decided": None}
    if row.id == first.id:
        return nothing
    found = compare_rows(spec, cells, row, first, mark, metric, "ratio")
    if found["effect"] is None:
        return nothing
    ends = {
        key: None if found[name] is None else 100 * exceed(found[name])
        for key, name in (("change", "effect"), ("low", "low"), ("high", "high"))
    }
    return {**ends, "decided": found["verdict"]}
