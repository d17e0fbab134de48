"""Finished results under DVC, to push and pull: data, weights, samples, numbers, pages.

dvc.yaml keeps the pages of its tables. All else that is finished is tracked by .dvc files in
`artefacts/`, since DVC wants those outside of folders that git ignores. The state of trainings is
never tracked: it changes, and everything finished in it has a first name elsewhere.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from records.errors import UserError
from records.files import atomic_write
from workflow.layout import PAGE_ENDINGS, Layout
from workflow.resolve import STAGES
from workflow.run_owner import find_owners

FOLDER = "artefacts"
# Of a scale, whatever the source.
SHARED = ("data", "logs", "metrics", "network", "references", "released")
MADE = (
    "between",
    "denoising",
    "events",
    "metrics",
    "models",
    "nearest",
    "samples",
)  # of one source


def seal(layout: Layout) -> list[str]:
    """Hand finished results to DVC, which keeps them in its cache by hard links.

    Args:
        layout: of the scale and source.

    Returns:
        The .dvc files, which are to be committed to git.

    Raises:
        UserError: nothing is finished, a run is at work, or DVC refuses.
    """
    if alive := [one for one in find_owners(Path(".snakemake/locks")) if one.may_live]:
        raise UserError(
            f"{layout.root}: {alive[0].words} is making results here; wait until it has ended"
        )
    written = []
    for name, folder, outs in _list_sealed(layout):
        if not outs:
            continue
        path = f"{FOLDER}/{layout.scale}/{name}.dvc"
        content: dict[str, Any] = {"wdir": os.path.relpath(folder, Path(path).parent)}
        content["outs"] = [{"path": one, "hash": "md5"} for one in outs]
        with atomic_write(path) as file:
            file.write(yaml.safe_dump(content, sort_keys=False).encode())
        written.append(path)
    if not written:
        raise UserError(
            f"{layout.root}: no results yet; run some jobs first, such as `make table3`"
        )
    _run_dvc("commit", "--force", *written)
    return written


def _list_sealed(layout: Layout) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the name of a .dvc file, the folder it speaks of, and what there is tracked."""
    for name, folder, outs in (
        ("shared", layout.root, SHARED),
        (layout.source, layout.made, MADE),
    ):
        yield name, folder, [one for one in outs if _has_files(Path(folder, one))]
    report = Path(layout.page("index")).parent
    of_stages = {layout.page(name, ending) for name in STAGES for ending in PAGE_ENDINGS}
    of_stages |= {layout.plots(), *map(layout.plots, STAGES)}
    pages = {path for one in ("*", "plots/*") for path in report.glob(one)}
    pages = {path for path in pages if not path.name.startswith(".") and str(path) not in of_stages}
    yield "report", str(report), sorted(str(path.relative_to(report)) for path in pages)


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _run_dvc(*arguments: str) -> None:
    """Run a command of DVC.

    Raises:
        UserError: it is not installed, or refuses.
    """
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    if "No module named dvc" in done.stderr:
        raise UserError("DVC is not installed; install it with `make env`")
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    raise UserError(f"DVC refused ({said[0] if said else done.returncode}); see README, Versions")
