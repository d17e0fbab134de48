"""How much the difference of two rows moves between training seeds, pooled over a table's rows.

Rows are trained with the same seeds, so that a seed is a block: value of row r and seed s =
row_r + seed_s + e_rs, and what rows have in common under a seed drops out of their differences.
The variance of e is the mean square of the residuals of this layout (Fisher 1935, randomised
blocks). Rows of one task are pooled, never of another: what differs by task is not borrowed.

Rows that share their trained model (other guidance, other steps) move together with it, so that
their differences are pooled apart from those of rows of different models. docs/statistics.md has
the derivation and the simulated coverage.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np


@dataclass(frozen=True)
class SeedVariance:
    """The variance of one cell and training seed in a difference of cells.

    Attributes:
        size: the variance, sampling error included, on the scale of the comparison.
        dof: its degrees of freedom.
        sampling: the part of it that is sampling error.
    """

    size: float
    dof: float
    sampling: float


@dataclass(frozen=True)
class Layout:
    """Values of the rows of a task that were trained with several seeds in common.

    Attributes:
        models: the trained model of each row.
        values: on the scale of a comparison, float64 [rows, seeds].
        sampling: half the sampling variance of the difference of two rows, float64 [rows, rows].
    """

    models: Sequence[str]
    values: np.ndarray
    sampling: np.ndarray

    @property
    def num_seeds(self) -> int:
        return self.values.shape[1]


def pool_differences(layout: Layout, *, models_differ: bool) -> SeedVariance | None:
    """Pool the variance between seeds over all pairs of rows of different models, or of the same.

    Half the variance of a difference, averaged over pairs: with one row for each of k models it is
    the residual mean square of the blocks, with (k - 1)(n - 1) degrees of freedom for n seeds; of m
    rows of one model it is that of their own blocks, with (m - 1)(n - 1), added up over models.

    Returns:
        The variance; None where there is no such pair, or a single seed.
    """
    if layout.num_seeds < 2:
        return None
    pairs = [
        (one, two)
        for one, two in combinations(range(len(layout.models)), 2)
        if (layout.models[one] != layout.models[two]) == models_differ
    ]
    if not pairs:
        return None
    differences = np.array([layout.values[one] - layout.values[two] for one, two in pairs])
    num_models = len({*layout.models})
    blocks = num_models - 1 if models_differ else len(layout.models) - num_models
    return SeedVariance(
        size=float(differences.var(axis=1, ddof=1).mean()) / 2,
        dof=float(blocks * (layout.num_seeds - 1)),
        sampling=float(np.mean([layout.sampling[pair] for pair in pairs])),
    )


def pool_values(layout: Layout) -> SeedVariance | None:
    """Pool the variance of a single cell between seeds, what all rows have in common included.

    With mean squares of blocks M_b and residuals M_e of k rows it is (M_b + (k - 1) M_e) / k, with
    the degrees of freedom of Satterthwaite (1946).

    Returns:
        The variance; None with a single seed.
    """
    num_rows, num_seeds = layout.values.shape
    if num_seeds < 2:
        return None
    centred = layout.values - layout.values.mean(axis=1, keepdims=True)
    blocks = num_rows * float(centred.mean(axis=0).var(ddof=1))
    sampling = float(np.diagonal(layout.sampling).mean())
    if num_rows == 1:
        return SeedVariance(blocks, num_seeds - 1.0, sampling)
    residual = centred - centred.mean(axis=0)
    error = float((residual**2).sum()) / ((num_rows - 1) * (num_seeds - 1))
    shared, own = blocks / num_rows, error * (num_rows - 1) / num_rows
    inverse = (shared**2 + own**2 / (num_rows - 1)) / (num_seeds - 1)
    dof = (shared + own) ** 2 / inverse if inverse else num_seeds - 1.0
    return SeedVariance(shared + own, dof, sampling)
