"""What is to be fetched, and how people are told of it."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit


@dataclass(frozen=True)
class Order:
    """One file on its way: where from, where to, and what it must be.

    shown is the address for messages, without secrets; sha256 and num_bytes are None where they
    are not known.
    """

    url: str
    shown: str
    path: Path
    sha256: str | None
    num_bytes: int | None
    progress: bool = True
    num_tries: int = 5
    pause_s: float = 1.0
    timeout_s: float = 30.0

    @property
    def part(self) -> Path:
        """What has arrived so far."""
        return self.path.with_name(self.path.name + ".part")

    @property
    def state(self) -> Path:
        """Which version the half file is of, as JSON."""
        return self.path.with_name(self.path.name + ".part.json")

    def is_local(self) -> bool:
        """Tell whether no network is needed."""
        return urlsplit(self.url).scheme == "file"

    def discard(self) -> None:
        """Forget what has arrived."""
        self.part.unlink(missing_ok=True)
        self.state.unlink(missing_ok=True)

    def tell(self, words: str) -> None:
        """Say something beside the progress bar."""
        if self.progress:
            print(f"{self.path.name}: {words}", file=sys.stderr, flush=True)

    def by_hand(self) -> str:
        """Say how to do without this download, as the end of a message."""
        known = f" (SHA-256 {self.sha256})" if self.sha256 else ""
        return f"or get the file{known} some other way and put it at {self.path}"


def hide_secrets(url: str) -> str:
    """Leave out user, password, query and fragment, which may all be secrets."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an unreadable address"
    path = parts.path
    if not parts.netloc and parts.scheme != "file":  # what was meant as host is in the path
        path = path.rpartition("@")[2]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, "", ""))


def format_bytes(num_bytes: int) -> str:
    """Write a size for people."""
    return f"{num_bytes / 1e9:.2f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.1f} MB"


def make_bar(
    order: Order, title: str, total: int | None, *, done: int = 0, delay_s: float = 0.0
) -> Any:
    """Make a progress bar on stderr: lively on a terminal, a line a minute in a log file."""
    from tqdm import tqdm

    return tqdm(
        desc=title,
        total=total,
        initial=done,
        unit="B",
        unit_scale=True,
        mininterval=0.5 if sys.stderr.isatty() else 60.0,
        dynamic_ncols=True,
        delay=delay_s,
        disable=not order.progress,
    )
