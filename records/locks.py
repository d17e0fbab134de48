"""Locks that keep two processes from working on the same thing."""

import errno
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from records.errors import Busy, UserError
from records.events import CLUSTER_JOB
from records.files import explain_os_error

PAUSE_S = 0.2  # between two tries
NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL}


@contextmanager
def exclusive_lock(path: str | Path, what: str, *, wait_s: float = 0.0) -> Iterator[None]:
    """Hold a lock file for the length of a block; the system frees it when the process dies.

    Args:
        path: the lock file; it stays behind, empty of meaning when nobody holds it.
        what: what is being worked on, for the error message.
        wait_s: how long to wait for another process that holds it.

    Raises:
        Busy: another process holds the lock; its host, its number and its SLURM job are shown.
        UserError: the lock file cannot be written (`records.errors`), or not be locked.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise explain_os_error(error, path) or error from error
    try:
        end = time.monotonic() + wait_s
        while not _try_lock(handle, path):
            if time.monotonic() < end:
                time.sleep(PAUSE_S)
                continue
            raise Busy(
                f"{what}: already being worked on by {_read_holder(handle)} (lock {path}); "
                "wait for it to end, or stop it, and run the same command again"
            )
        try:
            os.ftruncate(handle, 0)
            job = os.environ.get(CLUSTER_JOB)
            holder = f"process {os.getpid()} on {os.uname().nodename}"
            holder += f", SLURM job {job}" if job else ""
            os.pwrite(handle, f"{holder}\n".encode(), 0)
        except OSError as error:
            raise explain_os_error(error, path) or error from error
        yield
    finally:
        os.close(handle)


def _try_lock(handle: int, path: str | Path) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise UserError(
            f"{path}: this file system has no locks ({error.strerror}), as Lustre mounted without "
            "flock; ask for `-o flock`, or put results elsewhere (--config results=FOLDER)"
        ) from None
    return True


def check_locks(folder: str | Path) -> None:
    """Demand a folder in which files can be locked.

    Raises:
        UserError: its file system has no locks.
    """
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".lock.") as file:
        _try_lock(file.fileno(), folder)


def find_holder(path: str | Path) -> str | None:
    """Return who holds a lock file, in words; None where nobody does or it cannot be asked."""
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_holder(handle)
    except OSError:
        return None
    finally:
        os.close(handle)
    return None


def _read_holder(handle: int) -> str:
    return os.pread(handle, 200, 0).decode(errors="replace").strip() or "another process"
