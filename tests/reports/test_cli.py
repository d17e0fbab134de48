import json

import pytest

from records.errors import UserError, main_guard
from reports.cli import load_table, main, write_index

ENDINGS = ("html", "csv", "md", "tex", "json")


@pytest.fixture
def spec_path(project, make_spec, make_row):
    return project.write_spec(make_spec([make_row("a", project.write_metrics("a"))]))


def run(*args):
    return main_guard(main)([str(arg) for arg in args])


def test_table_writes_all_forms_and_index_reads_them(project, spec_path):
    assert run("table", "--spec", spec_path, "--out-dir", "report") == 0
    written = sorted(path.name for path in (project.folder / "report").iterdir())
    assert written == sorted(f"table3.{ending}" for ending in ENDINGS)
    (project.folder / "cost.json").write_text(json.dumps({"total_cpu_seconds": 60}))
    arguments = ("--out-dir", "report", "--allotment", "cost.json")
    assert run("index", *arguments, "report/table3.json") == 0
    assert "Classifier guidance" in (project.folder / "report/index.html").read_text()


def test_every_file_is_the_same_when_made_again(project, spec_path):
    for folder in ("one", "two"):
        run("table", "--spec", spec_path, "--out-dir", folder)
        run("index", "--out-dir", folder, f"{folder}/table3.json")
    for path in (project.folder / "one").iterdir():
        assert path.read_bytes() == (project.folder / "two" / path.name).read_bytes()


def test_user_errors_are_one_line_and_status_2(project, capsys):
    assert run("table", "--spec", "none.json", "--out-dir", "report") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: none.json: no such file") and error.count("\n") == 1


def test_index_refuses_what_is_not_a_table(project, metrics):
    (project.folder / "metrics.json").write_text(json.dumps(metrics()))
    with pytest.raises(UserError, match="not an evaluated table"):
        load_table("metrics.json")


def test_index_refuses_a_table_twice(project, spec_path):
    run("table", "--spec", spec_path, "--out-dir", ".")
    with pytest.raises(UserError, match="table3 given twice"):
        write_index(["table3.json", "table3.json"], ".", None)


def test_index_refuses_a_wrong_allotment(project, spec_path):
    run("table", "--spec", spec_path, "--out-dir", ".")
    (project.folder / "cost.json").write_text("[]")
    with pytest.raises(UserError, match=r"cost.json: got a list; an object is needed"):
        write_index(["table3.json"], ".", "cost.json")


def test_reports_need_no_torch():
    import subprocess
    import sys

    code = "import sys, reports.cli; sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
