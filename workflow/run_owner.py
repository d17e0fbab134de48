"""Which process holds Snakemake's locks: its own lock files do not say it, and outlive a kill."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from records.errors import UserError
from records.files import read_json, write_json

SUFFIX = ".owner.json"
LOCKS = Path(".snakemake/locks")
WAIT_S = 2.0


@dataclass(frozen=True)
class Owner:
    """A process on some machine; `started` tells it from a later one of the same number."""

    process: int
    host: str
    started: float

    @property
    def may_live(self) -> bool:
        """Tell whether it lives, or is on another machine, which cannot be asked."""
        if self.host != os.uname().nodename:
            return True
        try:
            return abs(psutil.Process(self.process).create_time() - self.started) < 1.0
        except psutil.NoSuchProcess:
            return False

    @property
    def words(self) -> str:
        return f"process {self.process} on {self.host}"


def write_owner(folder: Path) -> None:
    """Say in a folder of locks that this process holds them."""
    process = psutil.Process()
    owner = Owner(process.pid, os.uname().nodename, process.create_time())
    write_json(folder / f"{owner.host}-{owner.process}{SUFFIX}", asdict(owner))


def find_owners(folder: Path) -> list[Owner]:
    """Find who holds, or held, the locks in a folder; what cannot be read is left out."""
    found = []
    for path in folder.glob(f"*{SUFFIX}"):
        try:
            found.append(Owner(**read_json(path, "lock's owner")))
        except (UserError, TypeError):
            continue
    return found


def await_owners(folder: Path = LOCKS, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Wait until no process of this machine holds locks in a folder; say for which one.

    Those of other machines cannot be asked: what starts next says what to do about them.
    """
    said = None
    while True:
        here = os.uname().nodename
        living = [one for one in find_owners(folder) if one.host == here and one.may_live]
        if not living:
            return
        if said != (said := ", ".join(one.words for one in living)):
            print(f"waiting for another run in this folder to end: {said}", file=sys.stderr)
        sleep(WAIT_S)
