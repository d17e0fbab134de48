"""Digests of source files, so that cheap stages are done again when their code changes."""

from pathlib import Path

from records.files import digest, sha256_file

ROOT = Path(__file__).resolve().parent.parent


def digest_sources(*folders: str) -> str:
    """Return one digest of all modules and templates in some folders of the project."""
    files = sorted(
        path
        for folder in folders
        for pattern in ("*.py", "*.j2", "*.css")
        for path in (ROOT / folder).rglob(pattern)
    )
    return digest([[str(path.relative_to(ROOT)), sha256_file(path)] for path in files])
