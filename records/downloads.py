"""Fetch published files: resumed, verified, whole or absent.

Beside a file NAME are NAME.part and NAME.part.json while it is on its way (what has arrived, and of
which version), NAME.sha256 when its hash was recorded on first use, NAME.mirror when it came from a
mirror (the address), and a lock, .NAME.lock.
"""

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from records.errors import UserError
from records.files import atomic_write, explain_os_error
from records.locks import exclusive_lock
from records.orders import Order, hide_secrets, make_bar
from records.transfers import (
    READ_BYTES,
    copy_part,
    download_part,
    explain_web_page,
    is_web_page,
)

OFFLINE_VARIABLE = "ADM_OFFLINE"
MIRROR_VARIABLE = "ADM_MIRROR"
# How files begin, by their ending: an archive; an archive or a pickle, as torch.save writes them; a
# TensorFlow graph, which is a node, its length and its name.
BEGINNINGS = {
    ".npz": re.compile(rb"PK\x03\x04"),
    ".pt": re.compile(rb"PK\x03\x04|\x80[\x02-\x05]"),
    ".pb": re.compile(rb"\n[\x80-\xff]*[\x01-\x7f]\n"),
}


def fetch(
    url: str,
    path: str | Path,
    *,
    sha256: str | None = None,
    num_bytes: int | None = None,
    base: str | None = None,
    progress: bool = True,
    num_tries: int = 5,
    pause_s: float = 1.0,
    timeout_s: float = 30.0,
) -> Path:
    """Make sure that a published file is at a path, whole and verified; download what is missing.

    A download that was broken off continues where it stopped, in this call or a later one, unless
    the server has another version by now. Several processes may ask for one file: one fetches it,
    the others wait. Memory does not grow with the file.

    Args:
        url: http, https or file address.
        path: where the file goes. One that is there is verified and not fetched.
        sha256: its SHA-256 (hex). None: the hash of the first use is recorded in NAME.sha256, as
            sha256sum writes it, and demanded from then on.
        num_bytes: its size, where it is known.
        base: the beginning of url in whose place the environment variable ADM_MIRROR, when set,
            puts another; None: this file has no mirror.
        progress: show a progress bar, and what goes wrong, on stderr.
        num_tries: tries in a row without progress before giving up.
        pause_s: before the second try, doubled before each further one.
        timeout_s: how long the server may stay silent.

    Returns:
        The path.

    Raises:
        UserError: not available (what arrived is kept), not the right file (nothing is kept), no
            space, or absent while the environment variable ADM_OFFLINE is set.
    """
    path = Path(path)
    source = _find_source(url, base)
    order = Order(
        url=source,
        shown=hide_secrets(source) + (f" ({MIRROR_VARIABLE})" if source != url else ""),
        path=path,
        sha256=(sha256 or _load_record(path) or "").lower() or None,
        num_bytes=num_bytes,
        progress=progress,
        num_tries=num_tries,
        pause_s=pause_s,
        timeout_s=timeout_s,
    )
    if path.exists():
        return _verify(order)
    if os.environ.get(OFFLINE_VARIABLE, "0") not in ("", "0") and not order.is_local():
        known = f" (SHA-256 {order.sha256})" if order.sha256 else ""
        raise UserError(
            f"{path}: not there, and {OFFLINE_VARIABLE} is set, so nothing is downloaded; get "
            f"{hide_secrets(url)}{known} on another machine and put it at {path}, or unset "
            f"{OFFLINE_VARIABLE}"
        )
    with _wait_for_lock(order):
        if path.exists():  # somebody else fetched it while we waited
            return _verify(order)
        try:
            _transfer(order)
            if source == url:
                mirror_path(path).unlink(missing_ok=True)
            else:
                with atomic_write(mirror_path(path)) as file:
                    file.write(f"{hide_secrets(source)}\n".encode())
            os.replace(order.part, path)
            order.state.unlink(missing_ok=True)
        except OSError as error:
            raise explain_os_error(error, path) or error from error
    return path


def mirror_path(path: Path) -> Path:
    """Return where the address of the mirror is written down that a file came from."""
    return path.with_name(path.name + ".mirror")


def _find_source(url: str, base: str | None) -> str:
    """Put ADM_MIRROR in the place of base, and demand an address that we can fetch from."""
    mirror = os.environ.get(MIRROR_VARIABLE, "") if base is not None else ""
    if base is not None and mirror:
        if not url.startswith(base):
            raise ValueError(f"{hide_secrets(url)} does not begin with {hide_secrets(base)}")
        url = mirror.rstrip("/") + "/" + url[len(base) :].lstrip("/")
    try:
        parts = urlsplit(url)
        is_remote = parts.scheme in ("http", "https") and parts.hostname
        is_local = parts.scheme == "file" and parts.netloc in ("", "localhost")
    except ValueError:
        is_remote = is_local = False
    if not is_remote and not is_local:
        where = f"{MIRROR_VARIABLE}: " if mirror else ""
        raise UserError(
            f"{where}{hide_secrets(url)} not an address to fetch from; needed is one that begins "
            "with https://, http:// or file:///"
        )
    return url


