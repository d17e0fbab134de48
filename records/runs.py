"""Runs as their events tell them: what was made, with what settings, and how it went."""

import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from records.errors import UserError
from records.events import read_events
from records.files import digest

FOLDER, ENDING = "events", ".jsonl"  # of their files, anywhere below a results folder
OUTCOMES = {"end": "FINISHED", "failed": "FAILED", "diverged": "FAILED", "stopped": "KILLED"}
WORST_FIRST = ("FAILED", "KILLED", "RUNNING", "FINISHED")
TRACKED = ("model", "row", "page")  # kinds that an experiment shows; the others it leaves alone
STEPS = ("iteration", "images")  # the fields that say how far a job has come
NO_METRICS = {"event", "time", *STEPS}
RESERVED = ("adm.", "mlflow.")  # tags that are not the events'
FIRST_PAGE = "index"  # says nothing that the other pages do not
# Of a long series every point is kept up to this many, then those that are this share of their step
# apart: 938 of 12,000. Which points are kept never depends on what follows.
DENSE_POINTS = 200
CLOCK_SLACK_S = 1.0  # two threads may write in another order than they took the time
MADE = "made"  # the event with files and their hashes
MAX_JOB = 100  # characters of its name, which is in the names of tags and metrics
SYSTEM = "system"  # the event that says how busy the machine is; MLflow shows system/... apart
PAPER = "paper"  # the tag with what the paper prints: fid=2.97,recall=0.63
# MLflow's tables show some 17 characters of a name.
SHORT_NAMES = {
    "accuracy_by_quarter": "acc_by_quarter",
    "wall_seconds": "wall_s",
    "cpu_seconds": "cpu_s",
    "peak_memory_mb": "peak_mb",
}
COPIED = ("git_commit", "platform", "device", "cluster_job", "metrics_digest")  # into tags


class Point(NamedTuple):
    """One value of a metric."""

    key: str
    value: float
    milliseconds: int
    step: int


@dataclass
class Job:
    """What one job of a run (`train`, `evaluate`, ...) recorded, over all its attempts.

    Attributes:
        name: of the job.
        points: what it measured, in the order of its file.
        outcome: MLflow's word for how it went.
        num_attempts: how often it was started.
        began: milliseconds since 1970 at its first start.
        kept: by metric, how many points were kept and the last step of them.
        digests: those that digest_first has computed.
    """

    name: str
    points: list[Point] = field(default_factory=list)
    outcome: str = "RUNNING"
    num_attempts: int = 0
    began: int = 0
    kept: dict[str, tuple[int, int]] = field(default_factory=dict)
    digests: dict[int, str] = field(default_factory=dict)

    def digest_first(self, count: int) -> str:
        """Return a short digest of the first points, once all events are read."""
        if count not in self.digests:
            self.digests[count] = digest(self.points[:count])[:16]
        return self.digests[count]

    def keep_once(self, point: Point) -> None:
        """Add a point unless its series has one."""
        if point.key not in self.kept:
            self.keep(point)

    def keep(self, point: Point) -> None:
        """Add a point, unless its series is long and it is close to the last one that was kept."""
        count, last = self.kept.get(point.key, (0, 0))
        if count < DENSE_POINTS or point.step - last >= last / DENSE_POINTS:
            self.points.append(point)
            self.kept[point.key] = (count + 1, max(last, point.step))


@dataclass
class Run:
    """A trained model, a row that was drawn and graded, or a page of the report.

    Attributes:
        experiment: scale and source, as one name.
        kind: one of TRACKED.
        name: of the model, row or page.
        digest: of its spec; another spec is another run.
        params: settings, flattened.
        tags: where and from what commit it was made.
        jobs: by name.
        started: milliseconds since 1970.
        ended: milliseconds since 1970.
        folder: of the results at its scale.
        spec: the settings as they are in its first event; None if there are none.
    """

    experiment: str
    kind: str
    name: str
    digest: str
    started: int
    ended: int
    folder: Path | None = None
    spec: Mapping[str, Any] | None = None
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """Return MLflow's word for how it went: the worst of what its jobs say."""
        outcomes = {job.outcome for job in self.jobs.values()}
        return next(one for one in WORST_FIRST if one in outcomes)


