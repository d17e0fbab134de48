"""Bring what jobs recorded into MLflow: as often as asked, each run once."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from records.errors import UserError
from records.files import check_folder, check_writable, digest
from records.locks import exclusive_lock
from records.runs import Job, Point, Run, read_runs

STORE, ARTIFACTS, LOCK = "mlflow.db", "mlflow-artifacts", "mlflow.lock"
MAX_METRICS, MAX_PARAMS, MAX_VALUE = 800, 100, 5000  # what MLflow takes in one call and one text
RUN_KEY, IMPORTED = "adm.run", "adm.imported"  # tags by which a run is found again
# Without these a server that is away costs four minutes of silent retries. They must be set before
# MLflow is imported; what the user has set stays.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


class Summary(NamedTuple):
    """What an import did."""

    experiments: dict[str, str]  # name to MLflow's number
    num_runs: int
    num_new: int
    num_changed: int
    notices: list[str]


def default_uri(root: str | Path) -> str:
    """Return the store of a results folder: a SQLite file of its own in it."""
    return f"sqlite:///{Path(root) / STORE}"


def default_artifacts(root: str | Path) -> str:
    """Return where MLflow keeps files of the runs in a results folder's own store."""
    return (Path(root) / ARTIFACTS).resolve().as_uri()


def track(root: str | Path, uri: str | None = None) -> Summary:
    """Bring the runs of a results folder into MLflow.

    A run is found again by scale, source, name and spec, and what it has already is not sent
    again. Of a run whose recorded past has changed (its events were deleted and made again) the
    old copy goes to MLflow's bin.

    Args:
        root: results folder with events files in it.
        uri: MLflow's store or server; None for a SQLite file in the results folder.

    Returns:
        What was imported.

    Raises:
        UserError: no such folder, MLflow is not installed, a store or server that cannot be used,
            or another import is at work. Nothing recorded is lost: the next import continues.
    """
    if not Path(root).is_dir():
        raise UserError(
            f"{root}: no such folder; run some jobs first, such as `make table3`, or name the "
            "folder with --results"
        )
    runs, notices = read_runs(root)
    own, store = default_uri(root), Path(root) / STORE
    if uri is None:
        check_writable(store)
        advice = f"move it away (mv {store} {store}.old) and import again"
    elif "://" not in uri:
        raise UserError(
            f"MLFLOW_TRACKING_URI: got {uri!r}; needed: an address such as http://{uri} or a "
            f"database such as {own}"
        )
    else:
        check_folder(root)
        advice = f"name another in MLFLOW_TRACKING_URI, such as {own}, or unset it"
    artifacts = default_artifacts(root) if uri is None else None
    uri = uri or own
    with exclusive_lock(Path(root) / LOCK, "import into MLflow"), _explain(uri, advice):
        client = connect(uri)
        names = sorted({run.experiment for run in runs})
        experiments = {name: _find_experiment(client, name, artifacts) for name in names}
        known = _list_known(client, list(experiments.values()))
        outcomes = [_store(client, run, experiments[run.experiment], known) for run in runs]
    return Summary(
        experiments, len(runs), outcomes.count("new"), outcomes.count("changed"), notices
    )


def connect(uri: str) -> Any:
    """Make MLflow's client for a store or server that answers.

    Raises:
        UserError: MLflow is not installed, or no server answers.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if uri.startswith(("http://", "https://")):
        _demand_server(uri)
    try:
        from mlflow import MlflowClient
    except ModuleNotFoundError:
        raise UserError("MLflow is not installed; install it with `make env`") from None
    return MlflowClient(tracking_uri=uri)


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
            f"{_hide_password(uri)}: no MLflow server answers ({reason}); start it, or unset "
            "MLFLOW_TRACKING_URI to keep the runs in the results folder"
        ) from None


def _hide_password(uri: str) -> str:
    """Return an address without the user and password in it."""
    scheme, separator, rest = uri.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


@contextmanager
def _explain(uri: str, advice: str) -> Iterator[None]:
    """Turn whatever MLflow and its database raise into one sentence.

    Raises:
        UserError: instead of their exceptions.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise UserError(
            f"{_hide_password(uri)}: MLflow cannot use this store ({said}); {advice}"
        ) from None


