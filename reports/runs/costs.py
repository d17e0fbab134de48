"""What a run cost, as the manifest beside its result says."""

from typing import NamedTuple

from records.manifest import RUN, read_manifest


class Cost(NamedTuple):
    """Seconds and memory of a job; None where its manifest does not say."""

    wall_seconds: float | None
    cpu_seconds: float | None
    peak_memory_mb: float | None


def read_cost(path: str) -> Cost:
    """Read what the job took that made a file.

    Raises:
        UserError: the manifest beside it is broken.
    """
    run = (read_manifest(path) or {}).get(RUN) or {}
    return Cost(*(run.get(name) for name in Cost._fields))
