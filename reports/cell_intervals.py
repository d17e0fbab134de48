"""The number of a cell, or its difference to the first row, with a 95 % interval.

A cell whose model was trained with several seeds shows their mean.
"""

import math
from dataclasses import replace

from records.metrics import METRICS
from reports.cells import read_measured
from reports.claims import compute_interval, judge_comparison, make_spread
from reports.replicates import (
    CellReplicates,
    Replicates,
    average_metric,
    list_common_seeds,
    make_layout,
    share_noise,
)
from reports.seed_variance import pool_values
from specs.page import CellAddress, PageComparison, PageRow, PageSpec

Numbers = dict[str, float | None]
NOTHING: Numbers = {"measured": None, "low": None, "high": None}


def list_group(
    spec: PageSpec, replicates: CellReplicates, row: PageRow, mark: str
) -> dict[str, Replicates]:
    """Return the cells of the rows of the same task at a mark, by row."""
    return {one.id: replicates[one.id, mark] for one in spec.rows if one.task == row.task}


def estimate_cell(
    spec: PageSpec, replicates: CellReplicates, row: PageRow, mark: str, metric: str
) -> Numbers:
    """Return the mean over training seeds as `measured`, and `low` and `high` of its interval.

    With one seed the interval is that of the metrics file: sampling error alone.
    """
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
    sampling = sum(error**2 for error in known) / len(known)
    if share_noise(chosen):
        sampling *= len(seeds)
    group = list_group(spec, replicates, row, mark)
    layout = make_layout(group, {one: one for one in group}, metric, "difference")
    num_samples = chosen[0].content.counts.samples
    pooled = pool_values(layout) if layout is not None else None
    if pooled is not None and share_noise(chosen):
        pooled = replace(pooled, sampling=0.0)
    spread = make_spread(sampling, num_samples, [1.0], pooled, len(seeds))
    low, high = compute_interval(mean, spread)
    if METRICS[metric].is_share:
        low, high = max(low, 0.0), min(high, 1.0)
    return {"measured": mean, "low": max(low, 0.0), "high": high}


def estimate_difference(
    spec: PageSpec, replicates: CellReplicates, row: PageRow, mark: str, metric: str
) -> Numbers:
    """Return the difference to the first row, of means over training seeds, with its interval.

    Of what is compared as a ratio the interval is that of the ratio, times the first row's mean:
    it holds 0 exactly when a claim on the two rows is undecided.
    """
    first = spec.rows[0]
    ends = [CellAddress(row=one.id, mark=mark) for one in (row, first)]
    cells = [replicates[one.id, mark] for one in (row, first)]
    seeds = list_common_seeds(cells, metric)
    if not seeds:
        return NOTHING
    values, bases = ([cell[s].content.metrics[metric].value for s in seeds] for cell in cells)
    base = sum(bases) / len(seeds)
    comparison = PageComparison(
        metric=metric,
        left=ends[0],
        relation="greater",
        right=ends[1],
        factor=1.0,
        margin=0.0,
        towards=None,
        statistic="difference" if METRICS[metric].is_share else "ratio",
        trained_models_differ=row.trained != first.trained,
    )
    models = {one.id: one.trained for one in spec.rows}
    found = judge_comparison(comparison, cells, list_group(spec, replicates, row, mark), models)
    low, high = found["low"], found["high"]
    if low is not None and high is not None and comparison.statistic == "ratio":
        low, high = (base * math.expm1(end) for end in (low, high))
    return {"measured": sum(values) / len(seeds) - base, "low": low, "high": high}