def _find_experiment(client: Any, name: str, artifacts: str | None) -> str:
    """Return the number of an experiment, which is made if absent."""
    found = client.get_experiment_by_name(name)
    if found is None:
        return str(client.create_experiment(name, artifact_location=artifacts))
    if found.lifecycle_stage != "active":
        raise UserError(
            f"MLflow experiment {name}: it was deleted; bring it back with "
            f"`mlflow experiments restore --experiment-id {found.experiment_id}`"
        )
    return str(found.experiment_id)


def _list_known(client: Any, experiments: Sequence[str]) -> dict[str, Any]:
    """Return the runs that are there, by their key."""
    known, token = {}, None
    while experiments:
        page = client.search_runs(experiments, max_results=1000, page_token=token)
        known.update((run.data.tags[RUN_KEY], run) for run in page if RUN_KEY in run.data.tags)
        token = page.token
        if not token:
            break
    return known


def _store(client: Any, run: Run, experiment: str, known: dict[str, Any]) -> str:
    """Bring one run up to date; return `new`, `changed` or `same`."""
    from mlflow.entities import Metric, Param, RunTag

    key = digest([run.experiment, run.kind, run.name, run.digest])
    old = known.get(key)
    counts = {name: _count_imported(old, name, job) for name, job in run.jobs.items()}
    if old is not None and None in counts.values():
        client.delete_run(old.info.run_id)
        old, counts = None, dict.fromkeys(run.jobs, 0)
    tags = _make_tags(run, key)
    if old is not None:
        told = {name: old.data.tags.get(name) for name in tags}
        if told == tags and old.info.status == run.status:
            return "same"
    run_id = (old or client.create_run(experiment, run.started, run_name=run.name)).info.run_id
    logged = old.data.params if old else {}
    params = [
        Param(name, value[:MAX_VALUE]) for name, value in run.params.items() if name not in logged
    ]
    metrics = [
        Metric(*point) for name, job in run.jobs.items() for point in job.points[counts[name] :]
    ]
    for first in range(0, len(params), MAX_PARAMS):
        client.log_batch(run_id, params=params[first : first + MAX_PARAMS])
    for first in range(0, len(metrics), MAX_METRICS):
        client.log_batch(run_id, metrics=metrics[first : first + MAX_METRICS])
    # Last, so that an import that is cut off here sends again what it is not sure of; MLflow keeps
    # equal points once.
    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])
    if run.status == "RUNNING":
        client.update_run(run_id, status=run.status)
    else:
        client.set_terminated(run_id, status=run.status, end_time=run.ended)
    return "new" if old is None else "changed"


def _count_imported(old: Any, name: str, job: Job) -> int | None:
    """Return how many points of a job are there; None when they are not the first of today's."""
    said = old.data.tags.get(f"{IMPORTED}.{name}") if old else None
    if said is None:
        return 0
    count = int(said.partition(":")[0])
    return count if said == _mark(job.points[:count]) else None


def _mark(points: Sequence[Point]) -> str:
    """Return what says which points were imported: how many, and their digest."""
    return f"{len(points)}:{digest(points)[:16]}"


def _make_tags(run: Run, key: str) -> dict[str, str]:
    """Return the tags of a run: what it is, where it was made, and what of it is imported."""
    commit = run.tags.get("git_commit", "")
    tags = {
        **run.tags,
        "kind": run.kind,
        "spec_digest": run.digest,
        "mlflow.source.name": ", ".join(run.jobs),
        RUN_KEY: key,
        "attempts": str(max(job.num_attempts for job in run.jobs.values())),
        **{f"{IMPORTED}.{name}": _mark(job.points) for name, job in run.jobs.items()},
    }
    if commit not in ("", "unknown"):
        tags["mlflow.source.git.commit"] = commit.removesuffix("-dirty")
        tags["dirty"] = str(commit.endswith("-dirty")).lower()
    return {name: value[:MAX_VALUE] for name, value in tags.items()}
