"""The import into MLflow on stores and servers that are really there, or really are not."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import requests

from records.events import EventLog
from tests.records.tracking_case import free_port, read_back, read_history, serve, track

ROOT = Path(__file__).resolve().parents[2]
pytest.importorskip("mlflow", reason="MLflow is not installed (make env installs it)")


def write_events(folder):
    """A trained model, and a row that was drawn and graded with it."""
    events = folder / "results" / "mini" / "retrain" / "events"
    tags = {"scale": "mini", "source": "retrain"}
    training = EventLog(events / "train-net.jsonl", tags)
    training.begin(kind="model", job="train", name="net", digest="d", spec={"channels": 8})
    for iteration in (50, 100):
        training.write("progress", iteration=iteration, loss=1 / iteration)
    training.write("end", iteration=100, wall_seconds=1.0)
    for job, fields in (("sample", {"images": 12}), ("evaluate", {"fid": 3.5})):
        log = EventLog(events / f"{job}-row.jsonl", tags)
        about = {"guidance_scale": 10.0}
        with log.record(kind="row", job=job, name="row", digest="e", spec=about):
            log.write("metrics", **fields)
    return training


@pytest.mark.slow
def test_following_brings_what_is_recorded_meanwhile(tmp_path):
    training = write_events(tmp_path)
    command = [sys.executable, "-m", "records", "track", "--follow"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert "2 new" in process.stdout.readline()
        training.write("progress", iteration=150, loss=0.005)
        assert "1 brought up to date" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    with sqlite3.connect(tmp_path / "results" / "mlflow.db") as store:
        found = store.execute("select step from metrics where key = 'loss' order by step")
        assert [step for (step,) in found] == [50, 100, 150]


JOB = """
import sys, time
from records.events import EventLog
name, folder = sys.argv[1:]
log = EventLog(f"{folder}/train-{name}.jsonl", {"scale": "mini", "source": "retrain"})
with log.record(kind="model", job="train", name=name, digest=name, spec={"channels": 8}):
    for iteration in range(150):
        log.write("progress", iteration=iteration, loss=iteration + int(name))
        time.sleep(0.05)
"""


def count_finished(folder):
    """Count the finished runs of a results folder's own store."""
    path = folder / "results" / "mlflow.db"
    if not path.exists():
        return 0
    with sqlite3.connect(path) as store:
        return store.execute("select count(*) from runs where status = 'FINISHED'").fetchone()[0]


@pytest.mark.slow
def test_what_eight_jobs_write_at_once_is_followed_in_order(tmp_path):
    events = tmp_path / "results" / "mini" / "retrain" / "events"
    events.mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "records", "track", "--follow"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    names = [str(number) for number in range(8)]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes) as following:
        started = [
            subprocess.Popen([sys.executable, "-c", JOB, name, events], env=environment)
            for name in names
        ]
        assert [job.wait(120) for job in started] == [0] * 8
        while count_finished(tmp_path) < 8:
            assert "runs" in following.stdout.readline()
        following.send_signal(signal.SIGINT)
        assert following.wait(60) == 0 and following.stderr.read() == ""
    with sqlite3.connect(tmp_path / "results" / "mlflow.db") as store:
        for name in names:
            found = store.execute(
                "select step, value from metrics join runs using (run_uuid)"
                " where name = ? and key = 'loss' order by metrics.rowid",
                [name],
            ).fetchall()
            assert found == [(step, step + int(name)) for step in range(150)]
        assert store.execute("select count(*) from runs").fetchone() == (8,)


@pytest.mark.slow
def test_a_real_server_holds_each_run_once(tmp_path):
    training = write_events(tmp_path)
    store = f"sqlite:///{tmp_path}/server.db"
    with serve(store, tmp_path) as address:
        for new in ("2 new, 0 brought up to date, 0", "0 new, 0 brought up to date, 2"):
            process = track(tmp_path, uri=address)
            assert process.returncode == 0 and new in process.stdout, process.stderr
        runs = read_back(address)["mini-retrain"]
        assert set(runs) == {"net", "row"}
        assert runs["row"]["metrics"]["fid"] == 3.5
        assert runs["row"]["params"] == {"guidance_scale": "10.0"}
        assert runs["row"]["tags"]["git_commit"] and runs["row"]["info"]["status"] == "FINISHED"
        training.begin(
            event="resume", kind="model", job="train", name="net", digest="d", spec={"channels": 8}
        )
        training.write("progress", iteration=150, loss=0.005)
        process = track(tmp_path, uri=address)
        assert "0 new, 1 brought up to date, 1" in process.stdout
        runs = read_back(address)["mini-retrain"]
        assert runs["net"]["info"]["status"] == "RUNNING" and runs["net"]["tags"]["attempts"] == "2"
        history = read_history(address, runs["net"]["info"]["run_id"], "loss")
        assert history == [(50, 0.02), (100, 0.01), (150, 0.005)]
        training.path.unlink()  # deleted and made again: the old copy gives way
        training.begin(kind="model", job="train", name="net", digest="d", spec={"channels": 8})
        training.write("progress", iteration=50, loss=0.5)
        assert "1 new" in track(tmp_path, uri=address).stdout
        net = read_back(address)["mini-retrain"]["net"]
        assert read_history(address, net["info"]["run_id"], "loss") == [(50, 0.5)]
    assert not (tmp_path / "results" / "mlflow.db").exists()


