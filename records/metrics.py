"""The metrics by name: what each is called, which way is better, what it is computed from.

`eval.metrics.registry` computes them; scales, tables and pages read here which there are.
"""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        title: its name in a sentence.
        column: its name at the head of a column.
        output: what it takes of the samples: the feature network's `pool`, `spatial` or `softmax`.
        reference: what it takes of the reference: statistics, by the name of their mean (`mu`,
            `mu_s`), or `pool`, the features of its images; None for nothing.
        lower_is_better: which way is better.
        is_share: it is a share, between 0 and 1.
        in_paper: one of the paper's five.
        lowest: what no value of a metric that is no share can be below.
    """

    title: str
    column: str
    output: str
    reference: str | None
    lower_is_better: bool = False
    is_share: bool = False
    in_paper: bool = True
    lowest: float = -math.inf

    @property
    def statistic(self) -> Literal["difference", "ratio"]:
        """Return how values are compared: errors of all but shares grow with their values."""
        return "difference" if self.is_share else "ratio"

    @property
    def limits(self) -> tuple[float, float]:
        """Return the smallest and the largest value that it can have, but for rounding."""
        return (0.0, 1.0) if self.is_share else (self.lowest, math.inf)


# The paper's five in the order of its explanation, then others.
METRICS = {
    "is": Metric("Inception Score", "IS", "softmax", None, lowest=1 - 1e-6),
    "fid": Metric("FID", "FID", "pool", "mu", lower_is_better=True, lowest=0.0),
    "sfid": Metric("sFID", "sFID", "spatial", "mu_s", lower_is_better=True, lowest=0.0),
    "precision": Metric("Precision", "Precision", "pool", "pool", is_share=True),
    "recall": Metric("Recall", "Recall", "pool", "pool", is_share=True),
    "memorised": Metric(
        title="Memorised",
        column="Memorised",
        output="pool",
        reference="pool",
        lower_is_better=True,
        is_share=True,
        in_paper=False,
    ),
    "kid": Metric("KID", "KID", "pool", "pool", lower_is_better=True, in_paper=False),
    "fid_infinity": Metric(
        "FID (infinite samples)", "FID\u221e", "pool", "mu", lower_is_better=True, in_paper=False
    ),
    "density": Metric("Density", "Density", "pool", "pool", in_paper=False, lowest=0.0),
    "coverage": Metric("Coverage", "Coverage", "pool", "pool", is_share=True, in_paper=False),
    "kid_subsets": Metric(
        title="KID (subsets)",
        column="KID (subsets)",
        output="pool",
        reference="pool",
        lower_is_better=True,
        in_paper=False,
    ),
}
PAPER = tuple(name for name, metric in METRICS.items() if metric.in_paper)
EXTRAS = tuple(name for name, metric in METRICS.items() if not metric.in_paper)
