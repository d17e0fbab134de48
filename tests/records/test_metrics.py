"""The list of metrics, and those who read it."""

from typing import get_args

import pytest

from eval.metrics.registry import COMPUTE
from eval.networks.features import Features
from records.metrics import EXTRAS, METRICS, PAPER
from specs.metrics import AnyMetric, Metric


def test_the_list_says_what_is_computed_and_what_may_be_named():
    assert list(COMPUTE) == list(METRICS) == [*PAPER, *EXTRAS]
    assert get_args(Metric) == PAPER and get_args(AnyMetric) == tuple(METRICS)
    assert PAPER == ("is", "fid", "sfid", "precision", "recall")


@pytest.mark.parametrize("name", METRICS)
def test_what_a_metric_needs_exists(name):
    assert METRICS[name].output in Features.__dataclass_fields__
    assert METRICS[name].reference in (None, "mu", "mu_s", "pool")
