"""The manifest beside every artefact: what it is, of what it was made, on what, at what cost.

It is one JSON object with the same keys everywhere:

    format      1
    kind        dataset, weights, network, reference, samples, metrics, accuracy, loss, page,
                published
    name        of the artefact
    spec        what decides it, and `digest` of that; null where there is none
    inputs      SHA-256 of what was read, by role
    seeds       of random draws, by what is drawn
    sha256      of the artefact, and `num_bytes`
    versions, git_commit, platform, cpus    on what it was made
    run         when it was done (UTC), seconds, memory: what differs when it is made again

and further keys that belong to a kind, such as the number of images.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from records.errors import UserError
from records.files import canonical_json, sha256_file, write_json
from records.limits import parse_json, read_bytes
from records.provenance import environment
from records.usage import Usage

FORMAT = 1
RUN = "run"
MANIFEST_SUFFIX = ".manifest.json"
ALONE = (".npz", ".pt", ".pb")  # beside these x.json is nothing but the manifest


def manifest_path(path: str | Path) -> Path:
    """Return the path of an artefact's manifest: x.json, or x.manifest.json (see ALONE)."""
    path = Path(path)
    return path.with_suffix(".json" if path.suffix in ALONE else MANIFEST_SUFFIX)


def make_manifest(
    *,
    kind: str,
    name: str,
    spec: Mapping[str, Any] | None = None,
    digest: str | None = None,
    inputs: Mapping[str, str | list[str]] | None = None,
    seeds: Mapping[str, int] | None = None,
    **details: Any,
) -> dict[str, Any]:
    """Say what an artefact will be, before or after it is made.

    Args:
        kind: see above.
        name: of the artefact.
        spec: what decides it.
        digest: of that spec, or of another object that the workflow asked for.
        inputs: SHA-256 of what is read, by role (`hash_inputs`).
        seeds: of random draws.
        details: JSON values that belong to the kind.

    Returns:
        The manifest without what only the finished file tells.
    """
    return {
        "format": FORMAT,
        "kind": kind,
        "name": name,
        "spec": spec,
        "digest": digest,
        "inputs": dict(inputs or {}),
        "seeds": dict(seeds or {}),
        **environment(),
        **details,
    }


def write_manifest(
    path: str | Path, manifest: Mapping[str, Any], usage: Usage | None = None
) -> dict[str, Any]:
    """Write the manifest of a finished artefact beside it.

    Args:
        path: the artefact.
        manifest: of `make_manifest`; with `sha256` and `num_bytes` where these are known.
        usage: what it cost.

    Returns:
        What was written.

    Raises:
        UserError: it cannot be written.
    """
    path = Path(path)
    content = {**manifest, RUN: usage.read() if usage else None}
    if "sha256" not in manifest:
        content |= {"sha256": sha256_file(path), "num_bytes": os.path.getsize(path)}
    write_json(manifest_path(path), content)
    if usage:
        usage.made[str(path)] = content["sha256"]
    return content


def read_manifest(path: str | Path) -> dict[str, Any] | None:
    """Read what is said of an artefact, by this version or an older one; None where nothing is.

    Args:
        path: the artefact.

    Raises:
        UserError: something is beside it that is not a JSON object.
    """
    if not Path(path).name:  # "." or "/": nothing is beside them
        return None
    beside = manifest_path(path)
    try:
        content = parse_json(read_bytes(beside))
        canonical_json(content)  # refuses NaN and infinity, which Python reads but JSON lacks
        if not isinstance(content, dict):
            raise ValueError(f"it holds a {type(content).__name__}, not an object {{...}}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(
            f"{beside}: not a manifest of {Path(path).name}: {error}; delete it or make it again"
        ) from None
    return content


def read_protocol(path: str | Path) -> dict[str, Any] | None:
    """Read how a batch was made, without what differs each time; see `read_manifest`."""
    content = read_manifest(path) if Path(path).suffix == ".npz" else None
    return content and {key: value for key, value in content.items() if key != RUN}


def hash_artefact(path: str | Path) -> str:
    """Return the SHA-256 of a file, from its manifest where that is of this very file.

    A large data set is not read again for each model that learns from it.
    """
    try:
        known = read_manifest(path) or {}
        beside, status = os.stat(manifest_path(path)), os.stat(path)
        is_of_file = known.get("num_bytes", known.get("bytes")) == status.st_size
        is_newer = beside.st_mtime >= max(status.st_mtime, status.st_ctime)
        if is_of_file and is_newer:
            return str(known["sha256"])
    except (OSError, KeyError, UserError):
        pass
    return sha256_file(path)


def hash_inputs(
    **files: str | Path | Sequence[str | Path] | None,
) -> dict[str, str | list[str]]:
    """Return the SHA-256 of files by role; roles without a file are left out."""
    return {
        role: hash_artefact(paths)
        if isinstance(paths, str | Path)
        else [hash_artefact(path) for path in paths]
        for role, paths in files.items()
        if paths
    }
