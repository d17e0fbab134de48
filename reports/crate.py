"""A finished run as one Workflow Run RO-Crate: pages, numbers, what they were made of, and how.

The profiles are those of https://www.researchobject.org/workflow-run-crate/ (Process Run Crate and
Workflow Run Crate 0.5, on RO-Crate 1.1). What is said about files comes from their manifests.
"""

from __future__ import annotations

import importlib.metadata
import io
import mimetypes
import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from records.errors import UserError
from records.files import check_folder, check_writable
from records.lineage import Artefact, describe
from records.manifest import RUN, manifest_path
from reports.provenance import list_pages, load_tables, trace_report
from specs.results import EvaluatedTable

if TYPE_CHECKING:
    from rocrate.rocrate import ROCrate

PROJECT = Path(__file__).resolve().parent.parent
WORKFLOW = "Snakefile"
# What runs the workflow again, besides the packages at these versions.
SOURCES = ("workflow/rules", "params", "environment.yml", "constraints.txt", "dvc.yaml", "LICENSE")
BIOSCHEMAS = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
LICENCE = "https://spdx.org/licenses/MIT"
CONTEXT = "https://w3id.org/ro/terms/workflow-run/context"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
DONE = "http://schema.org/CompletedActionStatus"
README = """# {name}

{description}

Open `results/report/index.html`. Beside each number's file is a manifest of how it was made;
`ro-crate-metadata.json` connects them, back to the images, by their SHA-256. Commands: {what}.
"""
TYPES = {
    ".md": "text/markdown",
    ".tex": "application/x-tex",
    ".yml": "application/yaml",
    ".yaml": "application/yaml",
    "": "text/plain",
}
LARGE = (".zip", ".npz", ".safetensors", ".pt", ".pb", ".tar")  # only with `everything`


