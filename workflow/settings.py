"""Read what `--config` and profiles say: which scale, which source, where results go."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from records.errors import UserError
from records.files import check_folder, demand_folder
from records.locks import check_locks
from records.options import DEVICE, DEVICES
from specs.overrides import load_overrides
from specs.strict import validated
from workflow.forecast import find_cuts, find_segments
from workflow.layout import find_shipped
from workflow.machine import Machine
from workflow.plan import NONE, Plan, make_plan

DEFAULTS = {
    "scale": "digits",
    "source": "retrain",
    "results": "results",
    "tables": "params/tables.yaml",
    "released": "params/released.yaml",
    "figures": "params/figures.yaml",
    "overrides": NONE,
}
# Snakemake takes braces for wildcards, and a command a leading dash for an option.
PATH = re.compile(r"(?!-)[^{}\x00-\x1f\x7f]+")
DEVICE_KEY = "device"  # apart: it is in no spec, and no command that writes one takes it


def load_plan(config: Mapping[str, Any]) -> Plan:
    """Make the plan that a configuration asks for.

    Args:
        config: `scale` (a name in params/scales/ or a path), `source`, `results`, `tables`,
            `released`, `figures`; a missing one takes its default. The shipped figures are of the
            shipped tables: with others there are none (`figures=none`). `overrides` is a file like
            params/run.yaml: what it changes of the tables, by default nothing (`none`). `device`
            is where jobs compute; a missing one is the scale's. The keys of `Machine` are apart
            too.

    Raises:
        UserError: an unknown key or scale, or anything wrong in the files.
    """
    keys = [*DEFAULTS, DEVICE_KEY, *Machine.model_fields]
    unknown = sorted(set(config) - set(keys))
    if unknown:
        raise UserError(
            f"--config: unknown key {', '.join(unknown)}; the keys are {', '.join(keys)}"
        )
    told = {key: value for key, value in config.items() if key in Machine.model_fields}
    machine = validated(Machine, told, "--config")
    words = {key: _read_setting(key, value) for key, value in config.items() if key not in told}
    settings = {**DEFAULTS, **words}
    settings["results"] = str(Path(settings["results"]))  # Snakemake warns of ./
    demand_folder(settings["results"])
    if settings["tables"] != DEFAULTS["tables"] and settings["figures"] == DEFAULTS["figures"]:
        settings["figures"] = NONE
    if settings["overrides"] != NONE and not load_overrides(find_shipped(settings["overrides"])):
        settings["overrides"] = NONE  # pages remember what they were made of
    plan = make_plan(**settings, machine=machine)
    plan.segments.update(find_segments(plan))
    plan.cuts.update(find_cuts(plan))
    return plan


def _read_setting(key: str, value: Any) -> str:
    """Return a value as text; Snakemake reads those of `--config` as YAML.

    Raises:
        UserError: empty, not one word, a number, not the name of a device, or not a path that jobs
            can have.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise UserError(
            f"--config {key}: Snakemake takes the word for the number {value}, and would take 007 "
            f"for 7; write {key}=./WORD, which is the same path"
        )
    if not isinstance(value, str) or value == "":
        got = "nothing" if value in (None, "") else repr(value)
        raise UserError(
            f"--config {key}: got {got}; write {key}=WORD, in '\"quotes\"' where YAML "
            "takes the word for something else"
        )
    if key == DEVICE_KEY and not DEVICE.fullmatch(value):
        raise UserError(f"--config device: got {value!r}; needed: {DEVICES}")
    if not PATH.fullmatch(value):
        raise UserError(
            f"--config {key}: got {value!r}; needed: a name without braces, line breaks or a dash "
            "at its beginning"
        )
    return value


def check_run_folders(plan: Plan) -> None:
    """Demand that a run can write its results, and Snakemake's solver its problem.

    Raises:
        UserError: one of the folders cannot be written to, its disk is full, or it has no locks.
    """
    for folder, name, choose in (
        (plan.layout.root, "results folder", "--config results=FOLDER"),
        (os.environ.get("TMPDIR", "/tmp"), "folder of temporary files", "TMPDIR=FOLDER"),
    ):
        try:
            check_folder(folder)
        except UserError as error:
            raise UserError(f"{name} {error}, or choose another with {choose}") from None
    check_locks(plan.layout.root)


def describe_run(plan: Plan) -> str:
    """Return the line that every run says first: scale, source, and where results are."""
    return f"scale {plan.scale.name}, source {plan.source}, results in {plan.layout.root}"
