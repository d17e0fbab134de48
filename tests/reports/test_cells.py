import json

import pytest

from records.errors import UserError
from reports.cells import read_measured
from specs.results import read_metrics


def test_reads_value_and_interval(tmp_path, metrics):
    path = tmp_path / "row.json"
    path.write_text(json.dumps(metrics(fid=(12.0, 0.5), num_samples=300)))
    content = read_metrics(path)
    known = {"measured": 12.0, "std_error": 0.5, "low": 11.0, "high": 13.0}
    assert read_measured(content, "fid") == known
    assert {*read_measured(content, "recall").values()} == {None}


def test_unknown_error_is_allowed(make_metrics):
    content = make_metrics(fid=(12.0, None))
    assert read_measured(content, "fid")["low"] is None
    assert {*read_measured(content, "fid").values()} == {12.0, None}


def test_cut_short_file_is_refused(tmp_path):
    path = tmp_path / "row.json"
    path.write_text('{"format": 1, "na')
    with pytest.raises(UserError, match="not a metrics file"):
        read_metrics(path)