def make_crate(
    report: Path, out: Path, *, everything: bool = False, agent: str | None = None
) -> tuple[int, int]:
    """Pack a finished run into a folder or a zip.

    Args:
        report: folder with index.html and the tables' pages.
        out: a folder that is not there yet or is a crate, or a file that ends in .zip.
        everything: pack images, weights and samples too; without it they are described only, by
            hash and size.
        agent: name of the person who ran it, whom a crate should name.

    Returns:
        How many files the crate has, and how many artefacts it describes.

    Raises:
        UserError: no report there, `out` is something else or cannot be written, no whole checkout
            to take the workflow from, or rocrate is not installed.
    """
    list_pages(report)
    if out.exists() and out.suffix != ".zip" and not (out / "ro-crate-metadata.json").is_file():
        raise UserError(f"{out}: exists and is no crate; name a folder that may be replaced")
    if missing := [name for name in (WORKFLOW, *SOURCES) if not (PROJECT / name).exists()]:
        raise UserError(
            f"{PROJECT}: no {' and no '.join(missing)} there, which belongs into a crate; run this "
            "from a whole checkout of the project, not from an installed package"
        )
    tables, artefacts = load_tables(report), trace_report(report)
    crate = _describe_run(report, tables, artefacts, everything, agent)
    if out.suffix == ".zip" or not out.exists():
        check_writable(out)
    else:
        check_folder(out.parent)
    fresh = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        crate.write(fresh / "crate")
        num_files = sum(path.is_file() for path in (fresh / "crate").rglob("*"))
        if out.suffix == ".zip":
            packed = shutil.make_archive(str(fresh / "packed"), "zip", fresh / "crate")
            os.replace(packed, out)
        else:
            shutil.rmtree(out, ignore_errors=True)
            (fresh / "crate").rename(out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return num_files, len(artefacts)


def _describe_run(
    report: Path,
    tables: list[EvaluatedTable],
    artefacts: Mapping[str, Artefact],
    everything: bool,
    agent: str | None,
) -> ROCrate:
    """Return the crate: the workflow, its run, and an action for every artefact."""
    crate = _open_crate(tables)
    person: dict[str, Any] = {}
    if agent is not None:
        person = {"agent": _add(crate, "#agent", "Person", name=agent)}
        crate.creator = crate.root_dataset["author"] = person["agent"]
    workflow = _add_workflow(crate, artefacts.values())
    program = _add_program(crate, artefacts.values())
    entities = {
        sha256: _add_artefact(crate, report, artefact, everything)
        for sha256, artefact in artefacts.items()
    }
    actions = _add_actions(crate, program, artefacts, entities, person)
    _add_pages(crate, report, {one.path.name for one in artefacts.values() if one.path})
    values = _add_parameters(crate, workflow, tables)
    data = [entities[key] for key, one in artefacts.items() if one.kind == "dataset"]
    pages = [entities[key] for key, one in artefacts.items() if one.kind == "page"]
    ended = max(
        (one["endTime"] for one in actions), default=datetime.now().astimezone().isoformat()
    )
    commands = dict.fromkeys(table.command for table in tables)
    run = crate.add_action(
        workflow,
        identifier="#run",
        object=[*values, *data],
        result=_unwrap(pages),
        properties={
            "name": f"run of {WORKFLOW}",
            "description": "; ".join(commands),
            "startTime": min((one["startTime"] for one in actions), default=ended),
            "endTime": ended,
            "actionStatus": DONE,
            **person,
        },
    )
    crate.datePublished = datetime.fromisoformat(ended)
    crate.root_dataset["mentions"] = [*actions, run]
    readme = README.format(name=crate.name, description=crate.description, what=", ".join(commands))
    properties = {"name": "README.md", "encodingFormat": TYPES[".md"], "about": crate.root_dataset}
    crate.add_file(io.StringIO(readme), "README.md", properties=properties)
    return crate


def _open_crate(tables: list[EvaluatedTable]) -> ROCrate:
    """Return a crate with name, terms and profiles, and nothing in it yet."""
    try:
        from rocrate.rocrate import ROCrate
    except ModuleNotFoundError:
        raise UserError("rocrate is not installed; install it with `make env`") from None

    crate = ROCrate(version="1.1")
    crate.metadata.extra_contexts.append(CONTEXT)
    scales = ", ".join(sorted({table.scale for table in tables}))
    crate.name = f"Tables of Diffusion Models Beat GANs at scale {scales}"
    crate.description = " ".join(dict.fromkeys(note for one in tables for note in one.scale_notes))
    crate.license = _add(crate, LICENCE, "CreativeWork", name="MIT License")
    profiles = [
        _add(crate, identifier, "CreativeWork", name=name, version=version)
        for identifier, (name, version) in PROFILES.items()
    ]
    crate.root_dataset["conformsTo"] = profiles
    crate.metadata.append_to("conformsTo", profiles[-1])
    return crate


def _add(crate: ROCrate, identifier: str, kind: str | list[str], **properties: Any) -> Any:
    """Add something that is no file."""
    from rocrate.model.contextentity import ContextEntity

    return crate.add(ContextEntity(crate, identifier, properties={"@type": kind, **properties}))


def _add_workflow(crate: ROCrate, artefacts: Iterable[Artefact]) -> Any:
    """Add the Snakefile and what runs it again."""
    workflow: Any = crate.add_workflow(
        PROJECT / WORKFLOW,
        WORKFLOW,
        main=True,
        lang="snakemake",
        lang_version=importlib.metadata.version("snakemake"),
    )
    workflow["name"], workflow["version"] = crate.name, _name_version(artefacts)
    workflow["encodingFormat"], workflow["conformsTo"] = "text/plain", {"@id": BIOSCHEMAS}
    for name in SOURCES:
        if (source := PROJECT / name).is_dir():
            crate.add_directory(source, f"{name}/", properties={"name": name})
        else:
            crate.add_file(source, name, properties=_describe_file(source))
    return workflow


def _add_program(crate: ROCrate, artefacts: Collection[Artefact]) -> Any:
    """Add this project's programs, with the packages that they ran with."""
    packages = []
    for name, version in sorted(_list_versions(artefacts)):
        address = f"https://pypi.org/project/{name}/{version}/"
        about = {"name": name, "url": address, "softwareVersion": version}
        packages.append(_add(crate, address, "SoftwareApplication", **about))
    return _add(
        crate,
        "#adm-tables",
        "SoftwareApplication",
        name="adm-tables",
        softwareVersion=_name_version(artefacts),
        softwareRequirements=packages,
    )


def _add_actions(
    crate: ROCrate,
    program: Any,
    artefacts: Mapping[str, Artefact],
    entities: Mapping[str, Any],
    person: Mapping[str, Any],
) -> list[Any]:
    """Add how each artefact was made, where its manifest says when."""
    actions = []
    for sha256, artefact in artefacts.items():
        if (times := _read_times(artefact)) is None:
            continue
        properties = {
            "name": f"make {artefact.kind} {artefact.name}",
            "description": describe(artefact),
            "startTime": times[0],
            "endTime": times[1],
            "actionStatus": DONE,
            **person,
        }
        action = crate.add_action(
            program,
            identifier=f"#make-{sha256[:16]}",
            object=_unwrap([entities[str(one.sha256)] for _, one in artefact.inputs]),
            result=entities[sha256],
            properties=properties,
        )
        actions.append(action)
    return actions


def _add_pages(crate: ROCrate, report: Path, known: Collection[str]) -> None:
    """Add the pages, and their tables in other formats, that no manifest speaks of."""
    for path in sorted(report.glob("*")):
        if path.suffix in (".html", ".csv", ".md", ".tex") and path.name not in known:
            crate.add_file(path, _place(path, report), properties=_describe_file(path))


def _add_parameters(crate: ROCrate, workflow: Any, tables: list[EvaluatedTable]) -> list[Any]:
    """Add the workflow's parameters; return the values that they had."""
    values = []
    for name in ("scale", "source"):
        text = ", ".join(sorted({getattr(table, name) for table in tables}))
        about = {"name": name, "additionalType": "Text"}
        formal = _add(crate, f"#parameter-{name}", "FormalParameter", **about)
        value = _add(crate, f"#{name}", "PropertyValue", name=name, value=text)
        formal["workExample"], value["exampleOfWork"] = value, formal
        workflow.append_to("input", formal)
        values.append(value)
    return values


def _add_artefact(crate: ROCrate, report: Path, artefact: Artefact, everything: bool) -> Any:
    """Add a file with its manifest, or describe one that is large or missing."""
    path, sha256 = artefact.path, str(artefact.sha256)
    if path is None or (path.suffix in LARGE and not everything):
        size = artefact.manifest.get("num_bytes")
        return _add(
            crate,
            f"#sha256-{sha256}",
            "CreativeWork",
            name=f"{artefact.kind} {artefact.name}",
            description=artefact.fault or describe(artefact),
            sha256=sha256,
            **({} if path is None else {"alternateName": path.name}),
            **({} if size is None else {"contentSize": str(size)}),
            **_name_licence(artefact),
        )
    manifest = manifest_path(path)
    crate.add_file(manifest, _place(manifest, report), properties=_describe_file(manifest))
    return crate.add_file(
        path,
        _place(path, report),
        properties={
            **_describe_file(path),
            "name": f"{artefact.kind} {artefact.name}",
            "description": artefact.fault or describe(artefact),
            "sha256": sha256,
            **_name_licence(artefact),
        },
    )


def _unwrap(values: list[Any]) -> Any:
    """Return one value alone and none as None, as JSON-LD for RO-Crate has it."""
    return values[0] if len(values) == 1 else values or None


def _place(path: Path, report: Path) -> str:
    """Return where a file is in the crate."""
    return f"results/{path.relative_to(report.parent).as_posix()}"


def _describe_file(path: Path) -> dict[str, str]:
    """Return name, type and size of a file in the words of RO-Crate."""
    kind = mimetypes.guess_type(path.name)[0]
    return {
        "name": path.name,
        "encodingFormat": TYPES.get(path.suffix) or kind or "application/octet-stream",
        "contentSize": str(path.stat().st_size),
    }


def _name_licence(artefact: Artefact) -> dict[str, str]:
    """Return the terms on which a published file may be used, where its manifest says so."""
    licence = artefact.manifest.get("licence")
    return {"usageInfo": licence} if isinstance(licence, str) else {}


def _read_times(artefact: Artefact) -> tuple[str, str] | None:
    """Return when the making of an artefact began and ended (ISO 8601); None where unknown."""
    run = artefact.manifest.get(RUN) or {}
    if "ended" not in run:
        return None
    ended = datetime.fromisoformat(run["ended"])
    began = ended - timedelta(seconds=round(run.get("wall_seconds", 0)))
    return began.isoformat(), ended.isoformat()


def _list_versions(artefacts: Iterable[Artefact]) -> set[tuple[str, str]]:
    """Return names and versions of the packages that the artefacts were made with."""
    found = set()
    for one in artefacts:
        versions = one.manifest.get("versions") or {}
        found |= {(str(name), str(version)) for name, version in versions.items()}
    return {(name, version) for name, version in found if not name.startswith("adm-")}


def _name_version(artefacts: Iterable[Artefact]) -> str:
    """Return the commits of this project that the artefacts were made at."""
    commits = {str(one.manifest.get("git_commit", "unknown")) for one in artefacts if one.manifest}
    return ", ".join(sorted(commits)) or "unknown"
