"""The published files behind a table: where each is from, its hash, and on what terms."""

import os
from collections.abc import Iterable
from typing import Any

from reports.files import attempt
from specs.page import Artefact
from specs.results import PublishedManifest, read_result


def make_artefacts(artefacts: Iterable[Artefact], problems: list[str]) -> list[dict[str, Any]]:
    """Return what is known of each published file that a table uses.

    Args:
        artefacts: the files; their manifests may not be there yet.
        problems: takes a sentence for each broken manifest.

    Returns:
        Address, licence, hash and size (None before the file was fetched), the day it was
        retrieved, and what it is used for.
    """
    described = []
    for artefact in artefacts:
        manifest = attempt(problems, lambda path=artefact.manifest: _read_manifest(path))
        known = manifest.content() if manifest else {"num_bytes": None, "retrieved": None}
        described.append({**artefact.model_dump(exclude={"manifest"}), **known})
    return described


def _read_manifest(path: str) -> PublishedManifest | None:
    """Return what is known of a published file, None before it was fetched."""
    what, again = "manifest of a published file", "delete it and fetch again"
    known = os.path.exists(path)
    return read_result(PublishedManifest, path, what, again=again) if known else None
