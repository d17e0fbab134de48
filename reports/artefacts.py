"""The published files behind a table: where each is from, its hash, and on what terms."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from specs.page import Artefact
from specs.results import PublishedManifest, read_result


def make_artefacts(artefacts: Iterable[Artefact]) -> list[dict[str, Any]]:
    """Return what is known of each published file that a table uses.

    Args:
        artefacts: the files; their manifests may not be there yet.

    Returns:
        Address, licence, hash and size (None before the file was fetched), the day it was
        retrieved, and what it is used for.

    Raises:
        UserError: a manifest is broken.
    """
    described = []
    for artefact in artefacts:
        known: dict[str, Any] = {"num_bytes": None, "retrieved": None}
        if Path(artefact.manifest).exists():
            what, again = "manifest of a published file", "delete it and fetch again"
            known = read_result(PublishedManifest, artefact.manifest, what, again=again).content()
        described.append({**artefact.model_dump(exclude={"manifest"}), **known})
    return described
