"""On what a result was made: versions, commit, machine."""

import functools
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

# The last two are this project's own: from a wheel, where there is no commit, they say what ran.
PACKAGES = (
    *("torch", "numpy", "scipy", "pillow", "scikit-learn", "safetensors", "snakemake"),
    *("adm-tables", "adm-eval"),
)


@functools.cache
def git_commit() -> str:
    """Return the commit of this project's checkout, with `-dirty` when files differ from it."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return "unknown"
    command = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or "unknown"


def environment() -> dict[str, Any]:
    """Return versions of the packages that decide numbers, the commit and the kind of machine."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "versions": versions,
        "git_commit": git_commit(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
    }
