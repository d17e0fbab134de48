"""LSUN from its lmdb: WebP or JPEG files in the order of their keys, without labels."""

import itertools
import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from adm.datasets.own_images import (
    Listed,
    OwnImages,
    Reader,
    UnusableImage,
    check_num_bytes,
    make_stamp,
)
from records.errors import UserError

KEYS_AT_A_TIME = 1000
NEEDED = "give the folder of data.mdb, as bedroom_train_lmdb, unpacked from LSUN's zip"


def open_lsun(path: str | Path) -> OwnImages:
    """Open an LSUN category.

    Args:
        path: the folder of data.mdb, or the file itself.

    Raises:
        UserError: no lmdb, cut short, damaged, or the package lmdb is missing.
    """
    path = Path(path)
    data = path / "data.mdb" if path.is_dir() else path
    _open_environment(path).close()

    def iterate_images() -> Iterator[Listed]:
        for key in _list_keys(path):
            text = key.decode("latin-1")
            yield Listed(text, None, [text])

    return OwnImages("lmdb", path, None, False, make_stamp(data), iterate_images)


def _list_keys(path: Path) -> Iterator[bytes]:
    """List the keys in another process: of a damaged page the library makes an end of its own.

    Raises:
        UserError: damaged.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_send_keys, args=(there, path), daemon=True)
    process.start()
    there.close()
    said = "a page of it ends the library"
    try:
        while keys := here.recv():
            if isinstance(keys, str):
                said = keys
                raise EOFError
            yield from keys
    except EOFError:
        raise UserError(f"{path}: damaged ({said}); unpack it again") from None
    finally:
        process.terminate()
        process.join()
        here.close()


def _send_keys(out: Connection, path: Path) -> None:
    """Send the keys in lists, then an empty list; or what is wrong, in words."""
    import lmdb

    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # where the library writes its last words
    try:
        with _open_environment(path).begin() as transaction:
            keys = transaction.cursor().iternext(keys=True, values=False)
            while some := [bytes(key) for key in itertools.islice(keys, KEYS_AT_A_TIME)]:
                out.send(some)
    except lmdb.Error as error:
        out.send(str(error))
    out.send([])


def make_lmdb_reader(path: Path) -> Reader:
    """Return a function that reads a value from its [key]."""
    import lmdb

    environment = _open_environment(path)

    def read(place: list[str]) -> bytes:
        try:
            with environment.begin(buffers=True) as transaction:
                value = transaction.get(place[0].encode("latin-1"))
                if value is None:
                    raise UnusableImage("no such key")
                check_num_bytes(len(value))
                return bytes(value)
        except lmdb.Error as error:
            raise UnusableImage(f"cannot be read ({error})") from None

    return read


def _open_environment(path: Path) -> Any:
    """Open an lmdb for reading, without a lock: it may be on a read-only disk."""
    try:
        import lmdb
    except ImportError:
        raise UserError("the package lmdb is missing; `pip install lmdb` to read LSUN") from None
    data = path / "data.mdb" if path.is_dir() else path
    if not data.is_file():
        raise UserError(f"{data}: no such file; {NEEDED}")
    try:
        environment = lmdb.open(
            str(path), subdir=path.is_dir(), readonly=True, lock=False, readahead=False
        )
    except lmdb.Error as error:
        raise UserError(f"{path}: not an lmdb, or damaged ({error}); {NEEDED}") from None
    # What is beyond the end of a mapped file cannot be read: the system would end the process.
    needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    if data.stat().st_size < needed:
        environment.close()
        raise UserError(
            f"{data}: cut short: {data.stat().st_size} of {needed} bytes; unpack it again"
        )
    return environment
