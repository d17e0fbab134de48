"""Files of results: what is read of them, what is left aside, and what is refused."""

import json

import pytest

from records.errors import UserError
from specs.results import AccuracyFile, AllCosts, MetricsFile, read_metrics
from specs.strict import validated
from tests.reports.conftest import ACCURACY, metrics_content


def test_other_keys_are_no_matter_and_shown_where_all_are():
    content = metrics_content(fid=(12.0, 0.5))
    content["warnings"] = ["few"]
    content["metrics"]["is"] = {"value": 8, "num_splits": 10}
    content["counts"]["other"] = 3
    metrics = validated(MetricsFile, content, "row.json")
    assert metrics.metrics["fid"].interval == (11.0, 13.0)
    assert metrics.metrics["is"].value == 8.0 and metrics.metrics["is"].std_error is None
    assert metrics.counts.content() == content["counts"]
    assert metrics.protocol.content() == content["protocol"]
    assert validated(AccuracyFile, {**ACCURACY, "data": {}}, "a.json").ranges[1].last == 999


def test_metrics_that_may_be_negative_are_read():
    content = metrics_content(kid=-0.01, fid_infinity=-0.3, fid=0.0, precision=1.0)
    assert validated(MetricsFile, content, "row.json").metrics["kid"].value == -0.01


def test_costs_are_kept_as_they_are():
    content = {
        "models": [{"name": "m", "iterations": 500, "cpu_seconds": 9.5}],
        "stages": {"train": {"jobs": 2, "note": None}},
        "total_cpu_seconds": 7200,
    }
    assert validated(AllCosts, content, "cost.json").content() == content


def test_the_authors_statistics_are_of_unknown_images():
    content = metrics_content()
    content["counts"]["reference"] = None
    assert validated(MetricsFile, content, "row.json").counts.reference is None


COUNTS = {"samples": 5, "reference": 5, "reference_precision_recall": 5}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"format": 2}, "format: got 2"),
        ({"name": None}, "name: got None"),
        ({"counts": {**COUNTS, "samples": 0}}, "counts: samples: got 0"),
        ({"counts": {"samples": 5, "reference_precision_recall": 5}}, "reference: missing"),
        ({"counts": {**COUNTS, "reference_precision_recall": True}}, "recall: got True"),
        ({"protocol": None}, "protocol: got None; a mapping is needed"),
        ({"protocol": {"network": "n"}}, "protocol: network: got 'n'; a mapping is needed"),
        ({"metrics": {"fid": {"value": True}}}, "metrics: fid: value: got True"),
        ({"metrics": {"fid": {"std_error": 1.0}}}, "metrics: fid: value: missing"),
        ({"metrics": {"fid": {"value": 1.0, "std_error": -1}}}, "fid: std_error: got -1"),
        ({"metrics": {"fid": {"value": 1.0, "interval": [2, 1]}}}, "fid: interval: got [2.0, 1.0]"),
        ({"metrics": {"fid": {"value": 1.0, "interval": [1]}}}, "interval: 1: missing"),
        ({"metrics": {"fid": {"value": 1.0, "interval": [1, "2"]}}}, "interval: 1: got '2'"),
        ({"metrics": {"precision": {"value": 7.5}}}, "precision: value: got 7.5; needed: 0 to 1"),
        ({"metrics": {"recall": {"value": -0.1}}}, "recall: value: got -0.1; needed: 0 to 1"),
        ({"metrics": {"memorised": {"value": 1.1}}}, "value: got 1.1; needed: 0 to 1"),
        ({"metrics": {"fid": {"value": -5}}}, "fid: value: got -5; needed: at least 0"),
        ({"metrics": {"sfid": {"value": -1e-3}}}, "sfid: value: got -0.001; needed: at least 0"),
        ({"metrics": {"is": {"value": 0.5}}}, "is: value: got 0.5; needed: at least 0.999999"),
    ],
)
def test_broken_metrics_are_refused_with_place_and_advice(tmp_path, change, message):
    path = tmp_path / "row.json"
    path.write_text(json.dumps({**metrics_content(), **change}))
    with pytest.raises(UserError, match=r"row\.json: ") as error:
        read_metrics(path)
    text = str(error.value)
    assert message in text and "\n" not in text
    assert text.endswith("; delete it and run the evaluation again")


def test_what_is_no_metrics_file_is_refused(tmp_path):
    path = tmp_path / "row.json"
    for text, message in (
        ("[]", "row.json: not a metrics file: got []; a mapping is needed; delete it"),
        (json.dumps(metrics_content(fid=float("nan"))), "row.json: not a metrics file: "),
        (None, "row.json: no such file"),
    ):
        path.write_text(text) if text else path.unlink()
        with pytest.raises(UserError) as error:
            read_metrics(path)
        assert message in str(error.value)