def read_runs(root: str | Path) -> tuple[list[Run], list[str]]:
    """Read the runs of a results folder from the events files in it.

    Args:
        root: a folder; every `events/*.jsonl` below it is read.

    Returns:
        The runs in the order of their files, and a sentence on each file or folder that cannot be
        read, or has lines or values that cannot be used, or a clock that went back.
    """
    runs: dict[tuple[str, ...], Run] = {}
    found, unreadable = find_events(root)
    paths, notices = _leave_out_copies(found)
    notices += unreadable
    for path in paths:
        try:
            events, num_left_out = read_events(path)
        except UserError as error:
            notices.append(str(error))
            continue
        run = job = None
        is_tracked = True  # until a start says otherwise
        seen: set[tuple[str, int]] = set()
        num_infinite = num_back = 0
        latest = 0.0
        for event in events:
            num_back += event["time"] < latest - CLOCK_SLACK_S
            latest = event["time"]
            if "kind" in event:
                is_tracked = event["kind"] in TRACKED and event.get("job") != FIRST_PAGE
                run, job = _open(runs, event, path) if is_tracked else (None, None)
            if run is None or job is None:
                num_left_out += is_tracked
                continue
            num_infinite += _add(run, job, event, seen)
        faults = [
            f"{word} {number} {what}{'s' * (number > 1)}{more}"
            for word, number, what, more in (
                ("left out", num_left_out, "line", " cut short, damaged or without a start"),
                ("left out", num_infinite, "value", ", NaN or infinite"),
                ("the clock went back", num_back, "time", "; points keep the times that it said"),
            )
            if number
        ]
        if faults:
            notices.append(f"{path}: {'; '.join(faults)}")
    return list(runs.values()), notices


def find_events(root: str | Path) -> tuple[list[Path], list[str]]:
    """Return the files of events below a folder, and a sentence on each folder that is closed."""
    paths: list[Path] = []
    faults: list[OSError] = []
    for folder, _, names in os.walk(root, onerror=faults.append):
        if Path(folder).name == FOLDER:
            paths += [Path(folder, name) for name in names if name.endswith(ENDING)]
    return sorted(paths), [
        f"{fault.filename}: left out, cannot be looked into ({fault.strerror}); change its "
        "permissions and import again"
        for fault in faults
    ]


def _leave_out_copies(paths: Sequence[Path]) -> tuple[Sequence[Path], list[str]]:
    """Keep, of files that begin with the same event, the longest: the others are copies of it.

    Returns:
        The files, and a sentence when some were left out.
    """
    longest: dict[tuple[str, bytes], tuple[int, Path]] = {}
    for path in paths:
        size, first = 0, str(path).encode()
        with suppress(OSError), path.open("rb") as file:  # who reads them tells
            size, first = os.fstat(file.fileno()).st_size, file.readline() or first
        found = longest.setdefault((path.name, first), (size, path))
        if size > found[0]:
            longest[path.name, first] = (size, path)
    kept = {path for _, path in longest.values()}
    copies = [path for path in paths if path not in kept]
    if not copies:
        return paths, []
    more = f", and {len(copies) - 1} more" * (len(copies) > 1)
    return sorted(kept), [f"{copies[0]}: left out, a copy of another file of events{more}"]


