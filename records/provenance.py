"""What a result was made on: versions, commit, machine."""

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


# What decides numbers: neither documents and tests, nor dvc.lock and the metrics that jobs write.
DECIDING = (
    *("adm", "eval", "records", "reports", "specs", "workflow", "Snakefile", "params"),
    *("constraints.txt", "pyproject.toml"),
)


@functools.cache
def git_commit() -> str:
    """Return the commit of this project's checkout, `unknown` where there is none.

    It ends in `-dirty` when a tracked file that decides numbers differs from the commit.
    """
    return describe_checkout(Path(__file__).resolve().parent.parent)


def describe_checkout(root: Path) -> str:
    """Return the commit of a checkout, with `-dirty` as in `git_commit`.

    Args:
        root: the checkout's top folder.
    """
    if not (root / ".git").exists():
        return "unknown"
    head = _run_git(root, "rev-parse", "--verify", "HEAD")
    if head is None or head.returncode != 0:
        return "unknown"
    commit = head.stdout.strip()
    differs = _run_git(root, "diff", "--quiet", "--no-ext-diff", "HEAD", "--", *DECIDING)
    return commit if differs is not None and differs.returncode == 0 else f"{commit}-dirty"


def _run_git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str] | None:
    """Run git without its optional locks, since many jobs ask at once; None where it is missing."""
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None


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
