"""Locks that keep two processes from working on the same thing."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from records.errors import UserError
from records.files import explain_os_error


@contextmanager
def exclusive_lock(path: str | Path, what: str) -> Iterator[None]:
    """Hold a lock file for the length of a block; the system frees it when the process dies.

    Args:
        path: the lock file; it stays behind, empty of meaning when nobody holds it.
        what: what is being worked on, for the error message.

    Raises:
        UserError: another process holds the lock (its host and process number are shown), or the
            lock file cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise explain_os_error(error, path) or error from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 200, 0).decode(errors="replace").strip() or "another process"
            raise UserError(
                f"{what}: already being worked on by {holder} (lock {path}); "
                "wait for it to end, or stop it, and run the same command again"
            ) from None
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {os.uname().nodename}\n".encode(), 0)
        except OSError as error:
            raise explain_os_error(error, path) or error from error
        yield
    finally:
        os.close(handle)
