"""What a piece of work costs: seconds on the wall and on the CPU, and the peak of memory."""

import resource
import sys
import time
from datetime import UTC, datetime
from typing import Any

_IMPORTED = time.monotonic()  # with `records.events`, before torch
_BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss


class Usage:
    """A stopwatch over this process and the processes that it has waited for.

    Attributes:
        more: what else is said with what was used.
        made: SHA-256 of what was made, by file.
    """

    def __init__(self, *, whole_process: bool = False) -> None:
        """Start it.

        Args:
            whole_process: count from the start of the process, as a command does, and not from now.
        """
        self._wall = _IMPORTED if whole_process else time.monotonic()
        self._cpu = 0.0 if whole_process else _read_cpu_seconds()
        self.more: dict[str, Any] = {}
        self.made: dict[str, str] = {}

    def read(self) -> dict[str, Any]:
        """Return what was used until now.

        Returns:
            `ended` (UTC), `wall_seconds`, `cpu_seconds`, and `peak_memory_mb`, the largest of the
            process, or of one that it has waited for, since it began; `device`, if the process has
            used a GPU; and what `more` holds.
        """
        peak = max(resource.getrusage(who).ru_maxrss for who in _WHO)
        return {
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "wall_seconds": round(time.monotonic() - self._wall, 3),
            "cpu_seconds": round(_read_cpu_seconds() - self._cpu, 3),
            "peak_memory_mb": round(peak * _BYTES_PER_UNIT / 1e6, 1),
            **({"device": "cuda"} if _has_used_gpu() else {}),
            **self.more,
        }


_WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def _has_used_gpu() -> bool:
    torch = sys.modules.get("torch")  # commands without it have none
    return torch is not None and torch.cuda.is_initialized()


def _read_cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in _WHO]
    return sum(one.ru_utime + one.ru_stime for one in used)
