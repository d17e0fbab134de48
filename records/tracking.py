"""Bring what jobs recorded into MLflow: as often as asked, each run once."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from typing import Any, NamedTuple

from records.errors import UserError
from records.files import check_writable, digest
from records.locks import exclusive_lock
from records.runs import Job, Run, read_runs
from records.tracking_files import SENT, find_page, list_files, renew_note, shorten_seed
from records.tracking_store import (
    MAX_VALUE,
    PAUSES_S,
    SERVER,
    SQLITE,
    check_address,
    connect,
    explain_faults,
    find_database,
    hide_password,
    is_active,
    log_batch,
    send_file,
)

STORE, ARTIFACTS = "mlflow.db", "mlflow-artifacts"
MAX_METRICS, MAX_PARAMS = 800, 100  # what MLflow takes in one call
RUN_KEY, IMPORTED = "adm.run", "adm.imported"  # tags by which a run is found again
MADE = "adm.made"  # and the one by which two copies of it are told apart
PATIENCE_S = 100.0  # for another import; one that meets a frozen server ends within 90 s
KeepFiles = Callable[[Any, Mapping[str, str]], dict[str, str]]


class Summary(NamedTuple):
    """What an import did."""

    experiments: dict[str, str]  # name to MLflow's number
    num_runs: int
    num_new: int
    num_changed: int
    notices: list[str]


def default_uri(root: str | Path) -> str:
    """Return the store of a results folder: a SQLite file of its own in it."""
    return f"{SQLITE}{Path(root) / STORE}"


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
    own, store = default_uri(root), Path(root) / STORE
    if uri is None:
        check_writable(store)
        advice = f"move it away (mv {store} {store}.old) and import again"
    else:
        uri = check_address(uri, own)
        advice = f"name another in MLFLOW_TRACKING_URI, such as {own}, or unset it"
        if uri.startswith(SERVER):
            advice = "check MLFLOW_TRACKING_URI, and MLFLOW_TRACKING_TOKEN if it asks for one"
    uri = uri or own
    lock = exclusive_lock(_find_lock(root, uri), "import into MLflow", wait_s=PATIENCE_S)
    with lock, explain_faults(uri, advice):
        client = connect(uri)
        runs, notices = read_runs(root)  # with the lock: another import may have brought more
        names = sorted({run.experiment for run in runs})
        database = find_database(uri)
        artifacts = default_artifacts(database.parent) if database else None
        place = hide_password(uri)
        found = [_find_experiment(client, name, artifacts, place) for name in names]
        experiments = {one.name: str(one.experiment_id) for one in found}
        refusals = [
            f"it keeps them in {one.artifact_location}, as these results were copied or moved; "
            f"move {database} away and import again"
            for one in found
            if artifacts not in (None, one.artifact_location)
        ][:1]
        made, changed = _bring_all(client, runs, experiments, partial(_keep_files, uri, refusals))
    notices += [f"{place}: keeps no specs and pages of runs: {why}" for why in refusals]
    return Summary(experiments, len(runs), len(made), len(changed - made), notices)


def _keep_files(
    uri: str, refusals: list[str], old: Any, files: Mapping[str, str]
) -> dict[str, str]:
    """Send the files of a run that are new or changed, until one is refused.

    Returns:
        Tags that say which they were.
    """
    sent = {}
    for name, text in files.items():
        tag, mark = f"{SENT}.{name}", digest(text)
        if refusals or old.data.tags.get(tag) == mark:
            continue
        refusals += filter(None, [send_file(uri, old, name, text)])
        if not refusals:
            sent[tag] = mark
    return sent


def _find_lock(root: str | Path, uri: str) -> Path:
    """Return the lock of a database file, so that two results folders may share it.

    Of a server it is in the results, or where those cannot be written, for temporary files.
    """
    file = find_database(uri)
    if file is not None and file.parent.is_dir():
        return file.with_suffix(".lock")
    if os.access(root, os.W_OK):
        return Path(root) / f"{Path(STORE).stem}.lock"
    name = digest([os.getuid(), str(Path(root).resolve())])[:16]
    return Path(gettempdir()) / f"adm-import-{name}.lock"


def _find_experiment(client: Any, name: str, artifacts: str | None, place: str) -> Any:
    """Return an experiment, which is made if absent; `place` is the store's address."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.get_experiment(
                client.create_experiment(name, artifact_location=artifacts)
            )
        except MlflowException:  # another import into the same server has just made it
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise UserError(
            f"MLflow experiment {name}: it was deleted; bring it back with `MLFLOW_TRACKING_URI="
            f"{place} mlflow experiments restore --experiment-id {found.experiment_id}`"
        )
    return found


def make_key(run: Run) -> str:
    """Return by what a run is found again."""
    return digest([run.experiment, run.kind, run.name, run.digest])


