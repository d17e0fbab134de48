"""Limits of what comes from elsewhere: a slip, damage or malice costs a sentence, not the machine.

Every reader of foreign bytes (JSON, members of zips, texts) asks here.
"""

import json
import lzma
import os
import stat
import zipfile
import zlib
from pathlib import Path
from typing import Any

from records.errors import UserError

MAX_TEXT_BYTES = 1 << 30  # of JSON: a line for each image of a data set of ten millions
MAX_CLASSES = 1 << 16
MAX_WHOLE = 2**63  # labels and counts become int64
# Deflate packs text 5 to 20 times and a run of equal bytes 1000 times.
MAX_RATIO, SMALL_BYTES = 200, 16 << 20
SPECIAL = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def demand_regular(path: str | Path) -> None:
    """Refuse what would be read for ever or waited for; pipes of a shell, as in <(...), are taken.

    Raises:
        UserError: a named pipe, a socket or a device.
        OSError: it is not there, or may not be looked at.
    """
    mode = os.stat(path).st_mode
    found = next((words for is_kind, words in SPECIAL if is_kind(mode)), None)
    if found is not None and not os.path.realpath(path).startswith("/proc/"):
        raise UserError(f"{path}: {found}; give the name of a regular file")


def read_bytes(path: str | Path, max_bytes: int = MAX_TEXT_BYTES) -> bytes:
    """Read a file of a size that can be.

    Raises:
        UserError: a named pipe, a socket or a device.
        OSError: it cannot be read.
        ValueError: it is larger.
    """
    demand_regular(path)
    with open(path, "rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ValueError(f"more than {max_bytes} bytes")
    return content


def parse_json(content: str | bytes) -> Any:
    """Parse JSON.

    Raises:
        ValueError: not JSON, too large, too deep, or with a whole number of more than 64 bits.
    """
    if len(content) > MAX_TEXT_BYTES:
        raise ValueError(f"more than {MAX_TEXT_BYTES} bytes")
    try:
        return json.loads(content, parse_int=_parse_whole)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _parse_whole(digits: str) -> int:
    number = int(digits) if len(digits) < 21 else MAX_WHOLE
    if not -MAX_WHOLE <= number < MAX_WHOLE:
        raise ValueError(f"a whole number of {len(digits)} digits")
    return number


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Read a text of a zip whole.

    Raises:
        ValueError: no such member, encrypted, of an unknown method, damaged, or a bomb.
    """
    try:
        info = archive.getinfo(name)
        size = info.file_size
        if size > MAX_TEXT_BYTES or size > max(SMALL_BYTES, MAX_RATIO * info.compress_size):
            raise ValueError(f"{name} unpacks to {size} bytes, as decompression bombs do")
        return archive.read(info)
    except KeyError:
        raise ValueError(f"no {name} in it") from None
    except (RuntimeError, OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        # RuntimeError: encrypted; NotImplementedError, one of its kind: an unknown method.
        raise ValueError(f"{name} cannot be read: {error}") from None
    except zipfile.BadZipFile as error:
        raise ValueError(f"{name} is damaged: {error}") from None
