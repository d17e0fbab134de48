"""What a command reads and writes: looked at before anything is loaded or computed."""

import os
from collections.abc import Sequence
from pathlib import Path

from eval.images.damaged_files import describe_absent
from eval.images.files import LISTING, is_image_name
from eval.images.open import KINDS
from records.errors import UserError
from records.files import check_writable
from records.inputs import refuse_replacing
from records.limits import demand_regular
from records.manifest import manifest_path

STANDARD_OUTPUT = "-"


def check_paths(
    inputs: Sequence[str | Path],
    outputs: Sequence[str | Path | None] = (),
    others: Sequence[str | Path | None] = (),
) -> None:
    """Demand inputs that are there, and outputs that can be written and replace nothing read.

    Args:
        inputs: batches of images.
        outputs: files to write; None and STANDARD_OUTPUT are passed over.
        others: what else is read (weights, a spec), whose absence is told where it is read; None
            is passed over.

    Raises:
        UserError: an input is missing, an output cannot be written, or it is an input, a part of
            one, or where the protocol of one belongs.
    """
    for path in inputs:
        if not os.path.exists(path):
            absent = describe_absent(path, "file or folder")
            raise UserError(f"{path}: {absent}; needed is one of: {KINDS}")
        demand_regular(path)
    read = [Path(path) for path in (*inputs, *others) if path is not None]
    for out in outputs:
        if out is None or out == STANDARD_OUTPUT:
            continue
        refuse_replacing(out, *read)
        for path in read:
            if words := _tell_loss(Path(out), path):
                raise UserError(f"{out}: is {words}; give the output another name")
        check_writable(out)


def _tell_loss(out: Path, path: Path) -> str | None:
    """Say what an output would replace beside or in an input; None where it replaces nothing."""
    place, origin = os.path.realpath(out), os.path.realpath(path)
    # "." and "/" have no name, and nothing beside them.
    if path.name and place == os.path.realpath(manifest_path(path)):
        return f"where the manifest of {path} belongs"
    if path.is_dir() and Path(origin) in Path(place).parents:
        name, batch = os.path.basename(place), Path(place).with_suffix(".npz")
        if name in (LISTING, batch.name) or is_image_name(name) or batch.exists():
            return f"a part of {path}, or would be read as one"
    return None
