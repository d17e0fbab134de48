"""The files of results that a page shows: what is in them, and why one is left out.

A file that is broken, or that was made with other settings than those of the page, costs its own
cells and is named; the page is written without it.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple, TypeVar

from records.errors import UserError
from specs.page import WantedFile, WantedMetrics
from specs.results import MetricsFile, read_metrics

MEASURED = "measured"
NOT_RUN = "not run"
OTHER_SETTINGS = "other settings"
BROKEN = "broken file"
OTHER_WORDS = "made for another row or scale, or with other settings"
MAX_NAMED = 3  # files of other settings; more are counted

Kind = TypeVar("Kind")


class Found(NamedTuple):
    """A metrics file, None where it is not to be shown; its status; and what is wrong with it."""

    content: MetricsFile | None
    status: str
    problem: str | None = None


def find_metrics(
    wanted: WantedMetrics | None, read: Callable[[str], MetricsFile] = read_metrics
) -> Found:
    """Read a metrics file, and hold its digests against those that it must have.

    Args:
        wanted: the file; None where there is nothing to run.
        read: reads it; `read_loss` for a loss file.

    Returns:
        Its status is MEASURED, NOT_RUN (no such file), OTHER_SETTINGS or BROKEN.
    """
    if wanted is None or not os.path.exists(wanted.path):
        return Found(None, NOT_RUN)
    try:
        status = os.stat(wanted.path)
        content = _read_once(read, wanted.path, status.st_mtime_ns, status.st_size)
    except UserError as error:
        return Found(None, BROKEN, str(error))
    samples = (content.protocol.samples or {}).get("digest")
    problem = explain_digest(wanted, content.digest)
    if problem is None and samples is not None and wanted.samples is not None:
        batch = WantedFile(path=f"{wanted.path}: protocol: samples", digest=wanted.samples)
        problem = explain_digest(batch, samples)
    return Found(None, OTHER_SETTINGS, problem) if problem else Found(content, MEASURED)


@lru_cache(maxsize=1000)
def _read_once(
    read: Callable[[str], MetricsFile], path: str, _mtime_ns: int, _num_bytes: int
) -> MetricsFile:
    """Read a file once while it stays as it is: a page asks for each several times."""
    return read(path)


def load_metrics(wanted: WantedMetrics | None) -> MetricsFile | None:
    """Read a metrics file; None where there is none that can be shown (`find_metrics`)."""
    return find_metrics(wanted).content


def list_problems(wanted: Iterable[WantedMetrics]) -> list[str]:
    """Say of which files nothing is shown although they are there, and why."""
    return [problem for one in wanted if (problem := find_metrics(one).problem)]


def explain_digest(wanted: WantedFile, found: str | None) -> str | None:
    """Say that a file is of another row, scale or settings; None when it has its digest."""
    if found == wanted.digest:
        return None
    return (
        f"{wanted.path}: {OTHER_WORDS} (digest {str(found)[:12]}, needed {wanted.digest[:12]}), so "
        "it is not shown; run the table again"
    )


def condense(problems: Sequence[str]) -> list[str]:
    """Say in one sentence that many files are of other settings: the first stands for all."""
    others = [one for one in problems if OTHER_WORDS in one]
    if len(others) <= MAX_NAMED:
        return [*problems]
    rest = [one for one in problems if OTHER_WORDS not in one]
    return [f"{len(others)} files are not of these settings, the first: {others[0]}", *rest]


def attempt(problems: list[str], read: Callable[[], Kind]) -> Kind | None:
    """Return what is read; where it is broken, add that to the problems and return None."""
    try:
        return read()
    except UserError as error:
        problems.append(str(error))
        return None
