"""What a command reads is never what it writes."""

import os
from collections.abc import Iterable
from pathlib import Path

from records.errors import UserError


def refuse_replacing(
    out: str | Path, *inputs: str | Path | None, beside: Iterable[str | Path] = ()
) -> None:
    """Demand an output that is none of the files which the same command reads.

    Args:
        out: what the user calls the output.
        inputs: what the command reads; None, and what is not there, is passed over.
        beside: what the command writes besides, under names made from `out`.

    Raises:
        UserError: one of them is an input, by this name or another (a link, `a/../b`).
    """
    for written in (out, *beside):
        for path in inputs:
            if path is None or not _are_same(written, path):
                continue
            what = "is" if written == out else f"{written}, which is written beside it, is"
            raise UserError(
                f"{out}: {what} an input of the same command; give the output another name"
            )


def _are_same(first: str | Path, second: str | Path) -> bool:
    """Tell whether two names lead to one file or folder that is there."""
    try:
        return os.path.samefile(first, second)
    except OSError:  # one of them is not there, or may not be looked at
        return False
