"""From a number back to the images: which files a result was made of, by the hashes they recorded.

A manifest names what was read by SHA-256, not by path, so a results folder may be moved or copied;
the files are found again by the manifests beside them.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from records.errors import UserError
from records.files import sha256_file
from records.lineage_faults import find_cut, find_damage, list_inputs
from records.manifest import ALONE, MANIFEST_SUFFIX, RUN, manifest_path, read_manifest

# States of trainings keep second names of finished files; what has a first name is told by it.
SECOND_NAMES = "state"


@dataclass
class Artefact:
    """A file of results and what it was made of.

    Attributes:
        path: of the file; None where no file with this hash is known.
        sha256: that its manifest, or the one that reads it, records.
        manifest: that is beside it; empty where there is none, or one with damage.
        inputs: what it was made of, by role, in the order of the roles' names; the same object
            wherever the same file was read.
        fault: what breaks the chain here, as a sentence; None where nothing does.
    """

    path: Path | None
    sha256: str | None
    manifest: Mapping[str, Any] = field(default_factory=dict)
    inputs: list[tuple[str, "Artefact"]] = field(default_factory=list)
    fault: str | None = None

    @property
    def kind(self) -> str:
        """Return what it is (`weights`, `samples`, ...), as its manifest says."""
        return str(self.manifest.get("kind", "file"))

    @property
    def name(self) -> str:
        """Return what its manifest calls it, else the file's name."""
        return str(self.manifest.get("name") or (self.path.name if self.path else "unknown"))


def trace(
    path: str | Path, root: str | Path, known: Mapping[str, Sequence[Path]] | None = None
) -> Artefact:
    """Walk from a file of results through all that it was made of, to the images.

    Args:
        path: a file with a manifest beside it: metrics, samples, weights, a page, ...
        root: results folder in which the files that it was made of are looked for.
        known: of `find_artefacts` of that folder, where several files are traced.

    Returns:
        The file, with its inputs, and theirs. Broken links are in it, with their `fault`.

    Raises:
        UserError: no such file, nothing is recorded about it, or no such folder.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a file of results, such as a metrics file")
    if not Path(root).is_dir():
        raise UserError(f"{root}: no such folder; name the results folder with --results")
    manifest = read_manifest(path)
    if manifest is None:
        raise UserError(
            f"{path}: nothing is recorded about it ({manifest_path(path).name} is not beside it); "
            "give a file that a job of this project wrote"
        )
    first = _judge(path, _text(manifest.get("sha256")), manifest)
    _follow(first, find_artefacts(root) if known is None else known, {}, ())
    return first


def find_artefacts(root: str | Path) -> dict[str, list[Path]]:
    """Return the files below a folder by the hash that the manifest beside each records.

    A manifest that cannot be read stands for no file.
    """
    found: dict[str, list[Path]] = {}
    for folder, _, names in os.walk(root):
        files = {name for name in names if not name.startswith(".")}
        for name in sorted(files):
            path = Path(folder, name)
            if name.endswith(MANIFEST_SUFFIX) or manifest_path(path).name not in files:
                continue
            try:
                manifest = read_manifest(path) or {}
            except UserError:
                continue
            # x.manifest.json is beside x.spec.json and x.csv too, but speaks of one of them.
            is_its_own = path.suffix in ALONE or manifest.get("num_bytes") == path.stat().st_size
            if is_its_own and isinstance(sha256 := manifest.get("sha256"), str):
                found.setdefault(sha256, []).append(path)
    return found


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _judge(path: Path, sha256: str | None, manifest: Mapping[str, Any]) -> Artefact:
    """Return a file with its manifest, or with what is wrong with that; its inputs come later."""
    if damage := find_damage(path, manifest):
        return Artefact(path, sha256, fault=damage)
    return Artefact(path, sha256, manifest, fault=find_cut(path, manifest))


def _follow(
    artefact: Artefact,
    known: Mapping[str, Sequence[Path]],
    seen: dict[str, Artefact],
    above: tuple[str, ...],
) -> None:
    """Find what an artefact was made of, and what that was made of.

    Args:
        artefact: whose inputs are filled in.
        known: files by hash.
        seen: artefacts that were followed already, by hash.
        above: hashes on the way here: a file that was made of itself would never end.
    """
    for role, sha256 in list_inputs(artefact.manifest):
        if sha256 in above:
            artefact.fault = f"its manifest says that it was made of itself (as {role})"
            continue
        if sha256 not in seen:
            seen[sha256] = _find(role, sha256, known, artefact.path)
            _follow(seen[sha256], known, seen, (*above, sha256))
        artefact.inputs.append((role, seen[sha256]))


def _find(
    role: str, sha256: str, known: Mapping[str, Sequence[Path]], reader: Path | None
) -> Artefact:
    """Find the file of a hash; of several the nearest to its reader."""
    paths = known.get(sha256)
    if not paths:
        fault = f"no {role} with the SHA-256 {sha256[:12]} is in the results folder"
        return Artefact(None, sha256, fault=fault)

    def distance(path: Path) -> tuple[bool, int, int, str]:
        near = set(reader.parents) if reader else set()
        shared = len(near.intersection(path.parents))
        return SECOND_NAMES in path.parts, -shared, len(path.parts), str(path)

    path = min(paths, key=distance)
    return _judge(path, sha256, read_manifest(path) or {})


def list_artefacts(first: Artefact) -> list[Artefact]:
    """Return an artefact and all that it was made of, each once, readers before what they read."""
    found: dict[int, Artefact] = {}

    def add(artefact: Artefact) -> None:
        if id(artefact) not in found:
            for _, one in reversed(artefact.inputs):
                add(one)
            found[id(artefact)] = artefact

    add(first)
    return list(found.values())[::-1]


def verify(first: Artefact) -> int:
    """Hash every file of a chain again, and note in `fault` where its manifest says otherwise.

    Args:
        first: of `trace`.

    Returns:
        How many files were hashed.
    """
    files = [one for one in list_artefacts(first) if one.path is not None]
    for artefact in files:
        path = artefact.path
        assert path is not None
        try:
            found = sha256_file(path)
        except OSError as error:
            artefact.fault = artefact.fault or f"it cannot be read ({error.strerror})"
            continue
        if artefact.sha256 is not None and found != artefact.sha256:
            artefact.fault = artefact.fault or (
                f"its SHA-256 is {found[:12]}, not {artefact.sha256[:12]} as its manifest says: "
                "it was changed after it was made"
            )
    return len(files)


def describe(artefact: Artefact) -> str:
    """Say in a line what a manifest tells: how much, drawn with what seed, where and when."""
    manifest = artefact.manifest
    run, spec = manifest.get(RUN) or {}, manifest.get("spec") or {}
    commit = _text(manifest.get("git_commit")) or ""
    words = [
        f"{count} images" if (count := manifest.get("num_images")) is not None else "",
        f"from {spec['dataset']}" if isinstance(spec.get("dataset"), str) else "",
        f"iteration {step}" if (step := manifest.get("iteration")) is not None else "",
        *(f"seed {seed}" for seed in (manifest.get("seeds") or {}).values()),
        f"from {manifest['url']}" if isinstance(manifest.get("url"), str) else "",
        f"{run['cpu_seconds']:.0f} s CPU" if "cpu_seconds" in run else "",
        str(run.get("ended", ""))[:10],
        f"commit {commit[:7]}{commit[40:]}" if len(commit) >= 40 else "",
    ]
    return ", ".join(word for word in words if word) or "no more is recorded"
