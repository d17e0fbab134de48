"""Files and descriptions of runs in MLflow: the spec, the page of the report, and what they are."""

import json
import shutil
import sqlite3

import pytest
import requests

from records.events import EventLog
from records.files import digest
from records.runs import read_runs
from records.tracking_files import NOTE, SENT, find_page, list_files, renew_note
from tests.records.tracking_case import read_back, start_server, track

SPEC = {"sampler": {"guidance_scale": 10.0}, "recipe": 1}
COMMAND = '<pre class="command" tabindex="0">make &amp;&amp; show</pre>'


def write_run(folder, name, kind="row", **tags):
    tags = {"scale": "mini", "source": "retrain", "pages": "table3,table4", **tags}
    path = folder / "results" / "mini" / "retrain" / "events" / f"{kind}-{digest(name)[:8]}.jsonl"
    log = EventLog(path, tags)
    with log.record(kind=kind, job="sample", name=name, digest="d", spec=SPEC):
        log.write("metrics", fid=3.5)


def write_page(folder, name, kind="samples", text="", source="retrain"):
    path = folder / "results" / "mini" / "report" / kind / f"{name}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    title = f"<title>Samples {name} (mini, {source})</title>"
    path.write_text(f"<html>{title}{COMMAND}{text}é</html>")
    return path


def read_one(folder):
    (run,), notices = read_runs(folder / "results")
    assert notices == []
    return run


def read_notes(store):
    with sqlite3.connect(store) as opened:
        query = "select name, value from tags join runs using (run_uuid) where key = ?"
        return dict(opened.execute(query, [NOTE]).fetchall())


def find_kept(folder):
    """Files that a store in a results folder keeps, by run and name, with their time."""
    with sqlite3.connect(folder / "results" / "mlflow.db") as store:
        names = dict(store.execute("select run_uuid, name from runs").fetchall())
    found = (folder / "results" / "mlflow-artifacts").rglob("*.*")
    return {(names[path.parts[-3]], path.name): (path, path.stat().st_mtime_ns) for path in found}


def test_spec_and_page_are_sent_once_and_again_when_they_change(tmp_path):
    pytest.importorskip("mlflow", reason="MLflow is not installed (make env installs it)")
    for name, kind in (("row", "row"), ("row-seed1", "row"), ("net", "model")):
        write_run(tmp_path, name, kind)
    page = write_page(tmp_path, "row")
    assert "3 new" in track(tmp_path).stdout
    kept = find_kept(tmp_path)
    specs = {(name, "spec.json") for name in ("row", "row-s1", "net")}
    assert set(kept) == specs | {("row", "page.html"), ("row-s1", "page.html")}
    assert json.loads(kept["row", "spec.json"][0].read_text()) == SPEC
    assert kept["row-s1", "page.html"][0].read_bytes() == page.read_bytes()
    assert "0 new, 0 brought up to date, 3" in track(tmp_path).stdout
    assert find_kept(tmp_path) == kept
    write_page(tmp_path, "row", text="better")
    write_page(tmp_path, "net", "models")
    assert "0 new, 3 brought up to date, 0" in track(tmp_path).stdout
    changed = find_kept(tmp_path)
    assert all(changed[one] == kept[one] for one in specs)
    assert changed["row", "page.html"][0].read_bytes() == page.read_bytes()
    place = "Page in the report: `results/mini/report/models/net.html`"
    assert place in read_notes(tmp_path / "results" / "mlflow.db")["net"]


def test_the_page_of_a_table_is_a_run_with_its_verdicts(tmp_path):
    pytest.importorskip("mlflow", reason="MLflow is not installed (make env installs it)")
    folder = tmp_path / "results" / "mini"
    path, page = folder / "retrain/events/report-table3.jsonl", folder / "report/table3.html"
    log = EventLog(path, {"scale": "mini", "source": "retrain", "pages": "table3"})
    page.parent.mkdir(parents=True)
    for supported in (1, 2):
        with log.record(kind="page", job="table", name="table3", digest="d", spec=None):
            log.write("verdicts", supported=supported, contradicted=0, inconclusive=4 - supported)
        with log.record(kind="page", job="index", name="index", digest=None, spec=None):
            page.write_text(f"<title>Table 3: a title (mini, retrain)</title>{supported}")
        assert f"{2 - supported} new" in track(tmp_path).stdout
        ((name, (kept, _)),) = find_kept(tmp_path).items()
        assert name == ("table3", "page.html") and kept.read_bytes() == page.read_bytes()
    ((name, text),) = read_notes(tmp_path / "results" / "mlflow.db").items()
    assert name == "table3" and text.split("\n\n")[:2] == [
        "Page `table3` of `mini-retrain` (claims judged).",
        "Its models and rows are found by `tags.pages LIKE '%table3%'`.",
    ]
    (run,), _ = read_runs(tmp_path / "results")
    history = [(one.step, one.value) for one in run.jobs["table"].points if one.key == "supported"]
    assert history == [(0, 1.0), (1, 2.0)]
    page.write_text("<title>Table 3: a title (mini, rescore)</title>")
    assert find_page(run) is None


def test_a_description_says_what_it_is_where_it_is_shown_and_how_it_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path, "row")
    write_page(tmp_path, "row")
    run = read_one(tmp_path)
    text = renew_note(run, find_page(run), {})[NOTE]
    assert text.split("\n\n") == [
        "Row `row` of `mini-retrain` (samples drawn).",
        "Shown in `table3`, `table4`.",
        "Made by `make && show`",
        "Page in the report: `results/mini/report/samples/row.html`",
    ]


