"""The published files behind a table: where each is from, its hash, and on what terms."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from records.errors import UserError
from records.files import read_json


def make_artefacts(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what is known of each published file that a table uses.

    Args:
        spec: checked specification; `artefacts` names the manifests, which may not be there yet.

    Returns:
        Address, licence, hash and size (None before the file was fetched), the day it was
        retrieved, and what it is used for.

    Raises:
        UserError: a manifest is broken.
    """
    described = []
    for artefact in spec["artefacts"]:
        path = Path(artefact["manifest"])
        manifest = read_json(path, "manifest of a published file") if path.exists() else {}
        if not isinstance(manifest, dict):
            raise UserError(f"{path}: no manifest of a published file; delete it and fetch again")
        described.append(
            {
                "url": artefact["url"],
                "licence": manifest.get("licence", artefact["licence"]),
                "sha256": manifest.get("sha256", artefact["sha256"]),
                "num_bytes": manifest.get("num_bytes"),
                "retrieved": manifest.get("retrieved"),
                "used_for": artefact["used_for"],
            }
        )
    return described
