import copy
import json
from pathlib import Path

import pytest

from records.errors import UserError, main_guard
from records.events import read_events
from records.manifest import read_manifest
from reports.cli import load_table, main, write_index
from specs.page import load_page

ENDINGS = ("html", "csv", "md", "tex", "json")


@pytest.fixture
def spec_path(project, make_spec, make_row):
    return project.write_spec(make_spec([make_row("a", project.write_metrics("a"))]))


def run(*args):
    return main_guard(main)([str(arg) for arg in args])


def test_table_writes_all_forms_and_index_reads_them(project, spec_path):
    assert run("table", "--spec", spec_path, "--out-dir", "report") == 0
    written = sorted(path.name for path in (project.folder / "report").iterdir())
    assert written == sorted(f"table3.{ending}" for ending in (*ENDINGS, "manifest.json"))
    manifest = read_manifest("report/table3.html")
    assert manifest["kind"] == "page" and manifest["digest"] == load_page(spec_path).digest
    assert len(manifest["inputs"]["metrics"]) > 0
    (project.folder / "cost.json").write_text(json.dumps({"total_cpu_seconds": 60}))
    arguments = ("--out-dir", "report", "--costs", "cost.json")
    assert run("index", *arguments, "report/table3.json") == 0
    assert "Classifier guidance" in (project.folder / "report/index.html").read_text()


def test_pages_record_what_they_are(project, make_spec, make_row, make_claim):
    rows = [make_row(one, project.write_metrics(one)) for one in "ab"]
    spec_path = project.write_spec(make_spec(rows, claims=[make_claim("fid", "a", "less", "b")]))
    options = ("--out-dir", "report", "--events", "events.jsonl", "--tag", "scale=digits")
    assert run("table", "--spec", spec_path, *options) == 0
    assert run("index", "report/table3.json", *options) == 0
    events, _ = read_events("events.jsonl")
    names = ["start", "verdicts", "made", "end", "start", "end"]
    assert [event["event"] for event in events] == names
    (verdict,) = [claim["verdict"] for claim in load_table("report/table3.json")["claims"]]
    for name in ("supported", "contradicted", "inconclusive"):
        assert events[1][name] == (verdict == name)
    assert verdict == "inconclusive"
    for name, digest, event in zip(
        ("table3", "index"), (load_page(spec_path).digest, None), events[::4], strict=True
    ):
        assert (event["kind"], event["name"], event["digest"]) == ("page", name, digest)
        assert event["tags"] == {"scale": "digits"}


def test_every_file_is_the_same_when_made_again(project, spec_path):
    for folder in ("one", "two"):
        run("table", "--spec", spec_path, "--out-dir", folder)
        run("index", "--out-dir", folder, f"{folder}/table3.json")
    for path in (project.folder / "one").iterdir():
        again = project.folder / "two" / path.name
        if path.suffixes == [".manifest", ".json"]:  # says when, too
            first, second = (json.loads(one.read_text()) for one in (path, again))
            assert first | {"run": None} == second | {"run": None}
        else:
            assert path.read_bytes() == again.read_bytes()


def test_user_errors_are_one_line_and_status_2(project, capsys):
    assert run("table", "--spec", "none.json", "--out-dir", "report") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: none.json: no such file") and error.count("\n") == 1


