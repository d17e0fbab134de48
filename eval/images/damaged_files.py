"""What readers of damaged files raise, and the words that say so."""

import errno
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from records.errors import UserError
from records.files import PUBLISHED, say_how_to_forget
from records.manifest import manifest_path, read_manifest

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
    except FileNotFoundError as error:
        absent = describe_absent(error.filename or path)
        raise UserError(f"{path}: {absent}; a readable {what} is needed here") from None
    except PermissionError:
        raise UserError(f"{path}: no permission to read it; change its owner or mode") from None
    except DAMAGE as error:
        if "Object arrays" in str(error):  # numpy's words for them
            words = PICKLED
        elif "encrypted" in str(error):
            words = "its members are encrypted; pack them again without a password"
        else:
            words = f"not a readable {what}, it may be cut short ({error}); make or fetch it again"
        raise UserError(f"{path}: {words}") from None


def describe_absent(path: str | Path, what: str = "file") -> str:
    """Say that nothing is at a path, or that a link is, and where it leads."""
    if not os.path.islink(path):
        return f"no such {what}"
    try:
        os.stat(path)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "a link that leads back to itself"
    return f"a link to {os.readlink(path)}, which is not there"


@contextmanager
def advise_forgetting(*paths: str) -> Iterator[None]:
    """Add to an error about a file that the workflow fetched how to have it fetched again.

    Its download is kept elsewhere, with a recorded hash, so that deleting the file does not help.

    Args:
        paths: the files, as the user named them. Of others than fetched ones nothing is said.

    Raises:
        UserError: what was raised in the block.
    """
    try:
        yield
    except UserError as error:
        for path in paths:
            if _was_fetched(path) and str(error).startswith(
                (f"{Path(path)}: ", f"{manifest_path(path)}: ")
            ):
                raise UserError(
                    f"{error}. {say_how_to_forget(path)}, and the workflow fetches it again"
                ) from None
        raise


def _was_fetched(path: str) -> bool:
    """Tell by what is beside a file whether the workflow fetched it."""
    try:
        return Path(path).is_file() and (read_manifest(path) or {}).get("source") == PUBLISHED
    except UserError:
        return False
