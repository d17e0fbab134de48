"""The folder of published files on this machine."""

import os
from pathlib import Path


def get_cache_folder() -> Path:
    """Return where published files are kept: $XDG_CACHE_HOME/adm-tables, or ~/.cache/adm-tables.

    As the XDG specification has it, a relative $XDG_CACHE_HOME counts as not set. A file is
    there under the last part of its published path; the folder may not exist yet.
    """
    cache = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(cache) if os.path.isabs(cache) else Path.home() / ".cache"
    return root / "adm-tables"
