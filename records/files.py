"""Files that are either whole or absent, and digests that name their content."""

import errno
import hashlib
import json
import os
import shlex
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from records.errors import UserError
from records.limits import demand_regular, parse_json, read_bytes

PUBLISHED = "published by the authors"  # `source` in the manifest of a fetched file
TRIED_BYTES = 1 << 16
ADVICE = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EROFS: "the file system is read-only; choose another results folder or remount it",
    errno.EACCES: "no permission to write; change the owner or the mode of the folder",
    errno.EPERM: "no permission to write; change the owner or the mode of the folder",
    errno.EISDIR: "choose another name: a folder has this one",
    errno.ENOTDIR: "choose another place: there is a file where a folder is needed",
    errno.EEXIST: "choose another place: there is a file where a folder is needed",
    errno.ELOOP: "choose another place: links lead in a circle there",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def canonical_json(obj: Any) -> str:
    """Write JSON that is the same text for equal content (sorted keys, no spaces, no NaN)."""
    return json.dumps(obj, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(obj: Any) -> str:
    """Return the SHA-256 (hex) of an object's canonical JSON."""
    return hashlib.sha256(canonical_json(obj).encode()).hexdigest()


def spec_digest(spec: Mapping[str, Any]) -> str:
    """Return the digest that decides whether work is done again; names are not part of it."""
    return digest({key: value for key, value in spec.items() if key != "name"})


def sha256_file(path: str | Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes."""
    demand_regular(path)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def explain_os_error(error: OSError, path: str | Path) -> UserError | None:
    """Turn an operating-system refusal into advice; None when it is not one of the known ones."""
    if error.errno not in ADVICE:
        return None
    return UserError(f"{path}: cannot be written ({error.strerror}); {ADVICE[error.errno]}")


def say_how_to_forget(path: str | Path) -> str:
    """Say how to get rid of a published file that proved the wrong one, and of its copies."""
    return (
        f"If it is the wrong file, `python -m workflow forget {shlex.quote(str(path))}` "
        "removes every copy and the recorded hash"
    )


def check_writable(path: str | Path) -> None:
    """Demand a place that atomic_write can write to, before the work whose result goes there.

    Args:
        path: where the file shall appear; its folder is made, the file is not.

    Raises:
        UserError: what atomic_write would raise: no permission, a folder of that name, a device...
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        _refuse_special(path)
        _try_temporary(path)
    except OSError as error:
        raise explain_os_error(error, path) or error from error


def demand_folder(path: str | Path) -> None:
    """Demand a folder, or a place where one can be; nothing is made.

    Raises:
        UserError: there is a file, at the path or above it, or links lead in a circle.
    """
    for place in (Path(path), *Path(path).parents):
        try:
            if not stat.S_ISDIR(os.stat(place).st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            return
        except FileNotFoundError:
            continue
        except OSError as error:
            raise explain_os_error(error, place) or error from None


def check_folder(folder: str | Path) -> None:
    """Demand a folder in which files can be made, which is made if absent.

    Raises:
        UserError: no permission, a read-only file system, a file of that name, ...
    """
    try:
        _try_temporary(Path(folder) / "file")
    except OSError as error:
        raise explain_os_error(error, folder) or error from error


@contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """Write a file under a temporary name in the same folder and rename it when it is whole.

    Args:
        path: where the file appears once the block has ended without an error.

    Yields:
        A binary file to write to.

    Raises:
        UserError: no space, no permission, a read-only file system, an impossible name, or a
            device, pipe or socket of this name; nothing is left behind and what already had this
            name is untouched.
    """
    path = Path(path)
    temporary = None
    try:
        _refuse_special(path)
        handle, temporary = _make_temporary(path)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)
        if isinstance(error, OSError) and (advice := explain_os_error(error, path)):
            raise advice from error
        raise


def _refuse_special(path: Path) -> None:
    """Refuse a name whose holder a rename would do away with although it is not a file of results.

    /dev/stdout leads to a regular file where the output is redirected, by way of /proc.
    """
    leads = [os.path.realpath(path.parent)]
    if path.is_symlink():
        leads.append(os.path.join(leads[0], os.readlink(path)))
    special = os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)
    if special or any(f"{one}/".startswith("/proc/") for one in leads):
        raise UserError(
            f"{path}: a device, a pipe or a socket, which the output would replace; give the name "
            "of a new or a regular file"
        )


def _make_temporary(path: Path) -> tuple[int, str]:
    """Open a new hidden file beside a path; return its handle and name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")


def _try_temporary(path: Path) -> None:
    """Make a temporary file beside a path and remove it; an empty one needs no space."""
    handle, temporary = _make_temporary(path)
    try:
        os.write(handle, bytes(TRIED_BYTES))
    finally:
        os.close(handle)
        os.unlink(temporary)


def _umask() -> int:
    """Read the process's umask, which the system only tells while setting it."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def remove_leftovers(folder: str | Path) -> None:
    """Delete the temporary files of writes that a kill cut short; call it under the run's lock."""
    for path in Path(folder).glob(".*.tmp"):
        with suppress(FileNotFoundError):
            path.unlink()


def write_json(path: str | Path, obj: Any) -> None:
    """Write an object as indented JSON with sorted keys, atomically."""
    text = format_json(obj)
    with atomic_write(path) as file:
        file.write(text.encode())


def format_json(obj: Any) -> str:
    """Return the text of the file that write_json writes."""
    return json.dumps(obj, sort_keys=True, indent=1, allow_nan=False) + "\n"


def read_json(path: str | Path, what: str) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        what: what the file should be, for the error message.

    Raises:
        UserError: the file is missing, cannot be read or is not JSON, which has no NaN.
    """
    try:
        content = parse_json(read_bytes(path))
        canonical_json(content)  # refuses NaN and infinity, which Python reads but JSON lacks
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; a {what} is needed here") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give a {what}") from None
    except ValueError as error:
        raise UserError(f"{path}: not a {what}: {error}; delete it and make it again") from None
    return content


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Give a finished file a second name (hard link, else copy), atomically.

    Raises:
        UserError: what atomic_write raises.
    """
    source, target = Path(source), Path(target)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        _refuse_special(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and os.path.samefile(source, target):
            return
        with suppress(FileNotFoundError):
            temporary.unlink()
        os.link(source, temporary)
        os.replace(temporary, target)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        advice = explain_os_error(error, target)
        if advice and error.errno not in (errno.EPERM, errno.EACCES):
            raise advice from error
        with atomic_write(target) as file, open(source, "rb") as data:
            while block := data.read(1 << 20):
                file.write(block)
