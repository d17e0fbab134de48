"""The metrics that a table or a scale may name, as types that refuse any other name."""

from typing import TYPE_CHECKING, Literal

from records.metrics import METRICS, PAPER

if TYPE_CHECKING:
    Metric = AnyMetric = str
else:
    Metric, AnyMetric = Literal[PAPER], Literal[tuple(METRICS)]
