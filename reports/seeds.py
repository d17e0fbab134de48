"""What a page says of the training seeds: every value, and the spread that was pooled."""

import math
from typing import Any

from records.metrics import METRICS
from reports.replicates import CellReplicates, list_common_seeds, list_group, make_layout
from reports.seed_variance import pool_differences
from specs.page import PageSpec


def describe_seeds(spec: PageSpec, replicates: CellReplicates) -> list[dict[str, Any]]:
    """Return, per metric, the values of every cell with several seeds and the pooled spread.

    Returns:
        For each metric: `relative` (whether the spread is one of ratios), `spreads` (task, mark,
        the standard deviation of a difference of rows of different models between seeds, and its
        degrees of freedom) and `rows` (label, mark, values in the order of `seeds`).
    """
    models = {row.id: row.trained for row in spec.rows}
    described = []
    for metric in spec.table.metrics:
        relative = not METRICS[metric].is_share
        statistic = "ratio" if relative else "difference"
        spreads, rows = [], []
        for mark in spec.table.marks:
            for task in dict.fromkeys(row.task for row in spec.rows):
                group = list_group(spec, replicates, [task], mark)
                layout = make_layout(group, models, metric, statistic)
                pooled = layout and pool_differences(layout, models_differ=True)
                if pooled:
                    size, dof = math.sqrt(2 * pooled.size), round(pooled.dof)
                    spreads.append({"task": task, "mark": mark, "size": size, "dof": dof})
            for row in spec.rows:
                cell = replicates[row.id, mark]
                seeds = list_common_seeds([cell], metric)
                if len(seeds) > 1:
                    values = [cell[seed].content.metrics[metric].value for seed in seeds]
                    about = {"label": row.label, "mark": mark, "task": row.task}
                    rows.append({**about, "seeds": seeds, "values": values})
        described.append({"metric": metric, "relative": relative, "spreads": spreads, "rows": rows})
    return described
