"""What was measured of a cell with each training seed, and how exactly."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from records.contributions import (
    Contribution,
    compute_sum_variance,
    find_contributions,
    identify_noise,
    read_contributions,
)
from records.errors import UserError
from reports.effects import transform
from reports.files import find_metrics
from reports.seed_variance import Layout
from specs.page import PageSpec, SeedMetrics
from specs.results import LossFile, MetricsFile, read_loss
from specs.tables import Statistic


class Replicate(NamedTuple):
    """A cell with one training seed: its metrics, and what every sample adds to them.

    Attributes:
        content: the metrics file.
        contributions: by metric; none where they were not stored.
    """

    content: MetricsFile
    contributions: Mapping[str, Contribution]


Replicates: TypeAlias = Mapping[int, Replicate]  # by training seed
CellReplicates: TypeAlias = Mapping[tuple[str, str], Replicates]  # by row and mark


def load_replicates(spec: PageSpec, problems: list[str]) -> CellReplicates:
    """Read the metrics of every row and mark with every training seed, as far as they exist.

    Args:
        spec: what the page shows.
        problems: takes a sentence for each file of contributions that is broken or of other
            metrics, whose cells are compared without pairing, and for each cell whose seeds have
            different numbers of samples, which then has none.
    """
    return _load(spec, problems, lambda one: find_metrics(one.metrics).content)


def load_losses(spec: PageSpec, problems: list[str]) -> CellReplicates:
    """Read the losses of the models of every row and mark, as `load_replicates` reads metrics."""

    def read(one: SeedMetrics) -> MetricsFile | None:
        found = find_metrics(one.loss, read_loss)
        problems.extend([found.problem] if found.problem else [])
        return found.content

    return _load(spec, problems, read)


def _load(
    spec: PageSpec, problems: list[str], read: Callable[[SeedMetrics], MetricsFile | None]
) -> CellReplicates:
    found: dict[tuple[str, str], dict[int, Replicate]] = {}
    for row in spec.rows:
        for mark in spec.table.marks:
            cell = found[row.id, mark] = {}
            for one in row.cells[mark].seeds:
                if (content := read(one)) is not None:
                    wanted = one.loss if isinstance(content, LossFile) else one.metrics
                    assert wanted is not None
                    contributions = _load_contributions(wanted.path, content, problems)
                    cell[one.seed] = Replicate(content, contributions)
            counts = sorted({one.content.counts.samples for one in cell.values()})
            if len(counts) > 1:
                problems.append(
                    f"{row.cells[mark].seeds[0].metrics.path}: the training seeds of this cell "
                    f"were scored on {counts} samples and have no mean; evaluate them again"
                )
                cell.clear()
    return found


def _load_contributions(
    path: str, content: MetricsFile, problems: list[str]
) -> Mapping[str, Contribution]:
    beside = find_contributions(path)
    if not beside.exists():
        return {}
    try:
        return read_contributions(beside, content.protocol.content())
    except UserError as error:
        problems.append(f"{error}; its row is compared without pairing")
        return {}


def list_group(
    spec: PageSpec, cells: CellReplicates, tasks: Collection[str], mark: str
) -> dict[str, Replicates]:
    """Return the cells of the rows of some tasks at a mark, by row."""
    return {row.id: cells[row.id, mark] for row in spec.rows if row.task in tasks}


def average_metric(cell: Replicates, metric: str) -> float | None:
    """Return the mean of a metric over the training seeds of a cell; None where it has none."""
    seeds = list_common_seeds([cell], metric)
    values = [cell[seed].content.metrics[metric].value for seed in seeds]
    return sum(values) / len(values) if values else None


def list_common_seeds(cells: Sequence[Replicates], metric: str) -> list[int]:
    """Return the training seeds with which all cells have a metric."""
    seeds = [
        {seed for seed, one in cell.items() if metric in one.content.metrics} for cell in cells
    ]
    return sorted(set.intersection(*seeds)) if seeds else []


def compute_sampling_variance(
    replicates: Sequence[Replicate], slopes: Sequence[float], metric: str
) -> tuple[float | None, bool]:
    """Compute the sampling variance of a sum of one metric of several batches, and how.

    Batches that were drawn with the same seed share label and noise by index and are paired.

    Args:
        replicates: one for each slope.
        slopes: derivatives of the sum by the metric's values.
        metric: its name.

    Returns:
        The variance, None where a standard error is not known, and whether batches were paired.
    """
    noise = {_identify_noise(one.content) for one in replicates}
    return compute_sum_variance(
        slopes,
        [one.contributions.get(metric) for one in replicates],
        [one.content.metrics[metric].std_error for one in replicates],
        paired=len(noise) == 1 and None not in noise,
    )


def _identify_noise(content: MetricsFile) -> str | int | None:
    """Return what decides a batch's noise, or the seed of a loss's; None where nothing tells."""
    if isinstance(content, LossFile):
        return content.protocol.content()["loss"]["seeds"]["evaluation"]
    return identify_noise(content.protocol.samples or {})


def share_noise(replicates: Sequence[Replicate]) -> bool:
    """Tell whether different training seeds were sampled with the same noise."""
    noise = [_identify_noise(one.content) for one in replicates]
    return len({*noise}) < len(noise)


def make_layout(
    cells: Mapping[str, Replicates], models: Mapping[str, str], metric: str, statistic: Statistic
) -> Layout | None:
    """Arrange the rows that were trained with several seeds in common.

    Args:
        cells: by row, all of one task and mark.
        models: the trained model of each row.
        metric: its name.
        statistic: of the comparison.

    Returns:
        The layout; None where no row has two seeds.
    """
    rows = [row for row, cell in cells.items() if len(list_common_seeds([cell], metric)) > 1]
    seeds = list_common_seeds([cells[row] for row in rows], metric)
    if len(seeds) < 2:
        return None
    raw = np.array([[cells[r][s].content.metrics[metric].value for s in seeds] for r in rows])
    if statistic == "ratio" and (raw <= 0).any():
        return None
    slopes = 1 / raw if statistic == "ratio" else np.ones_like(raw)
    sampling = np.zeros((len(rows), len(rows)))
    for one, row in enumerate(rows):
        for two in range(one, len(rows)):
            own = one == two
            for place, seed in enumerate(seeds):
                pair = [cells[row][seed], *([] if own else [cells[rows[two]][seed]])]
                signed = [slopes[one, place], -slopes[two, place]][: len(pair)]
                variance, _ = compute_sampling_variance(pair, signed, metric)
                sampling[one, two] += (variance or 0.0) / len(seeds) / len(pair)
            sampling[two, one] = sampling[one, two]
    values = np.array([[transform(value, statistic) for value in row] for row in raw])
    return Layout([models[row] for row in rows], values, sampling)
