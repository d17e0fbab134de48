"""MLflow's own page on the runs of a results folder."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from records.errors import UserError
from records.tracking import default_artifacts, default_uri

HOST = "127.0.0.1"
START_SECONDS, END_SECONDS = 120, 10
LOG = "mlflow-page.log"
SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")


def address_of_runs(base: str, experiment: str) -> str:
    """Return the page that lists the runs of an experiment.

    Without its last part MLflow opens its view for language models.

    Args:
        base: address of the server.
        experiment: MLflow's number of the experiment.
    """
    return f"{base}/#/experiments/{experiment}/runs?workflowType=machine_learning"


def serve_page(root: str | Path, port: int, experiments: Mapping[str, str]) -> int:
    """Serve the page until it is interrupted, and say where it is.

    Args:
        root: results folder that was imported.
        port: of the address, on this machine alone.
        experiments: name to MLflow's number.

    Returns:
        The server's exit status; 0 when it was interrupted.

    Raises:
        UserError: the port is taken, or the server does not start.
    """
    _demand_free(port)
    base = f"http://{HOST}:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)]
    command += ["--backend-store-uri", default_uri(root), "--workers", "1"]
    command += ["--default-artifact-root", default_artifacts(root)]
    log_path = Path(root) / LOG
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # 8 processes less
    with (
        open(log_path, "wb") as log,
        # A group of its own: Ctrl-C reaches this process alone, which then ends the whole group.
        subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, start_new_session=True
        ) as server,
    ):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            _await_answer(base, server, log_path)
            for name, number in experiments.items():
                print(f"{name}: {address_of_runs(base, number)}", flush=True)
            print(f"Ctrl-C stops the page; what its server says is in {log_path}", flush=True)
            if any(name in os.environ for name in SCREENS):  # else a browser in the terminal starts
                for number in list(experiments.values())[:1]:
                    webbrowser.open(address_of_runs(base, number))
            return server.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            _end_group(server)


def _end_group(server: "subprocess.Popen[bytes]") -> None:
    """End a process and all that it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with suppress(subprocess.TimeoutExpired):
            server.wait(timeout=END_SECONDS)


def _demand_free(port: int) -> None:
    """Demand a port that nothing listens on.

    Raises:
        UserError: it is taken, or only root may use it.
    """
    try:
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((HOST, port))
    except OSError as error:
        raise UserError(
            f"--port {port}: cannot be used ({error.strerror}); give another, such as --port 5001"
        ) from None


def _await_answer(base: str, server: "subprocess.Popen[bytes]", log_path: Path) -> None:
    """Wait until the server answers.

    Raises:
        UserError: it ended, or took too long.
    """
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            raise UserError(f"MLflow's server ended at once; {log_path} says why")
        try:
            with urllib.request.urlopen(f"{base}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise UserError(f"MLflow's server did not answer within {START_SECONDS} seconds; try again")
