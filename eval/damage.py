"""What readers of damaged files raise, and the words that say so."""

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from records.errors import UserError

DAMAGE = (
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    KeyError,
    SyntaxError,  # a PNG whose chunks are broken
    tokenize.TokenError,  # a .npy whose header is
    NotImplementedError,  # a compression that zipfile does not know
    RuntimeError,  # an encrypted member
)
PICKLED = (
    "holds pickled Python objects, which are never opened since they can run code; "
    "save plain uint8 arrays instead"
)


@contextmanager
def tell_damage(path: str | Path, what: str) -> Iterator[None]:
    """Turn what a reader raises in the block into advice.

    Args:
        path: the file.
        what: what it should be: ".npz", "zip", ...

    Raises:
        UserError: something of DAMAGE was raised.
    """
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; a readable {what} is needed here") from None
    except PermissionError:
        raise UserError(f"{path}: no permission to read it; change its owner or mode") from None
    except DAMAGE as error:
        if "pickle" in str(error):
            words = PICKLED
        elif "encrypted" in str(error):
            words = "its members are encrypted; pack them again without a password"
        else:
            words = f"not a readable {what}, it may be cut short ({error}); make or fetch it again"
        raise UserError(f"{path}: {words}") from None
