"""Where Inception's frozen graph is and how it gets there, and the folder of published files."""

import os
from pathlib import Path

from records.cache import get_cache_folder
from records.downloads import fetch
from records.errors import UserError
from records.files import link_or_copy, sha256_file

PUBLISHED_BASE = "https://openaipublic.blob.core.windows.net/diffusion/jul-2021/"
INCEPTION_URL = PUBLISHED_BASE + "ref_batches/classify_image_graph_def.pb"
INCEPTION_SHA256 = "009d6814d1bc560d4e7b236e170e9b2d5ca6f4b57bd8037f6db05776204415c6"
INCEPTION_BYTES = 95_673_916
INCEPTION_VARIABLE = "ADM_INCEPTION"


def locate_inception(path: str | Path | None = None) -> tuple[Path, bool]:
    """Tell where the frozen graph is looked for: the path, else $ADM_INCEPTION, else the cache.

    Returns:
        The path, and whether somebody named it (otherwise it is the cache's own).
    """
    named = path or os.environ.get(INCEPTION_VARIABLE)
    if named:
        return Path(named), True
    return get_cache_folder() / INCEPTION_URL.rpartition("/")[2], False


def find_inception(
    path: str | Path | None = None, *, verify: bool = True, progress: bool = True
) -> Path:
    """Find Inception's frozen graph; download it when nobody named one and none is kept.

    Args:
        path: a file that the user named; None: $ADM_INCEPTION, else the cache, else a download
            (95.7 MB, with resume; ADM_MIRROR and ADM_OFFLINE as in records.downloads).
        verify: demand the published hash of a named file too. What the cache holds and what is
            downloaded always has to have it.
        progress: show a progress bar of the download.

    Returns:
        The file's path.

    Raises:
        UserError: no such file, another hash (both are shown), or not to be downloaded.
    """
    found, is_named = locate_inception(path)
    if not is_named:
        return fetch(
            INCEPTION_URL,
            found,
            sha256=INCEPTION_SHA256,
            num_bytes=INCEPTION_BYTES,
            base=PUBLISHED_BASE,
            progress=progress,
        )
    said = "" if path else f" (from {INCEPTION_VARIABLE})"
    if not found.is_file():
        raise UserError(
            f"{found}{said}: no such file; Inception's frozen graph is needed, which is at "
            f"{INCEPTION_URL}; without a path it is downloaded"
        )
    if verify and (sha256 := sha256_file(found)) != INCEPTION_SHA256:
        size = found.stat().st_size
        # Where only the hash differs, the size would say nothing.
        sizes = f" ({size} bytes, not {INCEPTION_BYTES})" if size != INCEPTION_BYTES else ""
        raise UserError(
            f"{found}{said}: its SHA-256 is {sha256}{sizes}; the published graph has "
            f"{INCEPTION_SHA256}; FIDs of other weights compare with no published ones; leave the "
            "path out to have the published graph downloaded, or say --any-weights if other "
            "weights are meant"
        )
    return found


def copy_inception(out: str | Path, *, sha256: str = INCEPTION_SHA256) -> None:
    """Put the frozen graph at a path, under a second name where the file system allows it.

    Args:
        out: where to.
        sha256: what its SHA-256 must be.

    Raises:
        UserError: as find_inception, or another hash; nothing is put there then.
    """
    found = find_inception(verify=False)
    got = sha256_file(found)
    if got != sha256:
        raise UserError(
            f"{found}: its SHA-256 is {got}; {sha256} is asked for; give that file in "
            f"{INCEPTION_VARIABLE}, or ask for this one"
        )
    link_or_copy(found, out)
