"""Imports from and into places that are copied, closed, deleted, in use, or none at all."""

import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys

import pytest

from records.events import EventLog
from records.runs import find_events
from tests.ground.test_permissions import powerless, skip_unless_bound
from tests.records.tracking_case import ROOT, track

pytest.importorskip("mlflow", reason="MLflow is not installed (make env installs it)")
STORE = "sqlite:///results/mlflow.db"


def write_run(folder, name="row", **tags):
    events = folder / "results" / "mini" / "retrain" / "events"
    log = EventLog(events / f"{name}.jsonl", {"scale": "mini", "source": "retrain", **tags})
    with log.record(kind="row", job="sample", name=name, digest="d", spec={"recipe": 1}):
        log.write("metrics", fid=3.5)
    return log


def check_refusal(process, *words):
    assert process.returncode == 2 and "Traceback" not in process.stderr
    (line,) = process.stderr.splitlines()
    assert line.startswith("error: ")
    for word in words:
        assert word in line


def list_files(folder):
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_copy_of_results_writes_nothing_into_the_original(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    write_run(first)
    assert track(first).returncode == 0
    before = list_files(first)
    shutil.copytree(first, second)
    write_run(second, "new")
    process = track(second)
    assert process.returncode == 0 and "1 new, 0 brought up to date, 1" in process.stdout
    (line,) = process.stderr.splitlines()
    assert f"it keeps them in file://{first}/results/mlflow-artifacts, as these results" in line
    assert list_files(first) == before
    assert line.endswith("move results/mlflow.db away and import again")
    (second / "results/mlflow.db").rename(second / "mlflow.db")
    process = track(second)
    assert process.stderr == "" and "2 new" in process.stdout
    assert list_files(first) == before


@pytest.mark.slow
def test_a_deleted_experiment_comes_back_as_the_message_says(tmp_path):
    write_run(tmp_path)
    assert track(tmp_path).returncode == 0
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "MLFLOW_TRACKING_URI": STORE}
    delete = ["mlflow", "experiments", "delete", "--experiment-id", "1"]
    subprocess.run(delete, cwd=tmp_path, env=environment, check=True, capture_output=True)
    process = track(tmp_path)
    check_refusal(process, "MLflow experiment mini-retrain: it was deleted; bring it back with")
    command = process.stderr.split("`")[1]
    assert shlex.split(command)[0] == f"MLFLOW_TRACKING_URI={STORE}"
    environment.pop("MLFLOW_TRACKING_URI")
    typed = ["bash", "-c", command]
    subprocess.run(typed, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert "0 new" in track(tmp_path).stdout


def test_a_store_that_another_program_writes_into_is_not_to_be_moved(tmp_path):
    write_run(tmp_path)
    assert track(tmp_path).returncode == 0
    with sqlite3.connect(tmp_path / "results/mlflow.db") as store:
        store.execute("begin exclusive")
        check_refusal(track(tmp_path), "another program writes into this store; wait for it")
        store.rollback()
    assert track(tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("sqlite://", "a database in memory"),
        ("sqlite:///", "a database in memory"),
        ("sqlite:///:memory:", "a database in memory"),
        ("results/mlflow.db", "such as sqlite:///results/mlflow.db"),
        ("localhost:5000", "such as http://localhost:5000"),
        ("file:./mlruns", f"such as {STORE}"),
        ("file:///tmp/mlruns", f"such as {STORE}"),
        ("HTTP://127.0.0.1:9", "http://127.0.0.1:9: no MLflow server answers (ConnectionError)"),
    ],
)
def test_an_address_at_which_nothing_can_be_kept_is_told(tmp_path, uri, words):
    write_run(tmp_path)
    check_refusal(track(tmp_path, uri=uri), words)
    assert {path.name for path in (tmp_path / "results").iterdir()} <= {"mini", "mlflow.lock"}


def test_the_page_of_another_database_is_not_called_a_server(tmp_path):
    write_run(tmp_path)
    process = track(tmp_path, uri="sqlite:///mine.db", command="ui")
    check_refusal(process, "names sqlite:///mine.db, and this page shows the results folder's own")


def track_powerless(folder, **environment):
    command = [*powerless(), sys.executable, "-m", "records", "track"]
    given = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True)


