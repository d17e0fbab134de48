"""Named float32 tensors in a safetensors file: whole or absent, and nothing in it is executed."""

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


def write_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Write float32 tensors as safetensors, atomically, one at a time.

    The library's own writer orders the metadata differently in every process, so equal weights
    would make different files, and it reports a full disk as a format error.

    Args:
        path: the file; it appears when it is whole.
        tensors: float32, any shapes, on any device; written in this order.
        metadata: texts for the header.

    Raises:
        UserError: no space or no permission; nothing half-written is left.
    """
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
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
    with atomic_write(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(tensor.detach().cpu().contiguous().reshape(-1).numpy().data)


def read_tensors(path: str | Path, what: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file; nothing in it is ever executed.

    Args:
        path: the file.
        what: what it should be, for the error message.

    Returns:
        Tensors by name, on the CPU, and the header's texts.

    Raises:
        UserError: missing, truncated or of another format.
    """
    with opened(path, what) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


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
        UserError: missing, truncated or of another format.
    """
    with opened(path, what), open(path, "rb") as file, torch.no_grad():
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        for name, tensor in tensors.items():
            file.seek(8 + length + header[name]["data_offsets"][0])
            values = np.fromfile(file, "<f4", tensor.numel())
            tensor.copy_(torch.from_numpy(values).view(tensor.shape))


@contextmanager
def opened(path: str | Path, what: str) -> Iterator[Any]:
    """Open a safetensors file; opening compares its length with what its header says."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; a {what} is needed here") from None
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path}: not a whole safetensors file ({error}); it is cut short or of another "
            f"format (a .pt file must be imported first): a {what} is needed, make it again"
        ) from None
