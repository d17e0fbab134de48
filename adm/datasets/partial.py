"""An unfinished dataset on disk: what is done is kept, whenever the process dies.

Beside the output is a folder with the beginning of the zip and one record per image that was
tried. After a kill the records are compared with the zip, and what does not fit is cut off.
"""

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from adm.datasets.image_zip import FOLDER_IMAGES
from adm.datasets.zip_format import make_directory_end, make_directory_entry, make_local_header

BLOCK_RECORDS = 256


class Record(NamedTuple):
    """What is known of an image that was tried; its number is the record's place.

    Attributes:
        usable: 1 when it is in the zip, 0 when it could not be used.
        label: its class, -1 without labels.
        traits: bits in the order of `adm.datasets.conversion.TRAITS`.
        offset: where its local header begins in the zip.
        num_bytes: size of its PNG.
        crc32: of its PNG.
        pixels_sha256: of its size and pixels.
    """

    usable: int
    label: int
    traits: int
    offset: int
    num_bytes: int
    crc32: int
    pixels_sha256: bytes


LAYOUT = struct.Struct("<BiHQII32s")


def make_image_name(index: int) -> str:
    """Return the name of an image in the zip: that of its place in the list, used or not."""
    return f"{index // FOLDER_IMAGES:05d}/img{index:08d}.png"


class PartialZip:
    """Append images to an unfinished zip, go on after a kill, and finish it.

    Attributes:
        num_records: images that were tried.
        num_usable: those in the zip.
    """

    def __init__(self, folder: Path, num_valid: int) -> None:
        """Open what is there, after checking it.

        Args:
            folder: where the unfinished files are; it exists.
            num_valid: how many records may be kept at most: the images that are unchanged on disk.
        """
        self.zip_path, self._records_path = folder / "images.part", folder / "records.bin"
        self._sha256 = hashlib.sha256()
        self.num_records, self.num_usable, self._end = 0, 0, 0
        self._zip = open(self.zip_path, "ab+")  # noqa: SIM115 - open until close()
        self._records = open(self._records_path, "ab+")  # noqa: SIM115
        self._check(num_valid)
        for file, num_bytes in (
            (self._zip, self._end),
            (self._records, self.num_records * LAYOUT.size),
        ):
            file.seek(0)
            file.truncate(num_bytes)

    def _check(self, num_valid: int) -> None:
        """Read the zip's beginning again; stop at the first record that does not fit it."""
        self._zip.seek(0)
        for index, record in enumerate(self.iterate_records()):
            if index == num_valid or record.usable > 1:
                return
            if record.usable:
                name = make_image_name(index)
                header = make_local_header(name, num_bytes=record.num_bytes, crc32=record.crc32)
                content = self._zip.read(len(header) + record.num_bytes)
                png = content[len(header) :]
                fits = record.offset == self._end and content[: len(header)] == header
                if not fits or len(png) != record.num_bytes or zlib.crc32(png) != record.crc32:
                    return
                self._sha256.update(content)
                self._end += len(content)
                self.num_usable += 1
            self.num_records += 1

    def iterate_records(self) -> Iterator[Record]:
        """Read the records from the start, a block at a time; one cut short is left out."""
        self._records.flush()
        with open(self._records_path, "rb") as file:
            while block := file.read(BLOCK_RECORDS * LAYOUT.size):
                whole = len(block) - len(block) % LAYOUT.size
                yield from map(Record._make, LAYOUT.iter_unpack(block[:whole]))

    def append_image(self, png: bytes, *, label: int, traits: int, pixels_sha256: bytes) -> None:
        """Add the next image."""
        crc32 = zlib.crc32(png)
        record = Record(1, label, traits, self._end, len(png), crc32, pixels_sha256)
        name = make_image_name(self.num_records)
        self._write(make_local_header(name, num_bytes=len(png), crc32=crc32) + png)
        self._records.write(LAYOUT.pack(*record))
        self.num_records += 1
        self.num_usable += 1

    def append_unusable(self, *, label: int) -> None:
        """Note that the next image could not be used."""
        self._records.write(LAYOUT.pack(*Record(0, label, 0, self._end, 0, 0, bytes(32))))
        self.num_records += 1

    def finish(self, about: Any) -> tuple[str, int]:
        """Add dataset.json and the directory; the file is then a whole zip.

        Args:
            about: function that yields the bytes of dataset.json piece by piece, from the start
                at each call.

        Returns:
            SHA-256 (hex) and size of the file.
        """
        num_bytes, crc32 = 0, 0
        for piece in about():
            num_bytes, crc32 = num_bytes + len(piece), zlib.crc32(piece, crc32)
        start = self._end
        self._write(make_local_header("dataset.json", num_bytes=num_bytes, crc32=crc32))
        for piece in about():
            self._write(piece)
        directory = self._end
        for index, record in enumerate(self.iterate_records()):
            if record.usable:
                self._write(
                    make_directory_entry(
                        make_image_name(index),
                        num_bytes=record.num_bytes,
                        crc32=record.crc32,
                        offset=record.offset,
                    )
                )
        self._write(
            make_directory_entry("dataset.json", num_bytes=num_bytes, crc32=crc32, offset=start)
        )
        end = make_directory_end(
            num_files=self.num_usable + 1, num_bytes=self._end - directory, offset=directory
        )
        self._write(end)
        self._zip.flush()
        os.fsync(self._zip.fileno())
        return self._sha256.hexdigest(), self._end

    def _write(self, content: bytes) -> None:
        """Append to the zip."""
        self._zip.write(content)
        self._sha256.update(content)
        self._end += len(content)

    def close(self) -> None:
        """Write out what is buffered and close."""
        try:
            self._zip.close()
        finally:
            self._records.close()
