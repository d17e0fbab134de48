"""The parts of a zip of stored files, as bytes: a set of a million images is written as a stream.

`zipfile` keeps every member in memory until the end; these are the same bytes.
(Format: PKWARE's APPNOTE 6.3, sections 4.3.7 to 4.3.16.)
"""

import struct
from pathlib import PurePosixPath

VERSION, VERSION_64 = 20, 45
UNIX = 3
DOS_DATE = 1 << 5 | 1  # 1 January 1980: no zip tells when it was written
FILE_MODE = 0o644 << 16
LIMIT_BYTES = 2**31 - 1
LIMIT_FILES = 2**16 - 1
END_BYTES, END_64_BYTES = 22, 56


def make_local_header(name: str, *, num_bytes: int, crc32: int) -> bytes:
    """Return what comes before a stored file; its content follows.

    Args:
        name: the file's path in the zip, ASCII.
        num_bytes: size of the content, below 2 GiB.
        crc32: of the content.
    """
    encoded = _encode(name)
    assert num_bytes <= LIMIT_BYTES, name
    return (
        struct.pack(
            "<4s5H3I2H",
            *(b"PK\x03\x04", VERSION, 0, 0, 0, DOS_DATE),
            *(crc32, num_bytes, num_bytes, len(encoded), 0),
        )
        + encoded
    )


def make_directory_entry(name: str, *, num_bytes: int, crc32: int, offset: int) -> bytes:
    """Return a file's entry in the directory at the end.

    Args:
        name: as in the local header.
        num_bytes: as in the local header.
        crc32: as in the local header.
        offset: where the local header begins.
    """
    encoded = _encode(name)
    extra = b""
    version = VERSION
    if offset > LIMIT_BYTES:
        extra = struct.pack("<2HQ", 1, 8, offset)
        version, offset = VERSION_64, 2**32 - 1
    return (
        struct.pack(
            "<4s4B4H3I5H2I",
            *(b"PK\x01\x02", version, UNIX, version, 0),
            *(0, 0, 0, DOS_DATE, crc32, num_bytes, num_bytes, len(encoded), len(extra)),
            *(0, 0, 0, FILE_MODE, offset),
        )
        + encoded
        + extra
    )


def make_directory_end(*, num_files: int, num_bytes: int, offset: int) -> bytes:
    """Return what follows the directory.

    Args:
        num_files: entries in the directory.
        num_bytes: its size.
        offset: where it begins.
    """
    end = b""
    if num_files > LIMIT_FILES or num_bytes > LIMIT_BYTES or offset > LIMIT_BYTES:
        counts = (num_files, num_files, num_bytes, offset)
        end = struct.pack(
            "<4sQ2H2I4Q",
            *(b"PK\x06\x06", END_64_BYTES - 12, VERSION_64, VERSION_64, 0, 0, *counts),
        )
        end += struct.pack("<4sIQI", b"PK\x06\x07", 0, offset + num_bytes, 1)
        num_files = min(num_files, 2**16 - 1)
        num_bytes, offset = min(num_bytes, 2**32 - 1), min(offset, 2**32 - 1)
    return end + struct.pack(
        "<4s4H2IH", b"PK\x05\x06", 0, 0, num_files, num_files, num_bytes, offset, 0
    )


def _encode(name: str) -> bytes:
    """Return a member's name as it is stored."""
    assert not PurePosixPath(name).is_absolute(), name
    return name.encode("ascii")