def _open(
    runs: dict[tuple[str, ...], Run], event: Mapping[str, Any], path: Path
) -> tuple[Run, Job]:
    """Find or make the run that a start in a file of events is about, and the job of it."""
    given = event.get("tags")
    tags = given if isinstance(given, dict) else {}
    experiment = "-".join(str(tags[key]) for key in ("scale", "source") if key in tags) or "runs"
    experiment = experiment.replace("/", "-")  # MLflow takes slashes for folders
    key = (experiment, *(str(event.get(one)) for one in ("kind", "name", "digest")))
    time = _milliseconds(event)
    folder = path.parent.parent.parent  # of the scale, then come source and events
    run = runs.setdefault(key, Run(*key, started=time, ended=time, folder=folder))
    spec = event.get("spec")
    if run.spec is None and isinstance(spec, dict):
        run.spec = spec
    for name, value in _flatten(spec):
        run.params.setdefault(name, value)
    run.tags |= {
        _clean(name): str(value)
        for name, value in tags.items()
        if name != PAPER and not name.startswith(RESERVED)
    }
    run.tags |= {one: str(event[one]) for one in COPIED if event.get(one) is not None}
    word = _clean(str(event.get("job")))[:MAX_JOB]
    job = run.jobs.setdefault(word, Job(word, began=time))
    if event["event"] != "restored":  # a finished mark that was only written again
        job.num_attempts += 1
        job.outcome = "RUNNING"
    elif job.num_attempts == 0:
        job.outcome = "FINISHED"
    for metric, value in _parse_paper(tags.get(PAPER)):
        job.keep_once(Point(f"{PAPER}.{_clean(metric)}", value, time, 0))
    return run, job


def _parse_paper(tag: Any) -> Iterator[tuple[str, float]]:
    """Yield metrics and values of a tag such as fid=2.97,recall=0.63, what is none left out."""
    for part in tag.split(",") if isinstance(tag, str) else []:
        metric, _, text = part.partition("=")
        with suppress(ValueError):
            if math.isfinite(value := float(text)):
                yield metric, value


def _add(run: Run, job: Job, event: Mapping[str, Any], seen: set[tuple[str, int]]) -> int:
    """Add what an event says; of a step that a restart repeats the first value stays.

    Returns:
        How many of its values are not finite, and left out.
    """
    time, num_infinite = _milliseconds(event), 0
    run.started, run.ended = min(run.started, time), max(run.ended, time)
    job.outcome = OUTCOMES.get(event["event"], job.outcome)
    if "kind" in event:
        return 0
    if event["event"] == MADE and isinstance(files := event.get("files"), dict):
        run.tags |= {
            _clean(f"file.{Path(path).name}"): f"{path} sha256:{sha256}"
            for path, sha256 in files.items()
        }
    is_system = event["event"] == SYSTEM
    step = next((event[name] for name in STEPS if _is_step(event.get(name))), None)
    if step is None:
        step = round((time - job.began) / 1000) if is_system else job.num_attempts - 1
    for name, value in event.items():
        if name in NO_METRICS:
            continue
        short = SHORT_NAMES.get(name, name)
        if name == "loss" and run.params.get("kind") == "classifier":
            short = "cross_entropy"  # no denoiser's loss compares with it
        # A row has the seconds of two jobs.
        full_name = f"{job.name}_{short}" if event["event"] == "end" else short
        for key, number in _list_numbers(full_name, value):
            if not math.isfinite(number):
                num_infinite += 1
            elif (key, step) not in seen:
                seen.add((key, step))
                job.keep(Point(f"{SYSTEM}/{key}" if is_system else key, number, time, step))
    return num_infinite


def _is_step(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value < 2**53


def _milliseconds(event: Mapping[str, Any]) -> int:
    return round(event["time"] * 1000)


def _list_numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """Yield the numbers of a field; those of a list under names that count from 1."""
    if isinstance(value, list):
        for place, one in enumerate(value, 1):
            yield from _list_numbers(f"{name}_{place}", one)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            yield _clean(name), float(value)
        except OverflowError:  # an integer of hundreds of digits
            yield _clean(name), math.inf


def _flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the settings of a spec under dotted names, as text."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _flatten(one, f"{prefix}.{key}" if prefix else str(key))
    elif prefix:
        yield _clean(prefix), value if isinstance(value, str) else json.dumps(value)


def _clean(name: str) -> str:
    """Return a name that MLflow takes: by its characters, and by what it would be as a path."""
    clean = re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)
    return (f"_{clean}" if clean in ("", ".") or clean.startswith("..") else clean)[:250]
