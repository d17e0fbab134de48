"""Whether finished work is what a plan asks for: the files beside it say so, whatever their times.

Snakemake's own records stay behind when results are copied, pulled or restored; specs, manifests
and the hashes in them go along.
"""

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from records.errors import UserError
from records.files import read_json, sha256_file, spec_digest
from records.manifest import manifest_path, read_manifest
from specs.run_pages import list_run_pages
from workflow.graph import Graph
from workflow.job import Job, Key

# What a manifest calls an input that the graph knows by another name.
ROLES = {"weights": "network", "data": "samples"}
SMALL_BYTES = 1 << 20  # files that are hashed each time


def find_differences(graph: Graph, key: Key) -> list[str] | None:
    """Compare what lies where a job writes with what the plan asks of the job.

    Large files are not read: their manifests speak for them, unless their size is another one.

    Args:
        graph: of the plan.
        key: of the job.

    Returns:
        What differs, in words; empty if nothing does, None if nothing beside the output tells.
    """
    job, written = graph.describe(key), graph.write(key)
    if callable(planned := job.identity.get("spec")):
        return _compare_page(written["spec"], written["runs"], str(planned()))
    file = written.get("file")
    if file is None or not os.path.exists(file) or not (stamp := _make_stamp(job)):
        return None
    known, found = False, []
    try:
        manifest = read_manifest(file) or {}
        told = {**read_json(file, "result"), **manifest} if file.endswith(".json") else manifest
        beside = {file: told}
        spec_file = written.get("spec")
        if spec_file and Path(spec_file) != manifest_path(file):
            beside[spec_file] = {"spec": read_json(spec_file, "spec")}
        for path, texts in beside.items():
            for name, planned in stamp.items():
                if (there := texts.get(name)) is not None:
                    known = True
                    if not _is_same(there, planned):
                        found.append(f"{path}: {name} {_shorten(there)}, not {_shorten(planned)}")
        metrics = [one for one in job.identity.get("metrics", "").split(",") if one]
        if lacking := set(metrics) - set(told.get("metrics", metrics)):
            found.append(f"{file}: lacks {', '.join(sorted(lacking))}")
        if not _is_as_made(file, manifest):
            found.append(f"{file}: changed since it was made")
        found += _compare_inputs(job, told.get("inputs", {}))
    except (UserError, OSError, ValueError, TypeError, AttributeError) as error:
        return [f"{file}: {error}"]
    return found if known or found else None


def _is_as_made(file: str, manifest: Mapping[str, Any]) -> bool:
    size = os.path.getsize(file)
    if manifest.get("num_bytes", size) != size:
        return False
    return size > SMALL_BYTES or manifest.get("sha256", "") in ("", sha256_file(file))


def _compare_page(spec_file: str, runs_file: str, planned: str) -> list[str] | None:
    """Compare the spec of a page, and look for the pages of models and sample sets beside it.

    Several tables write one of these, so that none can name it as its own output. What else a page
    follows, Snakemake knows.
    """
    try:
        found = spec_digest(read_json(spec_file, "spec"))
    except UserError:
        return None
    if found != planned:
        return [f"{spec_file}: {found[:12]}, not {planned[:12]}"]
    try:
        beside = list_run_pages(read_json(runs_file, "specification of runs"))
    except (UserError, AttributeError, KeyError, TypeError) as error:
        return [f"{runs_file}: {error}"]
    paths = [Path(runs_file).parent / one for one in beside]
    return [f"{path}: no such file" for path in paths if not path.exists()] or None


def is_whole(graph: Graph, key: Key) -> bool:
    """Tell whether a job's work is all there and as planned, with every byte as it was written."""
    written = graph.write(key)
    file = written.get("file")  # pages have several
    if file is None or not all(map(os.path.exists, written.values())):
        return False
    if find_differences(graph, key) != []:
        return False
    manifest = read_manifest(file)
    return manifest is not None and manifest.get("sha256") == sha256_file(file)


def list_saved(graph: Graph, key: Key) -> dict[str, int]:
    """List the files in which a job saves what it has done so far, with the times of their change.

    Returns:
        Times in nanoseconds by paths; none for jobs that begin again when they are stopped.
    """
    identity = graph.describe(key).identity
    folders = [Path(identity[name]) for name in ("state", "shards") if name in identity]
    if key[0] == "evaluate":
        folders = [Path(graph.plan.layout.features(key[1]))]
    elif key[0] == "prepare":
        folders = [unfinished_folder(graph.write(key)["file"])]
    saved = {}
    for path in (one for folder in folders for one in folder.rglob("*")):
        if not path.name.startswith((".", "lock")):  # half-written ones, and locks
            with suppress(OSError):
                saved[str(path)] = path.stat().st_mtime_ns
    return saved


