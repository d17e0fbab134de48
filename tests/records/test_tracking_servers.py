"""Imports into a real MLflow server that freezes, dies or is used by two at once."""

import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from records.events import EventLog
from records.runs import read_runs
from records.tracking import make_key
from tests.records.tracking_case import (
    ROOT,
    free_port,
    read_back,
    read_history,
    start_server,
    track,
)

pytest.importorskip("mlflow", reason="MLflow is not installed (make env installs it)")
pytestmark = pytest.mark.slow
NUM_RUNS, NUM_POINTS = 3, 900  # 438 of each metric are kept: more than one page of points
LIMIT_S = 90


def write_runs(folder, num_runs=NUM_RUNS, num_points=NUM_POINTS):
    for number in range(num_runs):
        name = f"net{number}"
        path = folder / "results" / "mini" / "retrain" / "events" / f"train-{name}.jsonl"
        log = EventLog(path, {"scale": "mini", "source": "retrain"})
        with log.record(kind="model", job="train", name=name, digest=name, spec={"channels": 8}):
            for step in range(num_points):
                log.write("progress", iteration=step, loss=step + number, lr=0.1)


def check_all_there(address, num_runs=NUM_RUNS):
    """Every run once, with every point that an import keeps, in order."""
    runs = read_back(address)["mini-retrain"]
    assert set(runs) == {f"net{number}" for number in range(num_runs)}
    for number in range(num_runs):
        run = runs[f"net{number}"]
        history = read_history(address, run["info"]["run_id"], "loss")
        steps = [step for step, _ in history]
        assert steps[:200] == [*range(200)] and steps == sorted({*steps})
        assert len(steps) == 438 and steps[-1] == 897
        assert all(value == step + number for step, value in history)
        assert run["info"]["status"] == "FINISHED" and run["params"] == {"channels": "8"}


@contextmanager
def listen(address, is_meant, act):
    """A way to a server that acts, once, when a request comes, and then hands it on."""
    lock, done = threading.Lock(), []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with lock:
                if not done and is_meant(self.path, body):
                    done.append(self.path)
                    act()
            try:
                answer = requests.request(
                    self.command, address + self.path, data=body,
                    headers={"Content-Type": self.headers.get("Content-Type", "")}, timeout=300,
                )  # fmt: skip
                self.send_response(answer.status_code)
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)
            except OSError:  # the server is dead, or who asked has given up
                self.close_connection = True

        do_GET = do_POST = do_PATCH = handle_any

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", done
    finally:
        server.shutdown()
        server.server_close()


def find_moment(where, count):
    """Tell whether a request is the one at which the server goes away."""
    left = [count]

    def is_meant(path, body):
        left[0] -= where.encode() in path.encode() + b" " + body
        return left[0] < 0

    return is_meant


MOMENTS = [
    ("runs/create", 1),  # the request waits in the frozen server, with its repetition
    ('"metrics": [{', 1),  # the second page of points
]


def check_one_sentence(process, seconds):
    assert seconds < LIMIT_S and process.returncode == 2, process.stderr
    (line,) = process.stderr.splitlines()
    assert line.startswith("error: ") and "no MLflow server answers (" in line
    assert "start it and import again, which sends nothing twice" in line


@pytest.mark.parametrize(("where", "count"), MOMENTS)
def test_a_server_that_freezes_costs_a_minute_and_nothing_else(tmp_path, where, count):
    write_runs(tmp_path)
    with start_server(f"sqlite:///{tmp_path}/server.db", tmp_path) as (address, signal_all):
        freeze = partial(signal_all, signal.SIGSTOP)
        with listen(address, find_moment(where, count), freeze) as (way, done):
            started = time.monotonic()
            # One case with the settings that are there by default.
            hurry = {} if where == MOMENTS[1][0] else {"MLFLOW_HTTP_REQUEST_TIMEOUT": "4"}
            process = track(tmp_path, uri=way, **hurry)
            check_one_sentence(process, time.monotonic() - started)
            assert len(done) == 1
            started = time.monotonic()
            check_one_sentence(track(tmp_path, uri=way), time.monotonic() - started)
            signal_all(signal.SIGCONT)
        time.sleep(2)  # what waited in the server is done now
        process = track(tmp_path, uri=address)
        assert process.returncode == 0, process.stderr
        check_all_there(address)
        assert f"0 new, 0 brought up to date, {NUM_RUNS}" in track(tmp_path, uri=address).stdout


