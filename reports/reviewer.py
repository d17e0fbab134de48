"""What reviewers ask of a run, answered from its manifests: seeds, compute, terms, commands.

The questions are those that a pipeline can answer, of the NeurIPS paper checklist (2021 to 2025)
and of the ML Code Completeness Checklist.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from records.files import read_json
from records.lineage import Artefact
from reports.claims import CONTRADICTED, INCONCLUSIVE, SUPPORTED
from reports.provenance import load_tables, trace_report
from reports.render import make_environment
from reports.story import make_facts
from specs.datasets import TERMS
from specs.results import AllCosts, EvaluatedTable
from specs.strict import validated

COSTS = "costs.json"


def render_checklist(report: Path) -> str:
    """Write the page of answers about a finished report.

    Args:
        report: folder with index.html and the tables' pages.

    Returns:
        HTML that needs nothing outside itself.

    Raises:
        UserError: no report there, or something in it is broken.
    """
    tables, artefacts = load_tables(report), trace_report(report)
    costs: dict[str, Any] = {}
    if (path := report / COSTS).exists():
        costs = validated(AllCosts, read_json(path, "list of costs"), str(path)).content()
    contents = [table.content() for table in tables]
    return (
        make_environment()
        .get_template("reviewer.html.j2")
        .render(
            tables=contents,
            facts=make_facts(contents, costs),
            costs=costs,
            verdicts=_count_verdicts(tables),
            seeds=_list_seeds(tables),
            terms=_list_terms(artefacts),
            versions=_list_versions(artefacts),
            commits=sorted(
                {str(one.manifest["git_commit"]) for one in _with(artefacts, "git_commit")}
            ),
            broken=[one for one in artefacts.values() if one.fault],
            num_artefacts=len(artefacts),
            pages=[table["name"] for table in contents],
        )
    )


def _count_verdicts(tables: list[EvaluatedTable]) -> dict[str, int]:
    """Return how many claims got each of the verdicts that a test gives."""
    found = [claim.verdict for table in tables for claim in table.claims]
    return {word: found.count(word) for word in (SUPPORTED, CONTRADICTED, INCONCLUSIVE)}


def _list_seeds(tables: list[EvaluatedTable]) -> list[tuple[str, str, str]]:
    """Return table, training seeds, and the rows that were trained with these, where several."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for table in tables:
        for spread in table.content().get("seeds", []):
            for row in spread["rows"]:
                key = (table.title, ", ".join(map(str, row["seeds"])))
                found.setdefault(key, {})[f"{row['label']} ({row['task']})"] = None
    return [(*key, "; ".join(rows)) for key, rows in found.items()]


def _list_terms(artefacts: Mapping[str, Artefact]) -> list[tuple[str, str]]:
    """Return what comes from others, and on what terms it may be used."""
    found = {}
    for one in artefacts.values():
        spec = one.manifest.get("spec")
        dataset = spec.get("dataset") if isinstance(spec, Mapping) else None
        if one.kind == "dataset" and dataset in TERMS:
            found[f"images of {dataset}"] = TERMS[dataset]
        if isinstance(licence := one.manifest.get("licence"), str):
            found[str(one.manifest.get("url", one.name))] = licence
    return sorted(found.items())


def _list_versions(artefacts: Mapping[str, Artefact]) -> list[tuple[str, str]]:
    """Return packages and the versions of them that anything was made with."""
    found: dict[str, set[str]] = {}
    for one in _with(artefacts, "versions"):
        for name, version in one.manifest["versions"].items():
            found.setdefault(name, set()).add(version)
    return [(name, ", ".join(sorted(versions))) for name, versions in sorted(found.items())]


def _with(artefacts: Mapping[str, Artefact], key: str) -> list[Artefact]:
    return [one for one in artefacts.values() if one.manifest.get(key)]
