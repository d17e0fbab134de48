"""What happens during a job, as JSON lines: one writer per file, appended, never rewritten."""

import argparse
import json
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from records.errors import UserError
from records.files import atomic_write, explain_os_error
from records.provenance import environment
from records.system_metrics import watch_machine
from records.usage import Usage

CLUSTER_JOB = "SLURM_JOB_ID"


class EventLog:
    """Append events to a file, one JSON object a line, each in a single write.

    A job that is killed loses at most the line it was writing; readers skip a line that is cut
    short, and the next event starts on a line of its own.
    """

    def __init__(
        self,
        path: str | Path | None,
        tags: Mapping[str, str] | None = None,
        *,
        whole_process: bool = False,
    ) -> None:
        """Choose the file.

        Args:
            path: the file, made with its folder at the first event; None writes nothing.
            tags: words that every start repeats, such as the scale, so that the file explains
                itself wherever it is read.
            whole_process: what a job used counts from the start of the process.
        """
        self.whole_process = whole_process
        self.path = None if path is None else Path(path)
        self.tags = dict(tags or {})
        self._is_checked = False

    def write(self, event: str, **fields: Any) -> None:
        """Append one event.

        Args:
            event: what happened, one word (`start`, `progress`, `system`, `mark`, `end`).
            fields: JSON values that belong to it.
        """
        if self.path is None:
            return
        line = json.dumps({"event": event, "time": round(time.time(), 3), **fields}, sort_keys=True)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not self._is_checked:
                _take_over(self.path)
            handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                text = line.encode() + b"\n"
                if not self._is_checked and _is_cut(handle):
                    text = b"\n" + text
                os.write(handle, text)
                self._is_checked = True
            finally:
                os.close(handle)
        except OSError as error:
            raise explain_os_error(error, self.path) or error from error

    def begin(
        self,
        *,
        kind: str,
        job: str,
        name: str,
        digest: str | None,
        spec: Mapping[str, Any] | None,
        event: str = "start",
        **fields: Any,
    ) -> None:
        """Say what the events that follow are about, and on what machine and commit they happen.

        Args:
            kind: what is made: `model`, `row`, `dataset`, `network`, `reference`, `weights`,
                `published`, `picture` or `page`.
            job: which job makes it: `train`, `accuracy`, `sample`, `evaluate`, ...
            name: of the model, row, ...
            digest: of the spec of the model, of the row's samples, ...
            spec: that spec.
            event: the event's own name.
            fields: JSON values that belong to it.
        """
        about = {"kind": kind, "job": job, "name": name, "digest": digest, "spec": spec}
        if CLUSTER_JOB in os.environ:
            about["cluster_job"] = os.environ[CLUSTER_JOB]
        self.write(event, tags=self.tags, **about, **environment(), **fields)

    @contextmanager
    def record(self, **about: Any) -> Iterator[Usage]:
        """Write `start` before a block and `end` with what it used, or `failed`, after it.

        Args:
            about: what `begin` takes.

        Meanwhile `system` events say how busy the machine is, and before the end `made` names the
        files whose manifests were written, with their hashes.

        Yields:
            What the block uses, for its manifest.
        """
        usage = self.start_usage()
        self.begin(**about)
        try:
            with self.watch():
                yield usage
        except BaseException as error:
            self.write("failed", text=f"{type(error).__name__}: {error}")
            raise
        if usage.made:
            self.write("made", files=usage.made)
        self.write("end", **usage.read())

    def watch(self) -> AbstractContextManager[None]:
        """Write for the length of a block how busy the machine is (`records.system_metrics`)."""
        return nullcontext() if self.path is None else watch_machine(self.write)

    def start_usage(self) -> Usage:
        """Start to count what a job uses."""
        return Usage(whole_process=self.whole_process)


def _take_over(path: Path) -> None:
    """Give a file that has other names too, or is read-only, a body of its own to append to.

    DVC keeps sealed files under a second name and must find them there as they were.
    """
    if path.exists() and (path.stat().st_nlink > 1 or not path.stat().st_mode & stat.S_IWUSR):
        with atomic_write(path) as file:
            file.write(path.read_bytes())


def _is_cut(handle: int) -> bool:
    """Tell whether a file ends in the middle of a line."""
    size = os.fstat(handle).st_size
    return size > 0 and os.pread(handle, 1, size - 1) != b"\n"


def read_events(path: str | Path) -> tuple[list[dict[str, Any]], int]:
    """Read the events of a file in order.

    Returns:
        The events, and how many lines were left out because they are not events: cut short by a
        kill, or damaged. A last line that is still being written is not counted.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        text = Path(path).read_bytes().decode(errors="replace")
    except OSError as error:
        raise UserError(
            f"{path}: left out, cannot be read ({error.strerror}); mend or delete it"
        ) from None
    *lines, last = text.split("\n")
    events, num_left_out = [], 0
    for line in filter(None, lines):
        found = _parse(line)
        if found is None:
            num_left_out += 1
        else:
            events.append(found)
    complete = _parse(last)
    return events + ([complete] if complete else []), num_left_out


def _parse(line: str) -> dict[str, Any] | None:
    """Read one event; None when the line is none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_event = isinstance(found, dict) and isinstance(found.get("event"), str)
    if not is_event or (r"\ud" in line.lower() and not _is_text(found)):
        return None
    return found if _is_time(found.get("time")) else None


def _is_text(value: Any) -> bool:
    """Tell whether all text in a value can be stored: JSON can spell half of a character."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_time(value: Any) -> bool:
    """Tell whether a value is seconds since 1970, and neither NaN nor beyond any calendar."""
    return isinstance(value, (int, float)) and 0 <= value < 1e11


def add_event_options(parser: argparse._ActionsContainer) -> None:
    """Add the options that say where a command records its events."""
    parser.add_argument("--events", metavar="FILE", help="append what happens as JSON lines there")
    parser.add_argument(
        "--tag",
        action="append",
        type=_parse_tag,
        metavar="KEY=VALUE",
        help="words that the events carry, such as scale=digits; may be repeated",
    )


def open_events(args: argparse.Namespace) -> EventLog:
    """Open the log that the options of add_event_options name."""
    return EventLog(args.events, dict(args.tag or []), whole_process=True)


def _parse_tag(text: str) -> tuple[str, str]:
    """Parse KEY=VALUE."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value
