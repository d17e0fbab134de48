"""Read and check the specification of one table before anything is computed from it."""

import re
from pathlib import Path
from typing import Any

from records.errors import UserError
from records.files import read_json
from records.metrics import METRICS
from reports.agreement import RULES
from reports.evaluator import TOLERANCES

FORMAT = 1
LAYOUTS = ("plain", "deltas", "by_task")
RELATIONS = ("greater", "less", "nearer")
KINDS = ("model", "baseline")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

TEXT, NUMBER, WHOLE = str, (int, float), int
TEXTS = [TEXT]  # a list of these
SPEC_KEYS = {
    "format": WHOLE, "scale": TEXT, "source": TEXT, "root": TEXT, "table": dict,
    "scale_notes": TEXTS, "rows": list, "ceilings": dict, "claims": list, "seed_groups": list,
    "classifiers": list, "agreement": (dict, type(None)), "artefacts": list,
    "known_evaluation": (dict, type(None)),
}  # fmt: skip
AGREEMENT_KEYS = {"reference_images": WHOLE}
SEED_GROUP_KEYS = {"model": TEXT, "metrics": TEXTS}
KNOWN_KEYS = {"row": TEXT, "values": dict}
ARTEFACT_KEYS = {
    "url": TEXT, "licence": TEXT, "sha256": (str, type(None)), "used_for": TEXTS, "manifest": TEXT,
}  # fmt: skip
TABLE_KEYS = {
    "name": TEXT, "neurips": (int, type(None)), "arxiv_v4": WHOLE, "alias": TEXT, "title": TEXT,
    "about": TEXT, "layout": TEXT, "settings": TEXTS, "metrics": TEXTS, "marks": TEXTS,
}  # fmt: skip
ROW_KEYS = {
    "id": TEXT, "label": TEXT, "task": TEXT, "task_words": TEXT, "kind": TEXT, "settings": dict,
    "published": dict, "notes": TEXTS, "assumed": TEXTS, "reason": (str, type(None)), "cells": dict,
    "recipe_words": (dict, type(None)),
}  # fmt: skip
CELL_KEYS = {
    "metrics": (str, type(None)), "samples": (str, type(None)), "shared_with": (str, type(None)),
    "seeds": TEXTS,
}  # fmt: skip
CLAIM_KEYS = {
    "id": TEXT, "text": TEXT, "where": TEXT, "sources": (list, type(None)), "comparisons": list,
}  # fmt: skip
COMPARISON_KEYS = {
    "metric": TEXT, "left": dict, "relation": TEXT, "right": dict, "factor": NUMBER,
    "margin": NUMBER, "towards": (dict, type(None)), "trained_models_differ": bool,
}  # fmt: skip
CLASSIFIER_KEYS = {
    "name": TEXT, "mark": TEXT, "iteration": WHOLE, "task": TEXT, "task_words": TEXT,
    "accuracy": TEXT, "rows": list,
}  # fmt: skip


def load_spec(path: str | Path) -> dict[str, Any]:
    """Read a table's specification.

    Args:
        path: JSON file with format, scale, source, root, table, scale_notes, rows, ceilings,
            claims, classifiers and seed_groups; docs/architecture.md describes the keys.

    Returns:
        The specification, complete and consistent: every row named by a claim exists, every mark
        and metric is one of the table's.

    Raises:
        UserError: something is missing, of another type or names what is not there.
    """
    spec = read_json(path, "table specification")
    check_spec(spec, str(path))
    return spec


def check_spec(spec: Any, where: str) -> None:
    """Raise UserError, saying where, unless a specification is complete and consistent."""
    check_keys(spec, SPEC_KEYS, where)
    if spec["format"] != FORMAT:
        raise UserError(f"{where}: format {spec['format']}; this version reads format {FORMAT}")
    table = spec["table"]
    check_keys(table, TABLE_KEYS, f"{where}: table")
    _check_name(table["name"], f"{where}: table.name")
    _check_choice(table["layout"], LAYOUTS, f"{where}: table.layout")
    for metric in table["metrics"]:
        _check_choice(metric, METRICS, f"{where}: table.metrics")
    for key in ("metrics", "marks"):
        if not table[key]:
            raise UserError(f"{where}: table.{key} is empty; name at least one")
    if not spec["rows"]:
        raise UserError(f"{where}: rows is empty; a table needs at least one row")
    ids = []
    for index, row in enumerate(spec["rows"]):
        _check_row(row, table, f"{where}: rows[{index}]")
        ids.append(row["id"])
    repeated = sorted({row_id for row_id in ids if ids.count(row_id) > 1})
    if repeated:
        raise UserError(f"{where}: rows: {', '.join(repeated)} appear twice; ids must differ")
    for index, claim in enumerate(spec["claims"]):
        _check_claim(claim, table, ids, f"{where}: claims[{index}]")
    for index, classifier in enumerate(spec["classifiers"]):
        here = f"{where}: classifiers[{index}]"
        check_keys(classifier, CLASSIFIER_KEYS, here)
        for place, row in enumerate(classifier["rows"]):
            check_keys(row, {"task": TEXT, "label": TEXT}, f"{here}.rows[{place}]")
    if spec["agreement"] is not None:
        check_keys(spec["agreement"], AGREEMENT_KEYS, f"{where}: agreement")
        _check_choice(spec["source"], RULES, f"{where}: source")
    if spec["known_evaluation"] is not None:
        here = f"{where}: known_evaluation"
        check_keys(spec["known_evaluation"], KNOWN_KEYS, here)
        _check_choice(spec["known_evaluation"]["row"], ids, f"{here}.row")
        for metric, value in spec["known_evaluation"]["values"].items():
            _check_choice(metric, TOLERANCES, f"{here}.values")
            if isinstance(value, bool) or not isinstance(value, NUMBER):
                raise UserError(f"{here}.values.{metric}: got {value!r}; give a number")
    for index, artefact in enumerate(spec["artefacts"]):
        check_keys(artefact, ARTEFACT_KEYS, f"{where}: artefacts[{index}]")
    pages = spec.get("pages", [])
    check_type(pages, list, f"{where}: pages")
    for index, page in enumerate(pages):
        check_keys(page, {"name": TEXT, "title": TEXT}, f"{where}: pages[{index}]")
        _check_name(page["name"], f"{where}: pages[{index}].name")
    for index, group in enumerate(spec["seed_groups"]):
        here = f"{where}: seed_groups[{index}]"
        check_keys(group, SEED_GROUP_KEYS, here)
    for task, path in spec["ceilings"].items():
        check_type(path, (str, type(None)), f"{where}: ceilings.{task}")


