import json

import pytest

from records.errors import UserError
from reports.cells import check_metrics, load_metrics, make_estimate, read_interval


def test_absent_file_is_not_run(tmp_path):
    assert load_metrics(None) is None
    assert load_metrics(tmp_path / "none.json") is None


def test_reads_value_error_and_count(tmp_path, metrics):
    path = tmp_path / "row.json"
    path.write_text(json.dumps(metrics(fid=(12.0, 0.5), num_samples=300)))
    content = load_metrics(path)
    estimate = make_estimate(content, "fid")
    assert (estimate.value, estimate.std_error, estimate.num_samples) == (12.0, 0.5, 300)
    assert read_interval(content, "fid") == (11.0, 13.0)
    assert make_estimate(content, "recall") is None
    assert read_interval(content, "recall") == (None, None)


def test_unknown_error_is_allowed(metrics):
    content = metrics(fid=(12.0, None))
    check_metrics(content, "row.json")
    assert make_estimate(content, "fid").std_error is None


@pytest.mark.parametrize(
    "change, message",
    [
        ({"format": 2}, "format 2"),
        ({"counts": {"samples": 0, "reference": 5}}, "counts.samples is 0"),
        ({"counts": {"samples": 5}}, "counts.reference is None"),
        ({"protocol": None}, "protocol is None"),
        ({"metrics": {"fid": {"value": float("nan")}}}, "finite value"),
        ({"metrics": {"fid": {"value": True}}}, "finite value"),
        ({"metrics": {"fid": {"value": 1.0, "std_error": -1}}}, "fid.std_error: got -1"),
        ({"metrics": {"fid": {"value": 1.0, "interval": [2, 1]}}}, "fid.interval: got"),
    ],
)
def test_broken_files_are_refused_with_place_and_advice(metrics, change, message):
    with pytest.raises(UserError, match=r"row\.json") as error:
        check_metrics({**metrics(), **change}, "row.json")
    assert message in str(error.value)
    assert "run the evaluation again" in str(error.value)


def test_a_list_is_no_metrics_file():
    with pytest.raises(UserError, match="got list"):
        check_metrics([], "row.json")


def test_cut_short_file_is_refused(tmp_path):
    path = tmp_path / "row.json"
    path.write_text('{"format": 1, "na')
    with pytest.raises(UserError, match="not a metrics file"):
        load_metrics(path)