def _bring_all(
    client: Any, runs: Sequence[Run], experiments: Mapping[str, str], keep_files: KeepFiles
) -> tuple[set[str], set[str]]:
    """Bring all runs up to date; return the keys of those that were made, and were not up to date.

    While one is written, an import from another machine may find a copy of it that was made before,
    and delete it: then the copies are looked at again.
    """
    from mlflow.exceptions import MlflowException

    made: set[str] = set()
    changed: set[str] = set()
    for pause_s in (*PAUSES_S, None):
        known, new = _make_missing(client, runs, experiments)
        made |= new
        for run in runs:
            old = known[make_key(run)]
            try:
                is_new = _bring(client, run, old, keep_files)
            except MlflowException as error:
                # A server that does not answer is not asked again.
                is_refusal = error.error_code == "INVALID_PARAMETER_VALUE"
                if pause_s is None or not is_refusal or is_active(client, old.info.run_id):
                    raise
                time.sleep(pause_s)
                break
            changed |= {make_key(run)} if is_new else set()
        else:
            break
    return made, changed


def _make_missing(
    client: Any, runs: Sequence[Run], experiments: Mapping[str, str]
) -> tuple[dict[str, Any], set[str]]:
    """Make the runs that are not there, before anything is written into them.

    Of a run that was made twice (by two imports into one server, or because the answer to a request
    was lost) all imports keep the same one: no lock reaches from one machine to another.

    Returns:
        The runs by their key, and the keys of those that were made.
    """
    known, made = _list_known(client, list(experiments.values())), set()
    for run in runs:
        key = make_key(run)
        old = known.get(key)
        if old is not None and -1 in _count_all(old, run).values():
            client.delete_run(old.info.run_id)
        elif old is not None:
            continue
        tags = {RUN_KEY: key, MADE: str(time.time_ns())}
        number = experiments[run.experiment]
        client.create_run(number, run.started, tags=tags, run_name=shorten_seed(run.name, "s"))
        made.add(key)
    return _list_known(client, list(experiments.values())) if made else known, made


def _list_known(client: Any, experiments: Sequence[str]) -> dict[str, Any]:
    """Return the runs that are there, by their key; of copies the first stays."""
    found, token = [], None
    while experiments:
        page = client.search_runs(experiments, max_results=1000, page_token=token)
        found += [run for run in page if RUN_KEY in run.data.tags]
        token = page.token
        if not token:
            break
    known: dict[str, Any] = {}
    for run in sorted(found, key=lambda one: (int(one.data.tags.get(MADE, 0)), one.info.run_id)):
        if known.setdefault(run.data.tags[RUN_KEY], run) is not run:
            client.delete_run(run.info.run_id)
    return known


def _bring(client: Any, run: Run, old: Any, keep_files: KeepFiles) -> bool:
    """Bring one run up to date; return whether it was not."""
    from mlflow.entities import Metric, Param, RunTag

    tags, run_id = _make_tags(run), old.info.run_id
    told = {name: old.data.tags.get(name) for name in tags}
    counts = _count_all(old, run)
    if any(counts[name] > len(job.points) for name, job in run.jobs.items()):
        return False  # an earlier copy of the results than the one that was imported
    page = find_page(run)
    more = keep_files(old, list_files(run, page)) | renew_note(run, page, old.data.tags)
    if told == tags and old.info.status == run.status and not more:
        return False
    params = [
        Param(name, value[:MAX_VALUE])
        for name, value in run.params.items()
        if name not in old.data.params
    ]
    metrics = [
        Metric(*point) for name, job in run.jobs.items() for point in job.points[counts[name] :]
    ]
    while params or metrics:
        log_batch(client, run_id, params=params[:MAX_PARAMS], metrics=metrics[:MAX_METRICS])
        params, metrics = params[MAX_PARAMS:], metrics[MAX_METRICS:]
    # Last, so that an import that is cut off here sends again what it is not sure of; MLflow keeps
    # equal points once.
    log_batch(client, run_id, tags=[RunTag(name, value) for name, value in (tags | more).items()])
    if run.status == "RUNNING":
        client.update_run(run_id, status=run.status)
    else:
        client.set_terminated(run_id, status=run.status, end_time=run.ended)
    return True


def _count_all(old: Any, run: Run) -> dict[str, int]:
    """Return by job how many of its points are there; -1 when they are not the first of today's."""
    return {name: _count_imported(old, name, job) for name, job in run.jobs.items()}


def _count_imported(old: Any, name: str, job: Job) -> int:
    """Return how many points of a job are there, as _count_all does."""
    said = old.data.tags.get(f"{IMPORTED}.{name}")
    if said is None:
        return 0
    number, mark, *began = said.split(":")
    if int(number) > len(job.points) and began == [str(job.began)]:
        return int(number)
    return int(number) if mark == job.digest_first(int(number)) else -1


def _make_tags(run: Run) -> dict[str, str]:
    """Return the tags of a run: what it is, where it was made, and what of it is imported."""
    commit = run.tags.get("git_commit", "")
    tags = {
        **run.tags,
        "kind": run.kind,
        "name": run.name,
        "spec_digest": run.digest,
        "mlflow.source.name": ", ".join(run.jobs),
        "attempts": str(max(job.num_attempts for job in run.jobs.values())),
        **{f"{IMPORTED}.{name}": _mark(job) for name, job in run.jobs.items()},
    }
    if commit not in ("", "unknown"):
        tags["mlflow.source.git.commit"] = commit.removesuffix("-dirty")
        tags["dirty"] = str(commit.endswith("-dirty")).lower()
    return {name: value[:MAX_VALUE] for name, value in tags.items()}


def _mark(job: Job) -> str:
    """Return what says which points were imported: how many, their digest, since when."""
    count = len(job.points)
    return f"{count}:{job.digest_first(count)}:{job.began}"
