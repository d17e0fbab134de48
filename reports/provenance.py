"""What stands behind a finished report: its tables, and all files that its pages were made of."""

from pathlib import Path

from records.errors import UserError
from records.files import read_json
from records.lineage import Artefact, find_artefacts, list_artefacts, trace
from records.manifest import MANIFEST_SUFFIX
from specs.results import EvaluatedTable
from specs.strict import validated


def list_pages(report: Path) -> list[str]:
    """Return the names of a report's pages that have a manifest.

    Raises:
        UserError: there are none.
    """
    found = sorted(report.glob(f"*{MANIFEST_SUFFIX}"))
    if not found:
        raise UserError(f"{report}: no pages there; make a report first, with make reproduce")
    return [path.name.removesuffix(MANIFEST_SUFFIX) for path in found]


def load_tables(report: Path) -> list[EvaluatedTable]:
    """Read the evaluated tables of a report; pages that are none are left out.

    Raises:
        UserError: no pages, or a table that is broken.
    """
    paths = [report / f"{name}.json" for name in list_pages(report)]
    return [
        validated(EvaluatedTable, read_json(path, "table of numbers"), str(path))
        for path in paths
        if path.exists()
    ]


def trace_report(report: Path) -> dict[str, Artefact]:
    """Return the pages of a report and all that they were made of, by SHA-256.

    Raises:
        UserError: no pages, or one of them is missing.
    """
    known, artefacts = find_artefacts(report.parent), dict[str, Artefact]()
    for name in list_pages(report):
        for one in list_artefacts(trace(report / f"{name}.html", report.parent, known)):
            artefacts.setdefault(str(one.sha256), one)
    return artefacts
