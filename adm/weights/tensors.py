"""Named float32 tensors in a safetensors file: whole or absent, and nothing in it is executed."""

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from records.errors import UserError
from records.files import atomic_write
from records.limits import demand_regular

CHECKSUM = "tensors_sha256"  # in the header: of all that follows it


def write_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Write float32 tensors as safetensors, atomically, one at a time, with their checksum.

    The library's own writer orders the metadata differently in every process, so equal weights
    would make different files, and it reports a full disk as a format error.

    Args:
        path: the file; it appears when it is whole.
        tensors: float32, any shapes, on any device; written in this order.
        metadata: texts for the header.

    Raises:
        UserError: no space or no permission; nothing half-written is left.
    """
    about = {**metadata, CHECKSUM: "0" * 64}  # filled in once it is known
    header: dict[str, Any] = {"__metadata__": dict(sorted(about.items()))}
    offset = 0
    for name, tensor in tensors.items():
        assert tensor.dtype == torch.float32, (name, tensor.dtype)
        stop = offset + 4 * tensor.numel()
        header[name] = {
            "dtype": "F32",
            "shape": list(tensor.shape),
            "data_offsets": [offset, stop],
        }
        offset = stop
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the data start at a multiple of 8 bytes
    checksum = hashlib.sha256()
    with atomic_write(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            values = tensor.detach().cpu().contiguous().reshape(-1).numpy().data
            file.write(values)
            checksum.update(values)
        key = f'"{CHECKSUM}":"'.encode()  # quotes within texts are escaped
        file.seek(8 + text.index(key) + len(key))
        file.write(checksum.hexdigest().encode())


def read_tensors(path: str | Path, what: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file; nothing in it is ever executed.

    Args:
        path: the file.
        what: what it should be, for the error message.

    Returns:
        Tensors by name, on the CPU, and the header's texts.

    Raises:
        UserError: missing, truncated, damaged or of another format.
    """
    verify_tensors(path, what)
    with opened(path, what) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def read_texts(path: str | Path, what: str) -> dict[str, str]:
    """Read the texts in a safetensors file's header alone; see `read_tensors`."""
    with opened(path, what) as file:
        return file.metadata() or {}


def fill_tensors(path: str | Path, what: str, tensors: Mapping[str, Tensor]) -> None:
    """Read tensors of a safetensors file into memory that is there already, one at a time.

    A mapped file's tensors begin anywhere, and the last bits of a product on a CPU depend on
    whether its factors begin at multiples of 64 bytes. Copies of a map would be in memory twice.

    Args:
        path: the file.
        what: what it should be, for the error message.
        tensors: by name, on any device, of the shapes in the file, which holds them as float32;
            overwritten.

    Raises:
        UserError: missing, truncated, damaged or of another format.
    """
    verify_tensors(path, what)
    with opened(path, what), open(path, "rb") as file, torch.no_grad():
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        for name, tensor in tensors.items():
            file.seek(8 + length + header[name]["data_offsets"][0])
            values = np.fromfile(file, "<f4", tensor.numel())
            tensor.copy_(torch.from_numpy(values).view(tensor.shape))


def verify_tensors(path: str | Path, what: str) -> None:
    """Compare a safetensors file with the checksum in its header; earlier versions wrote none.

    Args:
        path: the file.
        what: what it should be, for the error message.

    Raises:
        UserError: missing, truncated, of another format, or with other tensors than were written.
    """
    with opened(path, what) as library, open(path, "rb") as file:
        written = (library.metadata() or {}).get(CHECKSUM)
        if written is None:
            return
        (length,) = struct.unpack("<Q", file.read(8))
        file.seek(8 + length)
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != written:
        raise UserError(
            f"{path}: damaged: its tensors have the SHA-256 {found[:12]}, {written[:12]} was "
            f"written; a whole {what} is needed: delete it and make it again"
        )


@contextmanager
def opened(path: str | Path, what: str) -> Iterator[Any]:
    """Open a safetensors file; opening compares its length with what its header says."""
    try:
        demand_regular(path)
        with safe_open(path, framework="pt") as file:
            yield file
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; a {what} is needed here") from None
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path}: not a whole safetensors file ({error}); it is cut short or of another "
            f"format (a .pt file must be imported first): a {what} is needed, make it again"
        ) from None