def test_what_comes_from_files_is_no_markdown(tmp_path):
    write_run(tmp_path, "a`<b>\n\n# b", pages="`x`,[y](z)")
    text = renew_note(read_one(tmp_path), None, {})[NOTE]
    assert text.split("\n\n")[0].startswith("Row `a <b> # b` of ")
    assert text.split("\n\n")[1] == "Shown in `x`, `[y](z)`."


@pytest.mark.parametrize("name", ["../../../../secret", "/secret", "row"])
def test_a_page_elsewhere_or_of_another_source_is_not_taken(tmp_path, name):
    write_run(tmp_path, name)
    write_page(tmp_path, "row", source="rescore")
    (tmp_path / "secret.html").write_text(f"<title>Samples {name} (mini, retrain)</title>")
    run = read_one(tmp_path)
    assert find_page(run) is None and set(list_files(run, None)) == {"spec.json"}


def test_a_page_that_cannot_be_read_is_left_out(tmp_path):
    write_run(tmp_path, "row")
    write_page(tmp_path, "row").write_bytes(b"Samples row (mini, retrain)</title>\xff")
    assert find_page(read_one(tmp_path)) is None


def test_the_words_of_a_user_and_of_a_copy_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path, "row")
    write_page(tmp_path, "row")
    run = read_one(tmp_path)
    page = find_page(run)
    told = renew_note(run, None, {})
    assert renew_note(run, None, told) == {}
    assert "Page in the report" in renew_note(run, page, told)[NOTE]
    assert renew_note(run, page, {**told, NOTE: "the best of mine"}) == {}
    told |= renew_note(run, page, told)
    assert renew_note(run, None, {**told, f"{SENT}.page.html": "hash"}) == {}
    shutil.copytree("results", "copy/results")
    copy = read_one(tmp_path / "copy")
    assert find_page(copy) != page and renew_note(copy, find_page(copy), told) == {}


def test_a_store_whose_folder_was_moved_keeps_no_files_and_says_so(tmp_path):
    pytest.importorskip("mlflow", reason="MLflow is not installed (make env installs it)")
    old, new = tmp_path / "old", tmp_path / "new"
    write_run(old, "first")
    assert track(old).returncode == 0
    old.rename(new)
    write_run(new, "second")
    process = track(new)
    assert process.returncode == 0 and "1 new, 0 brought up to date, 1" in process.stdout
    (line,) = process.stderr.splitlines()
    assert "keeps no specs and pages of runs: it keeps them in " in line and "or moved; " in line
    assert not old.exists()
    assert "Row `second`" in read_notes(new / "results" / "mlflow.db")["second"]


@pytest.mark.slow
@pytest.mark.parametrize("is_there", [True, False])
def test_a_server_whose_folder_is_to_be_made_is_told_from_one_elsewhere(tmp_path, is_there):
    pytest.importorskip("mlflow", reason="MLflow is not installed (make env installs it)")
    write_run(tmp_path, "row")
    root = tmp_path / "artifacts" if is_there else tmp_path / "of" / "another" / "machine"
    options = "--default-artifact-root", str(root), "--no-serve-artifacts"
    with start_server(f"sqlite:///{tmp_path}/server.db", tmp_path, *options) as (address, _):
        process = track(tmp_path, uri=address)
        assert process.returncode == 0 and "1 new" in process.stdout
    found = [path.name for path in root.rglob("*.*")]
    assert found == (["spec.json"] if is_there else []) and root.exists() == is_there
    assert ("which is not here" in process.stderr) != is_there


@pytest.mark.slow
def test_a_real_server_keeps_them_and_one_without_storage_costs_a_sentence(tmp_path):
    pytest.importorskip("mlflow", reason="MLflow is not installed (make env installs it)")
    write_run(tmp_path, "row")
    page = write_page(tmp_path, "row")
    store, root = (
        f"sqlite:///{tmp_path}/server.db",
        ["--default-artifact-root", "mlflow-artifacts:/"],
    )
    with start_server(store, tmp_path, *root, "--no-serve-artifacts") as (address, _):
        for counts in ("1 new", "0 new, 0 brought up to date, 1"):
            process = track(tmp_path, uri=address)
            assert process.returncode == 0 and counts in process.stdout
            (line,) = process.stderr.splitlines()
            assert line.startswith(f"{address}: keeps no specs and pages of runs: ")
            assert line[-1] != "."
        run = read_back(address)["mini-retrain"]["row"]
        assert run["metrics"]["fid"] == 3.5 and "Row `row`" in run["tags"][NOTE]
        assert run["info"]["status"] == "FINISHED"
    where = ["--artifacts-destination", str(tmp_path / "kept")]
    with start_server(store, tmp_path, *root, *where) as (address, _):
        for counts in ("0 new, 1 brought up to date", "0 new, 0 brought up to date, 1"):
            process = track(tmp_path, uri=address)
            assert counts in process.stdout and process.stderr == ""
        run_id = read_back(address)["mini-retrain"]["row"]["info"]["run_id"]
        answer = requests.get(
            f"{address}/get-artifact", {"path": "page.html", "run_uuid": run_id}, timeout=30
        )
        assert answer.content == page.read_bytes()
    assert {path.name for path in (tmp_path / "kept").rglob("*.*")} == {"page.html", "spec.json"}
