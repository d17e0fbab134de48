"""What a table's stage of dvc.yaml does around Snakemake, given what `workflow.resolve` wrote."""

import html
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from records.errors import UserError
from records.files import atomic_write, read_json, write_json
from specs.page import PageSpec
from specs.results import read_metrics
from specs.strict import validated
from workflow.resolve import FORMAT, check_places
from workflow.run_owner import await_owners

CLAIM = "claim"
VERDICTS = {"supported": 1, "contradicted": -1}


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
    check_places([*plan["pages"], plan["numbers"]])
    if plan["reason"] is not None:
        return write_empty_page(plan)
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


def load_table_plan(path: str | Path) -> dict[str, Any]:
    """Read what a table depends on.

    Raises:
        UserError: missing, not JSON, or of another format.
    """
    plan = read_json(path, "table's plan")
    if not isinstance(plan, dict) or plan.get("format") != FORMAT:
        raise UserError(
            f"{path}: not a table's plan of format {FORMAT}; write it with `dvc repro --force plan`"
        )
    return plan


def write_empty_page(plan: Mapping[str, Any]) -> int:
    """Write the page of a table of which the source has no row: why each of them is absent.

    Args:
        plan: what the table depends on.

    Returns:
        The exit code of the command that renders it.
    """
    print(f"no number to compute: {plan['reason']}")
    folder = Path(plan["pages"][0]).parent
    folder.mkdir(parents=True, exist_ok=True)
    # An output of Snakemake's: without it Snakemake makes the page again once it has rows.
    (folder / f"{plan['name']}.spec.json").unlink(missing_ok=True)
    (folder / f"{plan['name']}.runs.json").unlink(missing_ok=True)
    if plan["page"] is None:
        _write_notice(plan)
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        spec = Path(temporary) / "spec.json"
        write_json(spec, plan["page"])
        command = [sys.executable, "-m", "reports", "table", "--spec", str(spec)]
        return subprocess.run([*command, "--out-dir", str(folder)], check=False).returncode


def _write_notice(plan: Mapping[str, Any]) -> None:
    """Write one sentence in place of the page of a table that the scale does not have."""
    name, reason = plan["name"], plan["reason"]
    for path in plan["pages"]:
        text = reason
        if path.endswith(".html"):
            text = f"<!DOCTYPE html>\n<title>{name}</title>\n<p>{html.escape(reason)}</p>"
        elif path.endswith(".json"):
            text = json.dumps({"name": name, "reason": reason})
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
    files = {file: read_metrics(file) for file in plan["metrics"]}
    for file, digest in plan["metrics"].items():
        found = files[file].digest
        if found != digest:
            raise UserError(
                f"{file}: made with other settings than those of {path} (digest {str(found)[:12]}, "
                f"needed {digest[:12]}), and Snakemake has no record of how; move the results away "
                f"(mv {plan['root']} {plan['root']}.old) and run the same command again"
            )
    page = plan["page"] and validated(PageSpec, plan["page"], f"{path}: page")
    numbers = {
        f"{cell}.{name}": files[file].metrics[name].value
        for cell, file in plan["cells"].items()
        for name in page.table.metrics
    }
    write_json(plan["numbers"], numbers | _collect_claims(plan))
    return str(plan["numbers"])


def _collect_claims(plan: Mapping[str, Any]) -> dict[str, float]:
    """Return effect and verdict (1 supported, -1 contradicted, 0 open) of each tested claim."""
    path = next((one for one in plan["pages"] if one.endswith(".json")), "")
    found = {}
    for name, verdict, comparison in read_claims(path):
        if comparison.get("effect") is not None:
            found[f"{name}.effect"] = comparison["effect"]
            found[f"{name}.verdict"] = VERDICTS.get(verdict, 0)
    return found


def read_claims(path: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield claim.<id>, verdict and deciding comparison of each claim that has one.

    Args:
        path: an evaluated table (JSON); one that is not there has no claims.
    """
    content = read_json(path, "evaluated table") if os.path.exists(path) else {}
    for claim in content.get("claims", []):
        if claim["comparisons"]:
            comparison = claim["comparisons"][claim["deciding"]]
            yield f"{CLAIM}.{claim['id']}", claim["verdict"], comparison