def places(tree, prefix=()):
    """List the path of every value in JSON, at every depth."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in list(pairs):
        yield (*prefix, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*prefix, key))


def change(tree, path, value):
    tree = copy.deepcopy(tree)
    inner = tree
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return tree


def test_a_wrong_type_in_any_place_of_a_specification(project, make_spec, make_row, capsys):
    spec = json.loads(json.dumps(make_spec([make_row("a", project.write_metrics("a"))])))
    for path in places(spec):
        spec_path = project.write_spec(change(spec, path, [[]]))
        assert run("table", "--spec", spec_path, "--out-dir", "x") == 2
        place = ": ".join([str(spec_path), *map(str, path)])
        lines = capsys.readouterr().err.removeprefix("error: ").splitlines()
        assert lines and all(line.startswith(f"{place}: ") for line in lines), lines


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (
            ("counts", "reference_precision_recall"),
            "counts: reference_precision_recall: got [[]]",
        ),
        (("protocol", "reference"), "protocol: reference: got [[]]; a mapping is needed"),
        (("protocol", "network"), "protocol: network: got [[]]; a mapping is needed"),
    ],
)
def test_a_wrong_type_in_a_metrics_file(project, spec_path, metrics, capsys, path, words):
    (project.folder / "a.json").write_text(json.dumps(change(metrics("a"), path, [[]])))
    assert run("table", "--spec", spec_path, "--out-dir", "x") == 0
    warning = capsys.readouterr().err
    assert warning.startswith("warning: a.json: ") and words in warning
    table = load_table("x/table3.json")
    assert words in table["flags"][0] and table["num_measured"] == 0


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("flags",), [1], "x.json: flags: 0: got 1 (int); Input should be a valid string"),
        (("protocol_summary",), ["a"], "x.json: protocol_summary: 0: got 'a' (str)"),
        (("claims",), [{"id": "a"}], "x.json: claims: 0: verdict: missing; write this key"),
    ],
)
def test_index_refuses_a_damaged_table(project, spec_path, capsys, path, value, words):
    run("table", "--spec", spec_path, "--out-dir", ".")
    table = json.loads((project.folder / "table3.json").read_text())
    (project.folder / "x.json").write_text(json.dumps(change(table, path, value)))
    assert run("index", "--out-dir", ".", "x.json") == 2
    assert words in capsys.readouterr().err and not (project.folder / "index.html").exists()


def test_a_table_is_never_written_over_its_specification(project, spec_path, capsys):
    path = project.folder / "table3.json"
    path.write_bytes(Path(spec_path).read_bytes())
    before = path.read_bytes()
    assert run("table", "--spec", path, "--out-dir", ".") == 2
    assert "is an input of the same command" in capsys.readouterr().err
    assert path.read_bytes() == before and not (project.folder / "table3.csv").exists()


def test_index_refuses_what_is_not_a_table(project, metrics):
    (project.folder / "metrics.json").write_text(json.dumps(metrics()))
    with pytest.raises(UserError, match="not an evaluated table"):
        load_table("metrics.json")


def test_index_links_the_figures_that_are_there(project, spec_path):
    run("table", "--spec", spec_path, "--out-dir", ".")
    for found in (False, True):
        write_index(["table3.json"], ".", None)
        assert ('href="figures.html"' in (project.folder / "index.html").read_text()) == found
        (project.folder / "figures.html").touch()


def test_index_refuses_a_table_twice(project, spec_path):
    run("table", "--spec", spec_path, "--out-dir", ".")
    with pytest.raises(UserError, match="table3 given twice"):
        write_index(["table3.json", "table3.json"], ".", None)


def test_index_refuses_a_wrong_costs(project, spec_path):
    run("table", "--spec", spec_path, "--out-dir", ".")
    for content, words in (
        ("[]", r"cost.json: got \[\]; a mapping is needed"),
        ('{"models": [{"iterations": 1}]}', r"cost.json: models: 0: name: missing"),
        ('{"models": [1]}', r"cost.json: models: 0: got 1; a mapping is needed"),
        ('{"stages": {"train": 1}}', r"cost.json: stages: train: got 1; a mapping is needed"),
        ('{"total_cpu_seconds": [[]]}', r"cost.json: total_cpu_seconds: got \[\[\]\]"),
    ):
        (project.folder / "cost.json").write_text(content)
        with pytest.raises(UserError, match=words):
            write_index(["table3.json"], ".", "cost.json")


def test_reports_need_no_torch_and_load_slow_packages_only_where_they_are_used():
    import subprocess
    import sys

    names = ("torch", "scipy", "matplotlib")
    code = f"import sys, reports.cli; sys.exit(any(name in sys.modules for name in {names}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