def mend(graph: Graph) -> None:
    """Put right what kills and renamed batches left behind, before a run looks what is missing.

    A job that outlived Snakemake lacks its spec, which the next run deleted. A batch that goes by
    the name of another row since is given where its own job looks for it. What was kept of batches
    and of image sets that are complete (`adm.sampling.shards`, `adm.datasets.prepare`) is removed,
    and notes of parts that are there no more.
    """
    drawn = {}
    for path in Path(graph.plan.layout.made).glob("samples/*/samples.npz"):
        with suppress(UserError):
            drawn[(read_manifest(path) or {}).get("digest")] = path
    for key in graph.jobs:
        job, written = graph.describe(key), graph.write(key)
        lacking = [name for name, path in written.items() if not os.path.exists(path)]
        spec = job.identity.get("spec")
        if lacking == ["spec"] and isinstance(spec, str):
            Path(written["spec"]).write_text(f"{spec}\n")
            if not is_whole(graph, key):
                Path(written["spec"]).unlink()
        if key[0] == "shard" and not lacking and not _has_shards(job, key[2]):
            for path in map(Path, written.values()):
                path.unlink()
            with suppress(OSError):  # others are still there
                path.parent.rmdir()
        if key[0] == "prepare" and not lacking and find_differences(graph, key) == []:
            shutil.rmtree(unfinished_folder(written["file"]), ignore_errors=True)
        if key[0] != "sample":
            continue
        kept = Path(job.identity["shards"])
        if not lacking and find_differences(graph, key) == []:
            shutil.rmtree(kept, ignore_errors=True)
        elif found := drawn.get(graph.plan.drawn(key[1]).digest):
            kept.mkdir(parents=True, exist_ok=True)
            for path in (found, manifest_path(found)):
                with suppress(OSError):  # there already, or no hard links there
                    os.link(path, kept / path.name)


def _has_shards(job: Job, part: str) -> bool:
    """Tell whether the images of a part of a batch are there, or the whole batch is."""
    folder, (start, stop) = Path(job.identity["shards"]), map(int, part.split("-"))
    spans = [path.stem.split("-") for path in folder.glob("[0-9]*-[0-9]*.npz")]
    ends = [(int(first), int(last)) for first, last in spans]
    there = {i for first, last in ends for i in range(max(start, first), min(stop, last))}
    return (folder / "samples.npz").exists() or len(there) == stop - start


def unfinished_folder(dataset: str) -> Path:
    """Return where `adm.datasets.prepare` keeps what is finished of an image set, and its lock."""
    path = Path(dataset)
    return path.with_name(f".{path.name}.partial")


def _make_stamp(job: Job) -> dict[str, Any]:
    """Return what the spec and the manifest beside a job's work say when it is what is planned."""
    identity = job.identity
    stamp = {
        "spec": json.loads(identity["spec"]) if "spec" in identity else None,
        "digest": job.digest or identity.get("digest"),
        "iteration": identity.get("iterations", identity.get("iteration")),
    }
    return {name: value for name, value in stamp.items() if value is not None}


def _is_same(there: Any, planned: Any) -> bool:
    """Compare values; specs but for their names, and 1 is 1.0, which earlier versions wrote."""
    if isinstance(there, Mapping) and isinstance(planned, Mapping):
        return {**there, "name": ""} == {**planned, "name": ""}
    return there == planned


def _shorten(value: Any) -> str:
    return spec_digest(value)[:12] if isinstance(value, Mapping) else str(value)[:12]


def _compare_inputs(job: Job, inputs: Mapping[str, Any]) -> list[str]:
    """List the inputs whose content is no longer what a job's manifest says that it read."""
    found = []
    for name, stored in job.reads.items():
        read = inputs.get(name, inputs.get(ROLES.get(name, "")))
        read = [read] if isinstance(read, str) else read or []
        for one, sha256 in zip(stored, read, strict=False):
            if (there := _find_hash(one.file)) not in (None, sha256):
                found.append(f"{one.file}: SHA-256 {there[:12]}, was {sha256[:12]} when read")
    return found


def _find_hash(path: str) -> str | None:
    """Return the SHA-256 of a file that has a manifest, from there if the size is the file's."""
    try:
        status = os.stat(path)
        manifest = read_manifest(path) or {}
    except (OSError, UserError):
        return None
    sha256 = manifest.get("sha256")
    if sha256 is None or manifest.get("num_bytes", status.st_size) == status.st_size:
        return sha256
    return _hash(path, status.st_mtime_ns)


@lru_cache
def _hash(path: str, mtime_ns: int) -> str:
    return sha256_file(path)
