"""The number of a cell, or its difference to the first row, with a 95 % interval.

A cell whose model was trained with several seeds shows their mean.
"""

import math
import statistics
from typing import Any

from records.metrics import METRICS
from reports.cells import read_measured
from reports.claims import compute_interval, judge_comparison, make_spread
from reports.effects import exceed
from reports.replicates import (
    CellReplicates,
    average_metric,
    list_common_seeds,
    list_group,
    make_layout,
    share_noise,
)
from reports.seed_variance import pool_values
from specs.page import CellAddress, PageComparison, PageRow, PageSpec
from specs.tables import Statistic

Numbers = dict[str, float | None]
NOTHING: Numbers = {"measured": None, "std_error": None, "low": None, "high": None}


def estimate_cell(
    spec: PageSpec, replicates: CellReplicates, row: PageRow, mark: str, metric: str
) -> Numbers:
    """Return the mean over training seeds as `measured`, its `std_error`, and `low` and `high`.

    With one seed error and interval are those of the metrics file: sampling error alone.
    `num_seeds` says how many there are, `seed_spread` is the standard deviation of their values.
    """
    cell = replicates[row.id, mark]
    seeds = list_common_seeds([cell], metric)
    values = [cell[seed].content.metrics[metric].value for seed in seeds]
    about = {
        "num_seeds": len(seeds),
        "seed_spread": statistics.stdev(values) if seeds[1:] else None,
    }
    return {**_estimate_mean(spec, replicates, row, mark, metric), **about}


def _estimate_mean(
    spec: PageSpec, replicates: CellReplicates, row: PageRow, mark: str, metric: str
) -> Numbers:
    """Return the mean over training seeds, its standard error and its interval."""
    cell = replicates[row.id, mark]
    seeds = list_common_seeds([cell], metric)
    if len(seeds) < 2:
        return read_measured(cell[seeds[0]].content, metric) if seeds else NOTHING
    mean, chosen = average_metric(cell, metric), [cell[seed] for seed in seeds]
    assert mean is not None
    errors = [one.content.metrics[metric].std_error for one in chosen]
    known = [error for error in errors if error is not None]
    if len(known) < len(errors):
        return {**NOTHING, "measured": mean}
    group = list_group(spec, replicates, [row.task], mark)
    layout = make_layout(group, {one: one for one in group}, metric, "difference")
    spread = make_spread(
        sum(error**2 for error in known) / len(known),
        chosen[0].content.counts.samples,
        [1.0],
        pool_values(layout) if layout is not None else None,
        len(seeds),
        shared=share_noise(chosen),
    )
    low, high = compute_interval(mean, spread)
    if METRICS[metric].is_share:
        low, high = max(low, 0.0), min(high, 1.0)
    error = math.sqrt(spread.variance)
    return {"measured": mean, "std_error": error, "low": max(low, 0.0), "high": high}


def compare_rows(
    spec: PageSpec,
    cells: CellReplicates,
    row: PageRow,
    first: PageRow,
    mark: str,
    metric: str,
    statistic: Statistic,
) -> dict[str, Any]:
    """Judge whether a number of a row is greater than that of another (`judge_comparison`).

    Args:
        spec: what the page shows.
        cells: numbers by training seed: metrics, or losses.
        row, first: the rows, at one mark.
        mark: of both.
        metric: of a metrics file, or of a loss file.
        statistic: what is compared.
    """
    comparison = PageComparison.model_construct(  # a loss is no metric of a table
        metric=metric,
        left=CellAddress(row=row.id, mark=mark),
        relation="greater",
        right=CellAddress(row=first.id, mark=mark),
        factor=1.0,
        margin=0.0,
        towards=None,
        statistic=statistic,
        trained_models_differ=row.trained != first.trained,
    )
    chosen = [cells[row.id, mark], cells[first.id, mark]]
    group = list_group(spec, cells, {row.task, first.task}, mark)
    return judge_comparison(comparison, chosen, group, {one.id: one.trained for one in spec.rows})


def estimate_difference(
    spec: PageSpec,
    replicates: CellReplicates,
    row: PageRow,
    first: PageRow,
    mark: str,
    metric: str,
) -> Numbers:
    """Return the difference to the first row, of means over training seeds, with its interval.

    Of what is compared as a ratio the interval is that of the ratio, times the first row's mean:
    it holds 0 exactly when a claim on the two rows is undecided.
    """
    cells = [replicates[one.id, mark] for one in (row, first)]
    seeds = list_common_seeds(cells, metric)
    if not seeds:
        return NOTHING
    values, bases = ([cell[s].content.metrics[metric].value for s in seeds] for cell in cells)
    base = sum(bases) / len(seeds)
    statistic = METRICS[metric].statistic
    found = compare_rows(spec, replicates, row, first, mark, metric, statistic)
    low, high = found["low"], found["high"]
    if low is not None and high is not None and statistic == "ratio":
        low, high = (base * exceed(end) for end in (low, high))
    return {**NOTHING, "measured": sum(values) / len(seeds) - base, "low": low, "high": high}
