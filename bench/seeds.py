"""Measure how much of the spread between training seeds equal seeds on both sides remove.

Run `python -m bench.seeds results/digits/report/table*.spec.json`. Rows that were trained with the
same seeds share the order of the data, timesteps, noise and the noise of their samples; what this
moves in all rows alike drops out of differences.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

from reports.replicates import list_group, load_replicates, make_layout
from reports.seed_variance import pool_differences, pool_values
from specs.page import PageSpec, load_page
from specs.tables import Statistic

METRICS: dict[str, Statistic] = {
    "fid": "ratio",
    "sfid": "ratio",
    "is": "ratio",
    "precision": "difference",
    "recall": "difference",
}


class Spread(NamedTuple):
    """What one seed more would move.

    Attributes:
        alone: standard deviation of a single row between seeds, on the scale of comparisons.
        paired: the same of a row in differences to rows of the same seed.
        removed: the share of the variance that equal seeds remove; below 0 where they add.
        num_rows: how many rows it is measured on.
    """

    alone: float
    paired: float
    removed: float
    num_rows: int


def measure_spread(spec: PageSpec) -> dict[tuple[str, str, str], Spread]:
    """Measure the spread of the rows of a page, by task, mark and metric."""
    cells = load_replicates(spec, [])
    found: dict[tuple[str, str, str], Spread] = {}
    for task in dict.fromkeys(row.task for row in spec.rows):
        models = {row.id: row.trained for row in spec.rows if row.kind == "model"}
        for mark in spec.table.marks:
            cells_of_task = list_group(spec, cells, [task], mark)
            group = {row: cell for row, cell in cells_of_task.items() if row in models}
            for metric, statistic in METRICS.items():
                layout = make_layout(group, models, metric, statistic)
                paired = layout and pool_differences(layout, models_differ=True)
                alone = layout and pool_values(layout)
                if paired and alone and alone.size:
                    removed = 1 - paired.size / alone.size
                    spread = Spread(alone.size**0.5, paired.size**0.5, removed, len(layout.models))
                    found[task, mark, metric] = spread
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("specs", nargs="+", type=Path, help="report/<table>.spec.json")
    print(f"{'page, task, mark, metric':52}{'rows':>5}{'alone':>8}{'paired':>8}{'removed':>9}")
    for path in parser.parse_args().specs:
        for key, one in measure_spread(load_page(path)).items():
            name = " ".join((path.name.removesuffix(".spec.json"), *key))
            print(
                f"{name:52}{one.num_rows:>5}{one.alone:>8.3f}{one.paired:>8.3f}{one.removed:>9.0%}"
            )


if __name__ == "__main__":
    main()
