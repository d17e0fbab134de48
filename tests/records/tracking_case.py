"""`python -m records track` as a user calls it, and what MLflow then holds, over its real API."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import requests

ROOT = Path(__file__).resolve().parents[2]


def track(folder, *arguments, uri=None, command="track", **more):
    """Run the command in a folder; return the finished process."""
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    if uri:
        environment["MLFLOW_TRACKING_URI"] = uri
    return subprocess.run(
        [sys.executable, "-m", "records", command, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
        env={**environment, "PYTHONPATH": str(ROOT), **more},
    )


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def serve(store, folder):
    """A real MLflow server on a store; yields its address."""
    with start_server(store, folder) as (address, _):
        yield address


@contextmanager
def start_server(store, folder, *options):
    """The same; yields its address, and a function that sends a signal to all its processes.

    Without options clients write files of runs into a folder themselves.
    """
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", store]
    command += options or ["--default-artifact-root", str(folder / "artifacts")]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # 8 processes less
    with (
        open(folder / "server.log", "w") as log,
        subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment) as server,
    ):

        def signal_all(number):
            found = psutil.Process(server.pid)
            for one in (*found.children(recursive=True), found):
                one.send_signal(number)

        try:
            for _ in range(240):
                with suppress(requests.RequestException):
                    if requests.get(f"{address}/health", timeout=5).ok:
                        break
                assert server.poll() is None, (folder / "server.log").read_text()
                time.sleep(0.5)
            yield address, signal_all
        finally:
            with suppress(psutil.NoSuchProcess):
                signal_all(signal.SIGCONT)
                signal_all(signal.SIGTERM)


def read_back(address):
    """The runs of a server: by experiment, then by name, each as params, tags and metrics."""

    def ask(verb, **body):
        answer = requests.post(f"{address}/api/2.0/mlflow/{verb}", json=body, timeout=30)
        assert answer.ok, answer.text
        return answer.json()

    found = {}
    for experiment in ask("experiments/search", max_results=100)["experiments"]:
        ids = [experiment["experiment_id"]]
        runs = ask("runs/search", experiment_ids=ids, max_results=1000).get("runs", [])
        for run in runs:
            data = {
                kind: {one["key"]: one["value"] for one in run["data"].get(kind, [])}
                for kind in ("params", "tags", "metrics")
            }
            by_name = found.setdefault(experiment["name"], {})
            assert run["info"]["run_name"] not in by_name, "a run is there twice"
            by_name[run["info"]["run_name"]] = {**data, "info": run["info"]}
    return found


def read_history(address, run_id, key):
    """The values of a metric of a run, as (step, value)."""
    answer = requests.get(
        f"{address}/api/2.0/mlflow/metrics/get-history",
        params={"run_id": run_id, "metric_key": key},
        timeout=30,
    )
    return [(int(one.get("step", 0)), one["value"]) for one in answer.json()["metrics"]]