def _check_row(row: Any, table: dict[str, Any], where: str) -> None:
    check_keys(row, ROW_KEYS, where)
    _check_name(row["id"], f"{where}.id")
    where = f"{where} ({row['id']})"
    _check_choice(row["kind"], KINDS, f"{where}: kind")
    for mark in table["marks"]:
        if mark not in row["cells"]:
            raise UserError(f"{where}: cells has {sorted(row['cells'])}; mark {mark} is needed")
        cell = row["cells"][mark]
        check_keys(cell, CELL_KEYS, f"{where}: cells.{mark}")
        others = cell.get("others", {})
        check_type(others, dict, f"{where}: cells.{mark}.others")
        for source, file in others.items():
            here = f"{where}: cells.{mark}.others"
            _check_choice(source, RULES, here)
            check_keys(file, {"path": TEXT, "digest": TEXT}, f"{here}.{source}")
        published = row["published"].get(mark, {})
        if not isinstance(published, dict):
            raise UserError(
                f"{where}: published.{mark}: got {published!r}; metric -> number is needed"
            )
        for metric, value in published.items():
            if value is not None and (isinstance(value, bool) or not isinstance(value, NUMBER)):
                raise UserError(
                    f"{where}: published.{mark}.{metric}: got {value!r}; give a number or null"
                )


def _check_claim(claim: Any, table: dict[str, Any], ids: list[str], where: str) -> None:
    check_keys(claim, CLAIM_KEYS, where)
    _check_name(claim["id"], f"{where}.id")
    where = f"{where} ({claim['id']})"
    if not claim["comparisons"]:
        raise UserError(f"{where}: comparisons is empty; a claim needs at least one")
    for index, comparison in enumerate(claim["comparisons"]):
        here = f"{where}: comparisons[{index}]"
        check_keys(comparison, COMPARISON_KEYS, here)
        _check_choice(comparison["relation"], RELATIONS, f"{here}.relation")
        _check_choice(comparison["metric"], table["metrics"], f"{here}.metric")
        if comparison["relation"] == "nearer" and comparison["towards"] is None:
            raise UserError(
                f"{here}: relation nearer without towards; name the cell to come near to"
            )
        for side in ("left", "right", "towards"):
            address = comparison[side]
            if address is None:
                continue
            check_keys(address, {"row": TEXT, "mark": TEXT}, f"{here}.{side}")
            _check_choice(address["row"], ids, f"{here}.{side}.row")
            _check_choice(address["mark"], table["marks"], f"{here}.{side}.mark")


def check_keys(value: Any, keys: dict[str, Any], where: str) -> None:
    """Raise UserError, saying where, unless a value is an object with some keys of some types."""
    if not isinstance(value, dict):
        raise UserError(
            f"{where}: got {type(value).__name__}; an object with {sorted(keys)} is needed"
        )
    missing = sorted(set(keys) - set(value))
    if missing:
        raise UserError(f"{where}: {', '.join(missing)} missing; add it to the specification")
    for key, kind in keys.items():
        check_type(value[key], kind, f"{where}: {key}")


def check_type(value: Any, kind: Any, where: str) -> None:
    """Demand a type, one of a tuple of types, or a list of one type, which is written [type]."""
    if isinstance(kind, list):
        check_type(value, list, where)
        for index, one in enumerate(value):
            check_type(one, kind[0], f"{where}[{index}]")
        return
    wrong_bool = isinstance(value, bool) and kind is not bool
    if wrong_bool or not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        names = " or ".join("null" if k is type(None) else k.__name__ for k in kinds)
        raise UserError(f"{where} is {value!r}; {names} is needed")


def _check_name(name: str, where: str) -> None:
    if not NAME.fullmatch(name):
        raise UserError(
            f"{where}: got {name!r}; letters, digits, dot, dash and underscore are allowed"
        )


def _check_choice(value: Any, choices: Any, where: str) -> None:
    if value not in choices:
        raise UserError(f"{where}: got {value!r}; one of {', '.join(choices)} is needed")