def test_a_server_that_dies_costs_nothing_either(tmp_path):
    write_runs(tmp_path)
    store = f"sqlite:///{tmp_path}/server.db"
    with start_server(store, tmp_path) as (address, signal_all):
        kill = partial(signal_all, signal.SIGKILL)
        with listen(address, find_moment(*MOMENTS[1]), kill) as (way, done):
            started = time.monotonic()
            check_one_sentence(track(tmp_path, uri=way), time.monotonic() - started)
            assert len(done) == 1
    with start_server(store, tmp_path) as (address, _):
        assert track(tmp_path, uri=address).returncode == 0
        check_all_there(address)


def start(folder, uri):
    return subprocess.Popen(
        [sys.executable, "-m", "records", "track"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": uri},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("is_server", [True, False])
def test_copies_of_results_that_are_imported_at_once_are_one_set_of_runs(tmp_path, is_server):
    write_runs(tmp_path / "first")
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    store = f"sqlite:///{tmp_path}/shared.db"
    folders = (tmp_path / "first", tmp_path / "second")
    with start_server(f"sqlite:///{tmp_path}/server.db", tmp_path) as (address, _):
        for _ in range(2):  # into nothing, and into what is there
            running = [start(folder, address if is_server else store) for folder in folders]
            said = [process.communicate(timeout=200) for process in running]
            assert [process.returncode for process in running] == [0, 0], said
            assert [error for _, error in said] == ["", ""]
        if is_server:
            check_all_there(address)
            return
    with start_server(store, tmp_path) as (address, _):
        check_all_there(address)


@pytest.mark.parametrize("is_replaced", [True, False])
def test_a_run_that_is_deleted_while_it_is_written_is_looked_for_again(tmp_path, is_replaced):
    """Another machine's import finds a copy that was made before, or a user deletes the run."""
    write_runs(tmp_path)
    with start_server(f"sqlite:///{tmp_path}/server.db", tmp_path) as (address, _):

        def delete():
            run = read_back(address)["mini-retrain"]["net0"]["info"]
            tags = {"adm.run": key, "adm.made": "1"}
            about = {"experiment_id": run["experiment_id"], "start_time": run["start_time"]}
            about["tags"] = [{"key": name, "value": value} for name, value in tags.items()]
            calls = [("create", {**about, "run_name": "net0"})] * is_replaced
            for verb, body in (*calls, ("delete", {"run_id": run["run_id"]})):
                url = f"{address}/api/2.0/mlflow/runs/{verb}"
                requests.post(url, json=body, timeout=30).raise_for_status()

        key = make_key(read_runs(tmp_path)[0][0])
        with listen(address, find_moment(*MOMENTS[1]), delete) as (way, done):
            process = track(tmp_path, uri=way)
            assert (process.returncode, process.stderr, len(done)) == (0, "", 1)
        check_all_there(address)
        made = read_back(address)["mini-retrain"]["net0"]["tags"]["adm.made"]
        assert (made == "1") == is_replaced
        assert f"0 new, 0 brought up to date, {NUM_RUNS}" in track(tmp_path, uri=address).stdout


def test_an_earlier_copy_takes_nothing_away(tmp_path):
    write_runs(tmp_path / "first", num_points=100)
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    path = next((tmp_path / "first").glob("**/train-net0.jsonl"))
    log = EventLog(path)
    log.write("progress", iteration=500, loss=0.5)
    log.write("end", wall_seconds=1.0)
    uri = f"sqlite:///{tmp_path}/shared.db"
    assert "3 new" in track(tmp_path / "first", uri=uri).stdout
    assert "0 new, 0 brought up to date, 3" in track(tmp_path / "second", uri=uri).stdout
    assert "0 new, 0 brought up to date, 3" in track(tmp_path / "first", uri=uri).stdout


def test_a_token_is_sent_and_written_nowhere(tmp_path):
    write_runs(tmp_path, num_runs=1, num_points=3)
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.headers.get("Authorization"))
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", free_port()), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}"
        process = track(tmp_path, uri=uri, MLFLOW_TRACKING_TOKEN="secret-word")
        server.shutdown()
    assert "Bearer secret-word" in seen
    (line,) = process.stderr.splitlines()
    assert process.returncode == 2 and "401" in line and "MLFLOW_TRACKING_TOKEN" in line
    said = process.stdout + process.stderr
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert "secret-word" not in said and not any(b"secret-word" in one for one in written)
