"""MLflow's store or server: reach it within seconds, and say in a sentence what is wrong."""

import os
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit

from records.errors import UserError

# Without these a server that is away costs four minutes of silent retries, and one that is frozen
# hangs. They must be set before MLflow is imported; what the user has set stays.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "25",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # two lines a run
}
PAUSES_S = (0.5, 1.0, 2.0)  # between tries where another import has just written the same
MAX_VALUE = 5000  # what MLflow takes as one text
SQLITE = "sqlite:///"
SERVER = ("http://", "https://")
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def connect(uri: str) -> Any:
    """Make MLflow's client for a store or server that answers.

    Raises:
        UserError: MLflow is not installed, or no server answers.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if uri.startswith(SERVER):
        _demand_server(uri)
    try:
        from mlflow import MlflowClient
    except ModuleNotFoundError:
        raise UserError("MLflow is not installed; install it with `make env`") from None
    file = find_database(uri)
    if file is not None and not file.exists():
        # Whole or not at all: MLflow cannot go on with a database that a kill left half made.
        new = file.with_name(f"{file.name}.new")
        new.unlink(missing_ok=True)
        MlflowClient(tracking_uri=f"{SQLITE}{new}").search_experiments(max_results=1)
        new.replace(file)
    return MlflowClient(tracking_uri=uri)


def check_address(uri: str, own: str) -> str:
    """Demand an address at which MLflow can keep runs.

    Args:
        uri: what the user has set.
        own: the address of the results folder's own store.

    Returns:
        It, with its scheme in small letters.

    Raises:
        UserError: a path or a host alone, a folder, or a database in memory.
    """
    scheme, separator, rest = uri.partition("://")
    clean = f"{scheme.lower()}{separator}{rest}"
    if not separator or scheme.lower() == "file":
        example = own
        if re.fullmatch(r"[\w.-]+:\d+/?", uri):
            example = f"http://{uri}"
        elif uri.endswith(".db"):
            example = f"{SQLITE}{uri}"
        raise UserError(
            f"MLFLOW_TRACKING_URI: got {uri!r}; needed: the address of a server or of a database, "
            f"such as {example}"
        )
    if clean.partition("?")[0] in ("sqlite://", SQLITE, f"{SQLITE}:memory:"):
        raise UserError(
            f"MLFLOW_TRACKING_URI: got {uri!r}, a database in memory, which is gone at the end; "
            f"needed: one in a file, such as {own}"
        )
    return clean


def find_database(uri: str) -> Path | None:
    """Return the file of a SQLite address, None of another."""
    name = uri.removeprefix(SQLITE)
    return Path(name) if uri.startswith(SQLITE) and name and "?" not in name else None


def log_batch(client: Any, run_id: str, **what: Any) -> None:
    """Write into a run, again if another import that writes the same gets in the way.

    A server answers BAD_REQUEST then, as two of its threads add one row. MLflow keeps equal points
    once, so that trying again doubles nothing.

    Args:
        client: of MLflow.
        run_id: MLflow's number of the run.
        what: `params`, `metrics` or `tags`.
    """
    from mlflow.exceptions import MlflowException

    for pause_s in (*PAUSES_S, None):
        try:
            client.log_batch(run_id, **what)
            return
        except MlflowException as error:
            if pause_s is None or error.error_code != "BAD_REQUEST":
                raise
            time.sleep(pause_s * (1 + random.random()))


def is_active(client: Any, run_id: str) -> bool:
    """Tell whether a run is there and not in MLflow's bin."""
    return client.get_run(run_id).info.lifecycle_stage == "active"


def send_file(uri: str, run: Any, name: str, text: str) -> str:
    """Keep a text as a file of a run.

    Args:
        uri: store or server.
        run: as MLflow knows it.
        name: of the file.
        text: what is in it.

    Returns:
        Why no file can be kept there; empty when this one is.

    Raises:
        UserError: the server is gone.
    """
    place = urlsplit(run.info.artifact_uri)
    if place.scheme in ("", "file"):
        folder = Path(unquote(place.path))
        # A server on another machine, or results that were moved; MLflow would make any folder.
        # One on this machine may have been started a moment ago, and its root is still to be made.
        depth = 3 if urlsplit(uri).hostname in LOOPBACK else 2
        if not folder.is_absolute() or not folder.parents[depth].is_dir():
            served = "; start it with --serve-artifacts and an --artifacts-destination to have them"
            return f"it keeps them in {folder}, which is not here{served * uri.startswith(SERVER)}"
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    try:
        # Not MlflowClient.log_text, which asks for the run again: half of the time.
        store = get_artifact_repository(run.info.artifact_uri, tracking_uri=uri)
        with TemporaryDirectory() as made:
            path = Path(made) / name
            path.write_text(text, "utf-8")
            store.log_artifact(str(path))
    except Exception as error:
        if uri.startswith(SERVER):
            _demand_server(uri)
        return _say_first(error)
    return ""


def _say_first(error: Exception) -> str:
    """Return the first line of what an exception says, without a password in it."""
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return re.sub(r"://[^/\s]*@", "://", said)[:200]


def _demand_server(uri: str) -> None:
    """Demand that something answers at an address.

    Raises:
        UserError: nothing does within seconds.
    """
    import requests

    try:
        requests.get(uri, timeout=10)
    except requests.RequestException as error:
        reason = type(error).__name__
        raise UserError(
            f"{hide_password(uri)}: no MLflow server answers ({reason}); start it and import "
            "again, which sends nothing twice, or unset MLFLOW_TRACKING_URI to keep the runs in "
            "the results folder"
        ) from None


def hide_password(uri: str) -> str:
    """Return an address without the user and password in it."""
    scheme, separator, rest = uri.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


@contextmanager
def explain_faults(uri: str, advice: str) -> Iterator[None]:
    """Turn whatever MLflow and its database raise into one sentence.

    Args:
        uri: store or server.
        advice: what helps when nothing more is known.

    Raises:
        UserError: instead of their exceptions.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if uri.startswith(SERVER):
            _demand_server(uri)
        said = _say_first(error)
        place = hide_password(uri)
        if "database is locked" in said:
            raise UserError(
                f"{place}: another program writes into this store; wait for it or close it, and "
                "import again, which sends nothing twice"
            ) from None
        found = re.search(r"found version (\w+), but expected (\w+)", said)
        if found is not None:
            raise UserError(
                f"{place}: {_explain_version(place, found[1], found[2], advice)}"
            ) from None
        raise UserError(f"{place}: MLflow cannot use this store ({said}); {advice}") from None


def _explain_version(place: str, found: str, needed: str, advice: str) -> str:
    """Say of a database that another MLflow made what to do with it."""
    import mlflow

    versions = Path(mlflow.__file__).parent / "store" / "db_migrations" / "versions"
    versus = f"(its tables are of version {found}, needed is {needed})"
    if any(versions.glob(f"{found}*.py")):
        return (
            f"an older MLflow made this store {versus}; copy it, then `mlflow db upgrade {place}`"
        )
    return f"a newer MLflow made this store {versus}; install that one (`make env`), or {advice}"