def test_the_results_folder_is_a_store_of_its_own(tmp_path):
    write_events(tmp_path)
    for new in ("2 new", "0 new"):
        process = track(tmp_path)
        assert process.returncode == 0 and process.stderr == "", process.stderr
        assert f"2 runs of mini-retrain in sqlite:///results/mlflow.db: {new}" in process.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"results"}  # no ./mlruns
    with sqlite3.connect(tmp_path / "results" / "mlflow.db") as store:
        (place,) = store.execute(
            "select artifact_location from experiments where name = 'mini-retrain'"
        ).fetchone()
    assert place == (tmp_path / "results" / "mlflow-artifacts").as_uri()


def test_a_cut_line_costs_that_line_alone(tmp_path):
    write_events(tmp_path)
    path = tmp_path / "results/mini/retrain/events/train-net.jsonl"
    path.write_text(path.read_text()[:-20])
    assert track(tmp_path).returncode == 0
    with open(path, "a") as file:
        file.write("\n")
    process = track(tmp_path)
    assert process.returncode == 0
    assert "train-net.jsonl: left out 1 line cut short" in process.stderr


def check_refusal(process, *words):
    """One line that starts with `error: ` and holds some words."""
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert line.startswith("error: ")
    for word in words:
        assert word in line


def test_a_server_that_is_away_is_told_within_seconds(tmp_path):
    write_events(tmp_path)
    started = time.monotonic()
    uri = f"http://someone:secret@127.0.0.1:{free_port()}"
    process = track(tmp_path, uri=uri)
    check_refusal(process, "no MLflow server answers", "unset MLFLOW_TRACKING_URI")
    assert "secret" not in process.stderr
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (
            "0584bdc529eb",
            ("an older MLflow made this store", "`mlflow db upgrade sqlite:///results"),
        ),
        (
            "ffffffffffff",
            ("a newer MLflow made this store", "install that one", "mv results/mlflow"),
        ),
    ],
)
def test_a_store_of_another_mlflow_is_told_and_kept(tmp_path, version, words):
    write_events(tmp_path)
    assert track(tmp_path).returncode == 0
    path = tmp_path / "results" / "mlflow.db"
    with sqlite3.connect(path) as store:
        store.execute("update alembic_version set version_num = ?", [version])
    before = path.read_bytes()
    check_refusal(track(tmp_path), *words, f"its tables are of version {version}, needed is ")
    assert path.read_bytes() == before


def test_an_import_that_is_killed_while_it_makes_the_store_leaves_none(tmp_path):
    write_events(tmp_path)
    command = [sys.executable, "-m", "records", "track"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as process:
        while not (new := tmp_path / "results" / "mlflow.db.new").exists() or not has_runs(new):
            time.sleep(0.002)
        process.kill()
    assert not (tmp_path / "results" / "mlflow.db").exists()
    assert "2 new" in track(tmp_path).stdout and not new.exists()


def has_runs(path):
    """Tell whether some of MLflow's tables are there."""
    with suppress(sqlite3.OperationalError), sqlite3.connect(path) as store:
        return bool(store.execute("select 1 from sqlite_master where name = 'runs'").fetchall())
    return False


def test_a_store_that_is_none_is_told(tmp_path):
    write_events(tmp_path)
    (tmp_path / "results" / "mlflow.db").write_text("not a database, but a text of some length")
    check_refusal(track(tmp_path), "MLflow cannot use this store", "mv results/mlflow.db")
    for uri in ("nonsense://a", "postgresql://u:secret@h/x", "sqlite:////proc/none/x.db"):
        process = track(tmp_path, uri=uri)
        check_refusal(process, "MLflow cannot use this store", "name another")
        assert "secret" not in process.stderr
    (tmp_path / "results" / "mlflow.db").unlink()
    (tmp_path / "results" / "mlflow.db").mkdir()
    check_refusal(track(tmp_path), "a folder has this one")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_page_is_served_and_leaves_nothing_behind(tmp_path, number):
    write_events(tmp_path)
    port = free_port()
    command = [sys.executable, "-m", "records", "ui", "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes) as page:
        imported, address, ending = (page.stdout.readline() for _ in range(3))
        assert "2 new" in imported and "Ctrl-C" in ending
        assert f"http://127.0.0.1:{port}/#/experiments/1/runs?workflowType=" in address
        assert requests.get(f"http://127.0.0.1:{port}/", timeout=30).ok
        started = psutil.Process(page.pid).children(recursive=True)
        page.send_signal(number)
        assert page.wait(timeout=60) == 0 and page.stderr.read() == ""
    _, alive = psutil.wait_procs(started, timeout=30)
    assert started and alive == []


def test_nothing_to_import_is_told(tmp_path):
    check_refusal(track(tmp_path), "results: no such folder", "--results")
    (tmp_path / "results").mkdir()
    process = track(tmp_path)
    assert process.returncode == 0 and "no recorded runs yet" in process.stdout
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = track(tmp_path, "--port", str(port), command="ui")
    check_refusal(process, f"--port {port}: cannot be used (", "such as --port 5001")