@contextlib.contextmanager
def _wait_for_lock(order: Order) -> Iterator[None]:
    """Hold the file's lock, however long another process has it."""
    lock = order.path.with_name(f".{order.path.name}.lock")
    told = False
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(exclusive_lock(lock, str(order.path)))
                break
            except OSError as error:
                raise UserError(
                    f"{order.path}: nothing can be written there ({error.strerror}); choose "
                    "another folder"
                ) from error
            except UserError as error:
                if error.__cause__ is not None:  # nobody holds it; it cannot be written
                    raise
                if not told:
                    order.tell(f"waiting; {error}")
                told = True
                time.sleep(0.2)
        yield


def _transfer(order: Order) -> None:
    """Bring the whole file to its temporary name and check it."""
    resumed = order.part.exists()
    while True:
        if order.is_local():
            copy_part(order)
        else:
            download_part(order)
        wrong = _find_fault(order)
        if wrong is None:
            return
        order.discard()
        if not resumed:
            raise UserError(wrong)
        # The half file from before may have been damaged: once more, from the beginning.
        order.tell("the parts do not make the right whole; fetching it from its beginning again")
        resumed = False


def _find_fault(order: Order) -> str | None:
    """Check a file that has arrived whole; return what is wrong with it, and what to do."""
    with open(order.part, "rb") as file:
        os.fsync(file.fileno())
        if is_web_page(order, file.read(512)):
            return explain_web_page(order, order.shown)
    size = order.part.stat().st_size
    if order.num_bytes not in (None, size):
        return (
            f"{order.path}: {order.shown} gave {size} bytes; {order.num_bytes} are needed; it is "
            f"another file and was not kept; check the address, {order.by_hand()}"
        )
    if order.sha256 is None and (beginning := _find_foreign_beginning(order.part, order.path)):
        return (
            f"{order.path}: what came from {order.shown} begins with {beginning}, as no "
            f"{order.path.suffix} file does; it is a message or another file and was not kept; "
            f"open the address in a browser to see it, {order.by_hand()}"
        )
    found = _compute_sha256(order, order.part)
    if order.sha256 is None:
        _save_record(order.path, found)
    elif found != order.sha256:
        return (
            f"{order.path}: the SHA-256 of what came from {order.shown} is {found}; {order.sha256} "
            f"is needed{_explain_record(order)}; it is another file and was not kept; check the "
            f"address and what is between (a mirror, a proxy), {order.by_hand()}"
        )
    return None


def _verify(order: Order) -> Path:
    """Demand that what is there already is the right file."""
    path = order.path
    if not path.is_file():
        raise UserError(f"{path}: not a file; move it away, the file of {order.shown} belongs here")
    size = path.stat().st_size
    again = (
        "delete it and run the same command again "
        f"(it comes from {order.shown}), or put the right file there"
    )
    if order.num_bytes not in (None, size):
        raise UserError(f"{path}: has {size} bytes; {order.num_bytes} are needed; {again}")
    if order.sha256 is None and (beginning := _find_foreign_beginning(path, path)):
        raise UserError(f"{path}: begins with {beginning}, as no {path.suffix} file does; {again}")
    found = _compute_sha256(order, path)
    if order.sha256 is None:
        try:
            _save_record(path, found)
        except UserError as error:  # a folder that somebody else filled can still be used
            order.tell(f"its SHA-256 {found} cannot be recorded; {error}")
    elif found != order.sha256:
        raise UserError(
            f"{path}: its SHA-256 is {found}; {order.sha256} is needed{_explain_record(order)}; "
            f"{again}"
        )
    return path


def _find_foreign_beginning(path: Path, named: Path) -> str | None:
    """Return how a file begins that is not of the kind its name says; None where it may be."""
    kind = BEGINNINGS.get(named.suffix)
    with open(path, "rb") as file:
        start = file.read(24)
    return None if kind is None or kind.match(start) else repr(start)


def _compute_sha256(order: Order, path: Path) -> str:
    """Hash a file, with a bar where that takes its time."""
    digest = hashlib.sha256()
    total = path.stat().st_size
    # Small files are hashed before anybody could read of it.
    with (
        open(path, "rb") as file,
        make_bar(order, f"verifying {order.path.name}", total, delay_s=2.0) as bar,
    ):
        while block := file.read(READ_BYTES):
            digest.update(block)
            bar.update(len(block))
    return digest.hexdigest()


def _record_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _load_record(path: Path) -> str | None:
    """Read the hash of the first use."""
    record = _record_path(path)
    if not record.exists():
        return None
    words = record.read_text(encoding="utf-8", errors="replace").split()
    if not words or not re.fullmatch("[0-9a-f]{64}", words[0]):
        raise UserError(f"{record}: not a SHA-256 as sha256sum writes it; delete it")
    return words[0]


def _save_record(path: Path, sha256: str) -> None:
    """Write the hash of the first use."""
    with atomic_write(_record_path(path)) as file:
        file.write(f"{sha256}  {path.name}\n".encode())


def _explain_record(order: Order) -> str:
    """Say where a demanded hash comes from, when it was recorded here."""
    if _load_record(order.path) != order.sha256:
        return ""
    return (
        f" (recorded on first use in {_record_path(order.path)}; delete that too if the other "
        "file is meant)"
    )
