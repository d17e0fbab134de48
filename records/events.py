"""What happens during a job, as JSON lines: one writer per file, appended, never rewritten."""

import json
import os
import time
from pathlib import Path
from typing import Any

from records.errors import UserError
from records.files import explain_os_error


class EventLog:
    """Append events to a file, one JSON object a line, each in a single write.

    A job that is killed loses at most the line it was writing; readers skip a last line that is
    cut short.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def write(self, event: str, **fields: Any) -> None:
        """Append one event.

        Args:
            event: what happened, one word (`start`, `progress`, `mark`, `end`).
            fields: JSON values that belong to it.
        """
        line = json.dumps({"event": event, "time": round(time.time(), 3), **fields}, sort_keys=True)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                os.write(handle, line.encode() + b"\n")
            finally:
                os.close(handle)
        except OSError as error:
            raise explain_os_error(error, self.path) or error from error


def read_events(path: str | Path) -> list[dict[str, Any]]:
    """Read the events of a file in order, leaving out a last line that was cut short.

    Raises:
        UserError: a line other than the last is not JSON.
    """
    lines = Path(path).read_text(encoding="utf-8").split("\n")
    events = []
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError as error:
            if number == len(lines):
                break
            raise UserError(f"{path}, line {number}: not an event: {error}") from None
    return events
