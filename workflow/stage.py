"""What a table's stage of dvc.yaml does around Snakemake, given what `workflow.resolve` wrote."""

import html
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, model_validator

from records.errors import UserError
from records.files import atomic_write, write_json
from specs.datasets import Name
from specs.page import PageSpec
from specs.results import MetricsFile, read_metrics, read_result
from specs.strict import Strict
from workflow.resolve import check_places
from workflow.run_owner import await_owners

CLAIM = "claim"
DIGITS = 7  # of numbers in git; runs on two equal machines differed by up to 1.2e-12
VERDICTS = {"supported": 1, "contradicted": -1}
FilePath = Annotated[str, Field(min_length=1)]


class TablePlan(Strict, extra="ignore"):
    """What a table's stage reads of what its table depends on (`workflow.resolve`)."""

    format: Literal[1]
    name: Name
    root: FilePath
    reason: str | None
    pages: Annotated[list[FilePath], Field(min_length=1)]
    numbers: FilePath
    page: PageSpec | None
    cells: dict[str, FilePath]
    metrics: dict[FilePath, str]

    @model_validator(mode="after")
    def _check(self) -> "TablePlan":
        """Demand what the numbers of each cell need: a page that names them, and a digest."""
        unknown = [cell for cell, file in self.cells.items() if file not in self.metrics]
        if unknown:
            raise ValueError(f"cells: {unknown[0]}: its file is not among those of metrics")
        if self.cells and self.page is None:
            raise ValueError("page: null, although there are cells")
        return self


class Comparison(Strict, extra="ignore"):
    """What a comparison of a claim found here, and what it is with the paper's own numbers."""

    effect: float | None = None
    published_effect: float | None = None


class Claim(Strict, extra="ignore"):
    """A claim of an evaluated table, whose comparison number `deciding` decides it."""

    id: Name
    verdict: str
    deciding: int
    comparisons: list[Comparison]

    @model_validator(mode="after")
    def _check(self) -> "Claim":
        if self.comparisons and not 0 <= self.deciding < len(self.comparisons):
            raise ValueError(
                f"deciding: got {self.deciding}; 0 to {len(self.comparisons) - 1} is needed"
            )
        return self


class TableClaims(Strict, extra="ignore"):
    """The claims of an evaluated table; the notice of a table that the scale lacks has none."""

    claims: list[Claim] = Field(default=[])


Kind = TypeVar("Kind", bound=Strict)


def reproduce_table(path: str | Path, command: Sequence[str]) -> int:
    """Become the Snakemake that makes a table; write the page here where there is no number.

    It waits for a run in this folder, such as one that outlived a killed `dvc repro`. The
    process is replaced, so that progress, exit code and signals are Snakemake's own. It takes
    all cores unless a profile says where jobs run: on a cluster `--cores` would limit all jobs
    together to the cores of the machine that starts them.

    Args:
        path: what the table depends on (`python -m workflow resolve`).
        command: `snakemake` and its arguments.

    Returns:
        The exit code, where there was nothing for Snakemake to do.

    Raises:
        UserError: a broken plan, another command, or a folder that cannot be written to.
    """
    plan = load_table_plan(path)
    command = make_command(command, os.environ)
    check_places([*plan.pages, plan.numbers])
    if plan.reason is not None:
        return write_empty_page(plan, plan.reason)
    await_owners()
    sys.stdout.flush()
    return os.execv(command[0], command)


