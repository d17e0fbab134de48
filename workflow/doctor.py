"""`python -m workflow doctor`: whether a run can go through here, before it costs anything."""

import importlib.metadata
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from records.errors import UserError
from records.files import check_folder
from records.locks import check_locks
from workflow.availability import list_artefacts
from workflow.forecast import make_forecast
from workflow.forecast_text import format_bytes
from workflow.graph import Graph
from workflow.layout import ROOT
from workflow.plan import Plan

SLOW_S, SKEW_S = 0.5, 2.0


class Finding(NamedTuple):
    """What was looked at, whether it is well, and what was found or what to do."""

    name: str
    is_well: bool
    words: str

    @property
    def line(self) -> str:
        return f"{'ok  ' if self.is_well else 'FIX '}  {self.name}: {self.words}"


def examine_machine(plan: Plan, targets: Sequence[str]) -> Iterator[Finding]:
    """Look at what a run needs wherever it runs: folder, clock, locks, disk, network, packages.

    Args:
        plan: of the scale and source.
        targets: what shall be made, as `python -m workflow plan` takes it.
    """
    root = plan.layout.root
    try:
        check_folder(root)
    except UserError as error:
        yield Finding("results", False, str(error))
        return
    yield examine_latency(root)
    yield examine_clock(root)
    yield examine_locks(root)
    try:
        state = plan.scale.compute.keep_state
        forecast = make_forecast(plan, list(targets), keep_state=state)
    except UserError as error:
        yield Finding("forecast", True, f"none, so disk and network are not looked at ({error})")
    else:
        yield _examine_disk(plan, forecast["disk_bytes"]["at most"])
        yield from _examine_network(plan, forecast["jobs"])
    yield _examine_packages()


def examine_latency(folder: str) -> Finding:
    """Measure how long a small file takes to be written, renamed and seen."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=folder, prefix=".doctor.") as place:
        for index in range(5):
            path = Path(place, f"{index}.tmp")
            with open(path, "wb") as file:
                file.write(bytes(4096))
                file.flush()
                os.fsync(file.fileno())
            path.rename(path.with_suffix(""))
    seconds = (time.monotonic() - started) / 5
    words = f"a small file in {folder} takes {seconds:.3f} s"
    if seconds > SLOW_S:
        words += "; put results on a faster file system (--config results=FOLDER)"
    return Finding("file system", seconds <= SLOW_S, words)


def examine_clock(folder: str) -> Finding:
    """Compare this machine's clock with that of the file system."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor.") as file:
        file.write(b"x")
        file.flush()
        skew = os.stat(file.name).st_mtime - time.time()
    if abs(skew) <= SKEW_S:
        return Finding("clock", True, f"within {SKEW_S:g} s of the file system's")
    return Finding(
        "clock",
        False,
        f"the file system is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}; no result is "
        "lost by it, but ask for the clocks to be set (NTP)",
    )


def examine_locks(folder: str) -> Finding:
    """Try a lock, by which a training keeps a second one out of its state."""
    try:
        check_locks(folder)
    except UserError as error:
        return Finding("locks", False, str(error))
    return Finding("locks", True, f"flock works in {folder}")


def _examine_disk(plan: Plan, needed: float) -> Finding:
    """Compare free space with the bytes that the targets need at most."""
    free = shutil.disk_usage(plan.layout.root).free
    words = f"{format_bytes(free)} free, {format_bytes(needed)} needed at most"
    if free < needed:
        words += "; free some space or put results elsewhere (--config results=FOLDER)"
    return Finding("disk", free >= needed, words)


def _examine_network(plan: Plan, rules: Collection[str]) -> Iterator[Finding]:
    """Ask the servers of published files that the rules of the targets need and that lack here."""
    graph, published = Graph(plan), list_artefacts(plan.released)
    bases = {
        os.environ.get("ADM_MIRROR")
        or published[f"{key[1]}.{key[0].removeprefix('fetch_')}"]["base"]
        for key in graph.jobs
        if key[0].startswith("fetch_")
        and key[0] in rules
        and not os.path.exists(graph.write(key)["file"])
    }
    for base in sorted(bases):
        yield _ask_server(base)


def _ask_server(base: str) -> Finding:
    if base.startswith("file:"):
        folder = unquote(urlsplit(base).path)
        words = "is there" if os.path.isdir(folder) else "is no folder; name another in ADM_MIRROR"
        return Finding("network", os.path.isdir(folder), f"{folder} {words}")
    import requests

    try:
        requests.head(base, timeout=10, allow_redirects=False)
    except requests.RequestException as error:
        return Finding(
            "network",
            False,
            f"{base} does not answer ({type(error).__name__}); fetch published files where there "
            "is a network, or name a mirror in ADM_MIRROR",
        )
    return Finding("network", True, f"{base} answers")


def _examine_packages() -> Finding:
    """Compare what is installed with the versions that the numbers were made with."""
    path = ROOT / "constraints.txt"
    if not path.exists():
        return Finding("packages", True, "no constraints.txt here to compare them with")
    lines = path.read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    others = []
    for name in ("torch", "numpy", "scipy", "snakemake"):
        found = importlib.metadata.version(name).partition("+")[0]
        if found != pins[name]:
            others.append(f"{name} {found}, not {pins[name]}")
    if others:
        return Finding("packages", False, f"{', '.join(others)}; `make env` installs these")
    return Finding("packages", True, "as in constraints.txt")
