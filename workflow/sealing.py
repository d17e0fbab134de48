"""Finished results under DVC, to push and pull: data, weights, samples, numbers, pages.

dvc.yaml keeps the pages of its tables. All else that is finished is tracked by .dvc files in
`artefacts/`, since DVC wants those outside of folders that git ignores. The state of trainings is
never tracked: it changes, and everything finished in it has a first name elsewhere.
"""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from records.errors import UserError
from records.files import atomic_write
from specs.strict import read_yaml
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
        UserError: nothing is finished, a run is at work, something sealed before is not here, or
            DVC refuses; then the .dvc files are as they were.
    """
    if alive := [one for one in find_owners(Path(".snakemake/locks")) if one.may_live]:
        raise UserError(
            f"{layout.root}: {alive[0].words} is making results here; wait until it has ended"
        )
    sealed = {
        f"{FOLDER}/{layout.scale}/{name}.dvc": (folder, outs)
        for name, folder, outs in _list_sealed(layout)
    }
    for path, (folder, outs) in sealed.items():
        _check_whole(path, folder, outs)
    written = [path for path, (_, outs) in sealed.items() if outs]
    if not written:
        raise UserError(
            f"{layout.root}: no results yet; run some jobs first, such as `make table3`"
        )
    with _restored(written):
        for path in written:
            folder, outs = sealed[path]
            content: dict[str, Any] = {"wdir": os.path.relpath(folder, Path(path).parent)}
            content["outs"] = [{"path": one, "hash": "md5"} for one in outs]
            with atomic_write(path) as file:
                file.write(yaml.safe_dump(content, sort_keys=False).encode())
        _run_dvc("commit", "--force", *written)
    return written


def _check_whole(path: str, folder: str, outs: Sequence[str]) -> None:
    """Demand that all that a .dvc file lists is here, or a pull would no longer bring it.

    Raises:
        UserError: it lists something that was never pulled, or of which files are gone.
    """
    if not os.path.exists(path):
        return
    # Snakemake itself takes what a page is made of away where the source has no row of a table.
    listed = [
        one
        for one in read_yaml(path).get("outs") or []
        if not one["path"].endswith((".spec.json", ".runs.json"))
    ]
    gone = [one["path"] for one in listed if one["path"] not in outs]
    if gone:
        whole = len(gone) == len(listed)
        targets = path if whole else " ".join(str(Path(folder, one)) for one in gone)
        raise UserError(
            f"{path}: lists {', '.join(gone)}, not found in {folder}; bring back what was sealed "
            f"with `dvc pull {targets}`, or delete {path} if it was removed on purpose"
        )
    for one in listed:
        place = Path(folder, one["path"])
        found = sum(file.is_file() for file in place.rglob("*"))
        if found < one.get("nfiles", 0):
            # DVC does not pull into a folder with files of its own: it would remove them.
            raise UserError(
                f"{path}: lists {one['nfiles']} files in {place}, where {found} are now; type `mv "
                f"{place} {place}.new && dvc pull {place} && cp -rn {place}.new/. {place}`, or "
                f"delete {path} if the others were removed on purpose"
            )


@contextmanager
def _restored(paths: Sequence[str]) -> Iterator[None]:
    """Give files back their content, or their absence, if the block fails."""
    before = {path: Path(path).read_bytes() for path in paths if os.path.exists(path)}
    try:
        yield
    except BaseException:
        for path in paths:
            if path in before:
                with atomic_write(path) as file:
                    file.write(before[path])
            else:
                Path(path).unlink(missing_ok=True)
        raise


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


def list_uncommitted(paths: Iterable[str]) -> list[str]:
    """Return which files and folders are there and not as in git's last commit."""
    return [path for path in paths if os.path.exists(path) and _is_uncommitted(path)]


def _is_uncommitted(path: str) -> bool:
    command = ["git", "status", "--porcelain", "--", path]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        return True
    return bool(done.returncode or done.stdout)


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
    said = (done.stderr.strip() or done.stdout.strip() or str(done.returncode)).splitlines()
    errors = [line for line in said if line.startswith("ERROR")]  # there may be warnings before
    raise UserError(f"DVC refused ({(errors or said)[0]}); see README, Versions")
