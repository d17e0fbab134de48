"""Bring a published file into the results: `python -m workflow.fetching`.

The download lies under a name that Snakemake does not know, since it deletes the outputs of failed
jobs, and those of jobs that it is about to run again; the output is a second name of the file.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from records.cache import get_cache_folder
from records.downloads import fetch
from records.errors import UserError, main_guard
from records.files import atomic_write, canonical_json, link_or_copy, write_json

FORMAT = 1


def place_artefact(
    artefact: dict[str, Any], *, base: str, licence: str, folder: str | Path, out: str | Path
) -> None:
    """Make sure that a published file lies at a path; beside it `.sha256` and `.json` (manifest).

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
    if not kept.exists() and cached.is_file():
        link_or_copy(fetch(url, cached, base=base, **known), kept)
    fetch(url, kept, base=base, **known)
    record = kept.with_name(kept.name + ".sha256")  # written when the hash was not known
    sha256 = artefact["sha256"] or record.read_text(encoding="utf-8").split()[0]
    link_or_copy(kept, out)
    retrieved = datetime.fromtimestamp(kept.stat().st_mtime, UTC).date().isoformat()
    write_json(
        out.with_suffix(".json"),
        {
            "format": FORMAT,
            "source": "published by the authors",
            "url": url,
            "licence": licence,
            "sha256": sha256,
            "num_bytes": kept.stat().st_size,
            "retrieved": retrieved,
        },
    )
    with atomic_write(out.with_name(out.name + ".sha256")) as file:
        file.write(f"{sha256}  {out.name}\n".encode())


def name_file(artefact: Mapping[str, Any]) -> str:
    """Return as JSON which file an artefact is; another address or licence makes nothing stale."""
    return canonical_json({key: artefact[key] for key in ("path", "sha256", "num_bytes")})


def make_terms(artefacts: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the options that say where files are from and on what terms, for a shell command.

    They are equal for all files, since Snakemake puts a command together when its job runs, long
    after a loop over rules has ended.

    Args:
        artefacts: published files by their path (`workflow.availability.list_artefacts`); those
            with one ending have one licence.
    """
    licences = {Path(path).suffix: one["licence"] for path, one in artefacts.items()}
    base = next(iter(artefacts.values()))["base"]
    terms = shlex.join(["--base", base, "--licences", canonical_json(licences)])
    return terms.replace("{", "{{").replace("}", "}}")  # Snakemake formats the command


def run(argv: Sequence[str] | None = None) -> int:
    """Fetch one file.

    Raises:
        UserError: anything that the user can mend.
    """
    parser = argparse.ArgumentParser(prog="python -m workflow.fetching", description=__doc__)
    parser.add_argument("--artefact", required=True, help="what to fetch (JSON object)")
    parser.add_argument("--base", required=True, help="beginning of its address")
    parser.add_argument("--licences", required=True, help="its terms by its ending (JSON object)")
    parser.add_argument("--folder", required=True, help="where downloads are kept")
    parser.add_argument("--out", required=True, help="where the file is needed")
    args = parser.parse_args(argv)
    artefact = _parse("--artefact", args.artefact)
    licence = _parse("--licences", args.licences)[Path(artefact["path"]).suffix]
    place_artefact(artefact, base=args.base, licence=licence, folder=args.folder, out=args.out)
    return 0


def _parse(option: str, text: str) -> Any:
    """Parse an option that holds JSON."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{option}: not JSON ({error}); the workflow writes it") from None


main = main_guard(run)

if __name__ == "__main__":
    sys.exit(main())
