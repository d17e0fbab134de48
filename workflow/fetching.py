"""Bring a published file into the results: `python -m workflow.fetching`.

The download is stored under a name that Snakemake does not know, since it deletes the outputs of
failed jobs, and those of jobs that it is about to run again; the output is a second name of it.
"""

import argparse
import difflib
import json
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from records.cache import get_cache_folder
from records.downloads import fetch, mirror_path
from records.errors import UserError, main_guard
from records.events import add_event_options, open_events
from records.files import (
    PUBLISHED,
    atomic_write,
    canonical_json,
    link_or_copy,
    say_how_to_forget,
)
from records.manifest import make_manifest, manifest_path, write_manifest

# A download itself, and what is beside it.
SUFFIXES = ("", ".sha256", ".mirror", ".part", ".part.json")


def place_artefact(
    artefact: dict[str, Any], *, base: str, licence: str, folder: str | Path, out: str | Path
) -> None:
    """Make sure that a published file is at a path; beside it `.sha256` and `.json` (manifest).

    The manifest says where the file was published (`url`), from which mirror it came (`mirror`,
    null for none), under which `licence`, its `sha256` and `num_bytes`, and the day it was
    `retrieved`.

    Args:
        artefact: `path`, and `sha256` and `num_bytes` (None where they are not known).
        base: its address is base + path; ADM_MIRROR may stand for base.
        licence: on what terms it was published, in words.
        folder: where downloads are kept. What the machine's cache of published files holds already
            is taken from there.
        out: where the file is needed.

    Raises:
        UserError: see `records.downloads.fetch`.
    """
    kept, out = Path(folder) / artefact["path"], Path(out)
    url = base + artefact["path"]
    known = {"sha256": artefact["sha256"], "num_bytes": artefact["num_bytes"]}
    cached = get_cache_folder() / kept.name
    record = kept.with_name(kept.name + ".sha256")  # written when the hash was not known
    is_new = not record.exists()
    forget = f"`python -m workflow forget {shlex.quote(str(kept))}`"
    try:
        if not kept.exists() and cached.is_file():
            link_or_copy(fetch(url, cached, base=base, **known), kept)
            mirror_path(kept).unlink(missing_ok=True)
            if mirror_path(cached).exists():
                link_or_copy(mirror_path(cached), mirror_path(kept))
        fetch(url, kept, base=base, **known)
    except UserError as error:
        if not any(one.exists() for one in (kept, record, cached)):
            raise
        raise UserError(
            f"{error}. {say_how_to_forget(kept)}; then run the same command again"
        ) from None
    sha256 = artefact["sha256"] or record.read_text(encoding="utf-8").split()[0]
    if artefact["sha256"] is None and is_new:
        print(
            f"{out}: its hash was not published; {sha256} is recorded and demanded from now on. "
            f"Should it prove the wrong file, {forget} removes it and the hash",
            file=sys.stderr,
        )
    link_or_copy(kept, out)
    came = mirror_path(kept)
    mirror = came.read_text(encoding="utf-8").strip() if came.exists() else None
    retrieved = datetime.fromtimestamp(kept.stat().st_mtime, UTC).date().isoformat()
    manifest = make_manifest(
        kind="published",
        name=artefact["path"],
        source=PUBLISHED,
        url=url,
        mirror=mirror,
        licence=licence,
        sha256=sha256,
        num_bytes=kept.stat().st_size,
        retrieved=retrieved,
    )
    write_manifest(out, manifest)
    with atomic_write(out.with_name(out.name + ".sha256")) as file:
        file.write(f"{sha256}  {out.name}\n".encode())


def forget_artefact(path: str, published: Iterable[str], *, root: str | Path) -> list[Path]:
    """Remove every copy of a published file and its recorded hash, so that it is fetched again.

    Args:
        path: the published path, or that of a copy: in the results or in this machine's cache.
        published: the paths of all published files.
        root: folder of a scale's results; a copy in other results says itself where those are.

    Returns:
        What was removed: the copies in the results and in the cache, what was made of these
        there, halves of downloads, hashes and the manifest.

    Raises:
        UserError: no published file, nothing of it is here, or it cannot be removed.
    """
    name = _find_published(path, published)
    here = Path(str(Path(path)).removesuffix(name))
    here = here.parent if here.name == "downloads" else here
    folder = here if here.name == "released" else Path(root) / "released"
    cached, out = get_cache_folder() / Path(name).name, folder / name
    copies = (cached, folder / "downloads" / name, out)  # each is linked from the one before
    removed = []
    for one in (
        *(Path(f"{copy}{suffix}") for copy in copies for suffix in SUFFIXES),
        cached.with_suffix(".safetensors"),
        manifest_path(cached.with_suffix(".safetensors")),
        manifest_path(out),
    ):
        try:
            one.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UserError(
                f"{one}: cannot be removed ({error.strerror}); change its owner or the mode of its "
                "folder, then run the same command again"
            ) from error
        removed.append(one)
    if not removed:
        raise UserError(
            f"{name}: nothing of it is in {folder} or {cached.parent}; give the path of a copy, "
            "or --scale and --results of the run"
        )
    return removed


def _find_published(path: str, published: Iterable[str]) -> str:
    """Return which published file a path is, or a copy of which."""
    known = list(published)
    whole = [name for name in known if f"/{Path(path).as_posix()}".endswith(f"/{name}")]
    for name in whole or [name for name in known if Path(name).name == Path(path).name]:
        return name
    close = difflib.get_close_matches(path, known, n=1)
    hint = f"did you mean {close[0]}?" if close else "params/released.yaml lists them"
    raise UserError(f"{path}: no published file; {hint}")


def name_file(artefact: Mapping[str, Any]) -> str:
    """Return as JSON which file an artefact is; another address or licence makes nothing stale."""
    return canonical_json({key: artefact[key] for key in ("path", "sha256", "num_bytes")})


def make_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(prog="python -m workflow.fetching", description=__doc__)
    parser.add_argument("--artefact", required=True, help="what to fetch (JSON object)")
    parser.add_argument("--base", required=True, help="beginning of its address")
    parser.add_argument("--licence", required=True, help="on what terms it was published")
    parser.add_argument("--folder", required=True, help="where downloads are kept")
    parser.add_argument("--out", required=True, help="where the file is needed")
    add_event_options(parser)
    return parser


def run(argv: Sequence[str] | None = None) -> int:
    """Fetch one file.

    Raises:
        UserError: anything that the user can fix.
    """
    args = make_parser().parse_args(argv)
    try:
        artefact = json.loads(args.artefact)
    except json.JSONDecodeError as error:
        raise UserError(f"--artefact: not JSON ({error}); the workflow writes it") from None
    about = {"name": artefact["path"], "digest": artefact["sha256"], "spec": None}
    with open_events(args).record(kind="published", job="fetch", **about):
        place_artefact(
            artefact, base=args.base, licence=args.licence, folder=args.folder, out=args.out
        )
    return 0


main = main_guard(run)

if __name__ == "__main__":
    sys.exit(main())
