"""The numbers of several reports as one data frame."""

import csv
import io
import math

import pytest

from records.errors import UserError
from reports.cli import main, write_table
from reports.export import CSV_COLUMNS, render_csv
from reports.frame import read_numbers
from tests.reports.conftest import evaluate


@pytest.fixture
def reports(project, make_spec, make_row):
    """Two reports, each of one table, and the lines of their CSV."""
    lines = {}
    for name, fid in (("one", (12.0, 0.5)), ("two", (8.0, 0.25))):
        rows = [make_row("a", project.write_metrics(f"{name}-a", fid=fid), label="=1+1")]
        rows.append(make_row("gan", kind="baseline", reason="quoted"))
        spec = make_spec(rows)
        folder = project.folder / name
        write_table(project.write_spec(spec, f"{name}.json"), folder)
        (folder / "points.csv").write_text("not a table's\n")
        lines[folder] = list(csv.DictReader(io.StringIO(render_csv(evaluate(spec)))))
    return lines


def test_every_number_of_every_table_is_there(reports):
    frame = read_numbers([*reports])
    assert list(frame.columns) == ["report", *CSV_COLUMNS]
    wanted = [(str(folder), line) for folder, lines in reports.items() for line in lines]
    assert len(frame) == len(wanted) > 4
    for (_, got), (folder, line) in zip(frame.iterrows(), wanted, strict=True):
        assert got["report"] == folder and got["row"] == line["row"]
        for key in ("measured", "low", "high", "std_error", "published"):
            if line[key] == "":
                assert math.isnan(got[key])
            else:
                assert got[key] == float(line[key])
    measured = frame[(frame["row"] == "a") & (frame["metric"] == "fid")]["measured"]
    assert list(measured) == [12.0, 8.0]
    assert set(frame[frame["row"] == "a"]["label"]) == {"'=1+1"}  # no formula


def test_they_are_written_as_one_csv(reports, tmp_path, capsys):
    out = tmp_path / "numbers.csv"
    main(["numbers", *map(str, reports), "--out", str(out)])
    lines = list(csv.DictReader(io.StringIO(out.read_text())))
    assert capsys.readouterr().out == f"{out}: {len(lines)} lines\n"
    assert [line["digest"] for line in lines] == [
        line["digest"] for one in reports.values() for line in one
    ]


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda folder: folder.rename(folder.with_name("x")), "one: no table there; make one"),
        (lambda folder: next(folder.glob("table*.csv")).write_text(""), "not a table's CSV"),
        (lambda folder: next(folder.glob("table*.csv")).write_text("a,b\n1,2\n"), "other columns"),
    ],
)
def test_what_is_no_report_is_named(reports, break_it, words):
    break_it(next(iter(reports)))
    with pytest.raises(UserError) as caught:
        read_numbers([*reports])
    assert words in str(caught.value)
