"""What the jobs cost, read from their logs."""

import pytest

from workflow.cli import main
from workflow.costs import format_allotment, make_allotment, read_times
from workflow.settings import load_plan


@pytest.fixture
def plan(tmp_path):
    return load_plan({"results": str(tmp_path)})


def test_times_of_a_jobs_commands_are_added(tmp_path):
    path = tmp_path / "x.times"
    path.write_text("1.5 1.0 0.25\n0.5 0.5 0.25\nsome other line of stderr\n")
    assert read_times(path) == {"wall_seconds": 2.0, "cpu_seconds": 2.0}


def test_allotment_lists_what_was_done(plan, tmp_path):
    logs = tmp_path / "digits" / "logs"
    for name, line in (
        ("train/arch_heads-700K", "10 8 1"),
        ("train/arch_heads-1200K", "20 16 2"),
        ("sample/t3_cond", "5 4 0.5"),
    ):
        path = logs / f"{name}.times"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(line + "\n")
    bench = tmp_path / "digits" / "benchmarks" / "train"
    bench.mkdir(parents=True)
    (bench / "a.tsv").write_text("s\tmax_rss\n1.0\t466.5\n")
    (bench / "b.tsv").write_text("s\tmax_rss\n1.0\tNA\n")
    allotment = make_allotment(plan)
    assert [model["name"] for model in allotment["models"]] == ["arch_heads"]
    assert allotment["models"][0]["cpu_seconds"] == 27.0
    assert allotment["rows"][0]["num_images"] == 1000
    assert allotment["total_cpu_seconds"] == 31.5
    assert allotment["peak_memory_mb"] == 466.5
    text = format_allotment(allotment)
    assert "sum of the jobs' CPU time: 0.5 minutes" in text and "arch_heads" in text


def test_nothing_done_yet(plan):
    assert make_allotment(plan)["total_cpu_seconds"] == 0


def test_a_summary_of_nothing_is_one_line(tmp_path, capsys):
    assert main(["summary", "--results", str(tmp_path)]) == 0
    line = "no job of scale digits, source retrain has run here: nothing in "
    assert capsys.readouterr().out == f"{line}{tmp_path}/digits/logs\n"


def test_a_summary_names_pages_that_are_there(tmp_path, capsys):
    report = tmp_path / "digits" / "report"
    for folder in (report, tmp_path / "digits" / "logs" / "table"):
        folder.mkdir(parents=True)
    (tmp_path / "digits" / "logs" / "table" / "table3.times").write_text("1 1 0\n")

    def list_pages():
        assert main(["summary", "--results", str(tmp_path)]) == 0
        lines = capsys.readouterr().out.splitlines()
        return [line.removeprefix("report: ") for line in lines if line.startswith("report: ")]

    assert list_pages() == []
    (report / "table3.html").touch()
    assert list_pages() == [str(report / "table3.html")]
    (report / "index.html").touch()
    assert list_pages() == [str(report / "index.html")]
