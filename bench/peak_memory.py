"""Peak memory of a program."""

import resource
from pathlib import Path


def read_peak_memory_mb() -> float:
    """Return the peak memory of this program so far, in megabytes (2^20 bytes)."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    # Linux carries ru_maxrss over from the program that started this one.
    line = next(one for one in status.read_text().splitlines() if one.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024
