"""What breaks a chain at a manifest: damage, or silence about what its file was made of."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from reprlib import repr as shorten
from typing import Any

from records.manifest import FORMAT, RUN, manifest_path

OUTSIDE = ("dataset", "published")  # the kinds at which a chain ends
MAX_SECONDS = 1e9  # 30 years
PAGE = "page"  # that of the figures names no files, nor does one without a number
# What every file of a kind was made of. Others need at least one input, such as weights: images or
# a published checkpoint.
ROLES = {
    "accuracy": ("weights", "data"),
    "denoising": ("weights",),
    "loss": ("weights", "data"),
    "metrics": ("samples", "reference", "network"),
    "nearest": ("samples", "reference", "network"),
    "network": ("data",),
    "reference": ("data", "network"),
    "samples": ("weights",),
}
BY_SPEC = ("classifier", "low_res")  # what samples were made of too where their spec has it


def find_damage(path: Path, manifest: Mapping[str, Any]) -> str | None:
    """Say where a manifest is not of the format; only what readers of a chain use is looked at.

    Args:
        path: the file that it is beside.
        manifest: as it was read.

    Returns:
        The first fault, without a full stop; None where there is none.
    """
    name = manifest_path(path).name
    for key, (is_right, needed) in SHAPES.items():
        if key not in manifest and key in NEEDED:
            return f"its manifest {name} has no {key}, which must be {needed}"
        got = manifest.get(key)
        if (got is not None or key in NEEDED) and not is_right(got):
            return f"its manifest {name} has {key} {shorten(got)}, which must be {needed}"
    return None


def find_cut(path: Path, manifest: Mapping[str, Any]) -> str | None:
    """Say that a manifest does not name all that its file was made of.

    Args:
        path: the file that it is beside.
        manifest: without damage.

    Returns:
        The fault, without a full stop; None where there is none.
    """
    kind, named = manifest["kind"], {role for role, _ in list_inputs(manifest)}
    if kind in (*OUTSIDE, PAGE):
        return None
    name = manifest_path(path).name
    if not named:
        return f"its manifest {name} names no inputs, although every file of kind {kind} has some"
    spec = manifest.get("spec") or {}
    needed = (*ROLES.get(kind, ()), *(role for role in BY_SPEC if spec.get(role)))
    if missing := [role for role in needed if role not in named]:
        words = " and ".join(missing)
        return f"its manifest {name} does not name its {words}, of which this {kind} was made"
    return None


def list_inputs(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield role and SHA-256 of each input of an undamaged manifest, those of a list one by one."""
    for role, hashes in sorted(manifest.get("inputs", {}).items()):
        for sha256 in hashes if isinstance(hashes, list) else [hashes]:
            yield role, sha256


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_duration(value: Any) -> bool:
    return (_is_whole(value) or isinstance(value, float)) and 0 <= value < MAX_SECONDS


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _is_time(value: Any) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_mapping_of(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: _is_mapping(value) and all(map(is_right, value.values()))


def _names_files(value: Any) -> bool:
    return _is_hash(value) or (isinstance(value, list) and all(map(_is_hash, value)))


def _is_use(value: Any) -> bool:
    known = {"ended": _is_time, "wall_seconds": _is_duration, "cpu_seconds": _is_duration}
    return _is_mapping(value) and all(
        is_right(value[key]) for key, is_right in known.items() if key in value
    )


NEEDED = ("format", "kind", "name", "sha256", "inputs")
# By key: whether a value is right, and what it must be. A key that is not needed may be null.
SHAPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "format": (lambda value: value == FORMAT, str(FORMAT)),
    "kind": (_is_text, "a text"),
    "name": (_is_text, "a text"),
    "sha256": (_is_hash, "64 hexadecimal digits"),
    "inputs": (_is_mapping_of(_names_files), "SHA-256 (64 hexadecimal digits) by role"),
    "num_bytes": (_is_whole, "a whole number"),
    "seeds": (_is_mapping_of(_is_whole), "whole numbers by what is drawn"),
    "spec": (_is_mapping, "an object {...}"),
    "versions": (_is_mapping_of(_is_text), "texts by package"),
    "git_commit": (_is_text, "a text"),
    RUN: (_is_use, "an object {...} with seconds, and the time it ended"),
}