def test_results_that_cannot_be_written_are_brought_elsewhere(tmp_path):
    write_run(tmp_path)
    (tmp_path / "other").mkdir()
    for path in ("results", "results/mini", "results/mini/retrain"):
        (tmp_path / path).chmod(0o555)
    skip_unless_bound(tmp_path / "results")
    process = track_powerless(tmp_path)
    check_refusal(process, "results/mlflow.db: cannot be written (Permission denied)")
    for counts in ("1 new", "0 new, 0 brought up to date, 1"):
        process = track_powerless(tmp_path, MLFLOW_TRACKING_URI="sqlite:///other/mine.db")
        assert process.returncode == 0 and counts in process.stdout and process.stderr == ""
    process = track_powerless(tmp_path, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    check_refusal(process, "http://127.0.0.1:9: no MLflow server answers")


def test_a_closed_folder_and_a_closed_file_are_named_and_the_rest_is_brought(tmp_path):
    log = write_run(tmp_path)
    closed = tmp_path / "results" / "other" / "retrain"
    write_run(tmp_path, "closed").path.chmod(0)
    (closed / "events").mkdir(parents=True)
    closed.chmod(0)
    skip_unless_bound(closed)
    log.path.with_name("dangling.jsonl").symlink_to("/nowhere")
    process = track_powerless(tmp_path)
    closed.chmod(0o755)
    assert process.returncode == 0 and "1 runs of mini-retrain" in process.stdout
    for name, words in (
        ("other/retrain", "cannot be looked into (Permission denied); change its permissions"),
        ("mini/retrain/events/closed.jsonl", "left out, cannot be read (Permission denied)"),
        ("mini/retrain/events/dangling.jsonl", "left out, cannot be read (No such file"),
    ):
        assert f"results/{name}: " in process.stderr and words in process.stderr


@pytest.mark.slow
def test_following_survives_a_link_to_nothing(tmp_path):
    log = write_run(tmp_path)
    log.path.with_name("dangling.jsonl").symlink_to("/nowhere")
    command = [sys.executable, "-m", "records", "track", "--follow"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment,
    ) as process:  # fmt: skip
        assert "1 new" in process.stdout.readline()
        write_run(tmp_path, "second")
        assert "1 new" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert "dangling.jsonl: left out" in process.stderr.read()


def test_odd_names_are_brought_and_the_import_is_the_same_again(tmp_path):
    log = write_run(tmp_path, **{"adm.run": "x", "mlflow.note.content": "y", "a" * 300: "z"})
    about = {"kind": "row", "name": "odd", "digest": "d"}
    spec = {".": 1, "": {"..": 2}, "...": 3}
    log.begin(job="j" * 300, spec=spec, **about)
    log.write("metrics", **{"": 1.0, ".": 2.0, "..a": 3.0, "a/../b": 4.0})
    log.write("end")
    with open(log.path, "a") as file:
        file.write('{"event": "metrics", "time": 1.0, "\\ud800": 1}\n')
        file.write('{"event": "metrics", "time": 1.0, "emoji": "\\ud83d\\ude00"}\n')
    process = track(tmp_path)
    assert process.returncode == 0 and "2 new" in process.stdout
    (line,) = process.stderr.splitlines()
    assert "left out 1 line cut short, damaged" in line
    assert "0 new, 0 brought up to date, 2" in track(tmp_path).stdout
    with sqlite3.connect(tmp_path / "results/mlflow.db") as store:
        names = {key for (key,) in store.execute("select key from metrics")}
        values = {value for (value,) in store.execute("select value from tags")}
    assert {"_", "_.", "_..a", "a_.._b"} <= names and not {"x", "y"} & values


def test_files_with_their_hashes_are_tags_and_not_copied(tmp_path):
    log = write_run(tmp_path)
    with log.record(kind="row", job="sample", name="row", digest="d", spec=None) as usage:
        usage.made["results/mini/samples.npz"] = "0123"
    assert track(tmp_path).returncode == 0
    with sqlite3.connect(tmp_path / "results/mlflow.db") as store:
        found = dict(store.execute("select key, value from tags").fetchall())
    assert found["file.samples.npz"] == "results/mini/samples.npz sha256:0123"


def test_events_are_found_in_order_whatever_is_beside_them(tmp_path):
    names = ["b/events/1.jsonl", "a/c/events/2.jsonl", "a/c/events/10.jsonl"]
    for name in [*names, "a/events.jsonl", "a/c/3.jsonl", "b/events/notes.txt"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert find_events(tmp_path) == (sorted(tmp_path / name for name in names), [])