def make_command(command: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Return the command of a stage for this Python and for where jobs run.

    Args:
        command: `snakemake` and its arguments.
        environment: variables; SNAKEMAKE_PROFILE names a profile, `none` none.

    Raises:
        UserError: another command.
    """
    if list(command[:1]) != ["snakemake"]:
        raise UserError(
            f"reproduce: got the command {' '.join(command) or 'nothing'}; needed: snakemake and "
            "its arguments, as in dvc.yaml"
        )
    has_profile = environment.get("SNAKEMAKE_PROFILE", "none") not in ("", "none")
    cores = [] if has_profile else ["--cores", "all"]
    return [sys.executable, "-m", "snakemake", *cores, *command[1:]]


def load_table_plan(path: str | Path) -> TablePlan:
    """Read what a table depends on.

    Raises:
        UserError: missing, not JSON, of another format, or something in it is of another type.
    """
    again = "write it with `dvc repro --force plan`"
    return read_result(TablePlan, path, "table's plan", again=again)


def write_empty_page(plan: TablePlan, reason: str) -> int:
    """Write the page of a table of which the source has no row: why each of them is absent.

    Args:
        plan: what the table depends on.
        reason: why there is no number.

    Returns:
        The exit code of the command that renders it.
    """
    print(f"no number to compute: {reason}")
    folder = Path(plan.pages[0]).parent
    folder.mkdir(parents=True, exist_ok=True)
    # An output of Snakemake's: without it Snakemake makes the page again once it has rows.
    (folder / f"{plan.name}.spec.json").unlink(missing_ok=True)
    (folder / f"{plan.name}.runs.json").unlink(missing_ok=True)
    if plan.page is None:
        _write_notice(plan, reason)
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        spec = Path(temporary) / "spec.json"
        write_json(spec, plan.page.content())
        command = [sys.executable, "-m", "reports", "table", "--spec", str(spec)]
        return subprocess.run([*command, "--out-dir", str(folder)], check=False).returncode


def _write_notice(plan: TablePlan, reason: str) -> None:
    """Write one sentence in place of the page of a table that the scale does not have."""
    for path in plan.pages:
        text = reason
        if path.endswith(".html"):
            text = f"<!DOCTYPE html>\n<title>{plan.name}</title>\n<p>{html.escape(reason)}</p>"
        elif path.endswith(".json"):
            text = json.dumps({"name": plan.name, "reason": reason})
        with atomic_write(path) as file:
            file.write(f"{text}\n".encode())


def collect_numbers(path: str | Path) -> str:
    """Write the numbers of a table's page as one flat JSON object, `t3_cond.fid` and so on.

    Args:
        path: what the table depends on.

    Returns:
        The file.

    Raises:
        UserError: a metrics file is missing, broken, or was made with other settings than the
            plan's. Snakemake makes such a file again unless it lost its record of it (in
            .snakemake), as it does where results were copied from elsewhere.
    """
    plan = load_table_plan(path)
    files = {file: read_metrics(file) for file in plan.metrics}
    for file, digest in plan.metrics.items():
        found = files[file].digest
        if found != digest:
            raise UserError(
                f"{file}: made with other settings than those of {path} (digest {str(found)[:12]}, "
                f"needed {digest[:12]}), and Snakemake has no record of how; move the results away "
                f"(mv {plan.root} {plan.root}.old) and run the same command again"
            )
    names = plan.page.table.metrics if plan.page else ()
    numbers = {
        f"{cell}.{name}": _round(_find_value(files[file], file, name))
        for cell, file in plan.cells.items()
        for name in names
    }
    write_json(plan.numbers, numbers | _collect_claims(plan))
    return plan.numbers


def _round(value: float) -> float:
    """Round to digits that do not differ when everything is made again on an equal machine."""
    return float(f"{value:.{DIGITS}g}")


def _find_value(content: MetricsFile, path: str, metric: str) -> float:
    """Return a number of a metrics file, which must have it."""
    if metric not in content.metrics:
        raise UserError(
            f"{path}: metrics: has {', '.join(content.metrics) or 'none'}; {metric} is needed; "
            "delete it and run the evaluation again"
        )
    return content.metrics[metric].value


def _collect_claims(plan: TablePlan) -> dict[str, float]:
    """Return effect and verdict (1 supported, -1 contradicted, 0 open) of each tested claim."""
    path = next((one for one in plan.pages if one.endswith(".json")), "")
    found = {}
    for name, verdict, comparison in read_claims(path):
        if comparison["effect"] is not None:
            found[f"{name}.effect"] = _round(comparison["effect"])
            found[f"{name}.verdict"] = VERDICTS.get(verdict, 0)
    return found


def read_claims(path: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield claim.<id>, verdict and deciding comparison of each claim that has one.

    Args:
        path: an evaluated table (JSON); one that is not there has no claims.

    Raises:
        UserError: it cannot be read, or a claim in it is damaged.
    """
    if not os.path.exists(path):
        return
    again = "delete it and run the workflow again"
    table = read_result(TableClaims, path, "table with its claims", again=again)
    for claim in table.claims:
        if claim.comparisons:
            comparison = claim.comparisons[claim.deciding].model_dump()
            yield f"{CLAIM}.{claim.id}", claim.verdict, comparison
