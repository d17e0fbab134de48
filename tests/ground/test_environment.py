"""One list of packages, told the same way by pip's, conda's and the citation's files."""

import os
import re
import sys
import tomllib
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT_FILE: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT: dict[str, Any] = PROJECT_FILE["project"]
CONDA: dict[str, Any] = yaml.safe_load((ROOT / "environment.yml").read_text())
CONSTRAINT_LINES = [
    line
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
PINS = {
    canonicalize_name(name): version
    for name, version in (line.split("==") for line in CONSTRAINT_LINES)
}
CUDA = re.compile(r"(nvidia|cuda|triton)")  # come with torch's CUDA build, which pins them itself


def direct_requirements() -> list[Requirement]:
    """What pyproject.toml asks for, extras included, where this Python and machine take it."""
    texts = [
        *PROJECT["dependencies"],
        *(text for extra in PROJECT["optional-dependencies"].values() for text in extra),
    ]
    found = [Requirement(text) for text in texts]
    return [one for one in found if one.marker is None or one.marker.evaluate()]


def find_installed_closure(names: list[str]) -> set[str]:
    """Names of all packages that the given ones lead to in the environment of this test."""
    seen: set[str] = set()
    todo = [(canonicalize_name(name), frozenset[str]()) for name in names]
    visited = set(todo)
    while todo:
        name, extras = todo.pop()
        try:
            requires = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        seen.add(name)
        for requirement in map(Requirement, requires):
            marker = requirement.marker
            wanted = marker is None or any(marker.evaluate({"extra": e}) for e in {"", *extras})
            step = (canonicalize_name(requirement.name), frozenset(requirement.extras))
            if wanted and step not in visited:
                visited.add(step)
                todo.append(step)
    return seen


def test_constraints_are_exact_versions_that_any_machine_understands() -> None:
    pin = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][A-Za-z0-9.]*")
    assert [line for line in CONSTRAINT_LINES if not pin.fullmatch(line)] == []
    assert [line for line in CONSTRAINT_LINES if CUDA.match(line.lower())] == []


def test_constraints_are_sorted_and_name_each_package_once() -> None:
    assert sorted(CONSTRAINT_LINES, key=str.upper) == CONSTRAINT_LINES
    assert len(PINS) == len(CONSTRAINT_LINES)


def test_pins_satisfy_what_pyproject_asks_for() -> None:
    wrong = [
        f"{one}: pinned to {PINS.get(canonicalize_name(one.name))}"
        for one in direct_requirements()
        if Version(PINS.get(canonicalize_name(one.name), "0")) not in one.specifier
    ]
    assert wrong == []


def test_everything_that_gets_installed_is_pinned() -> None:
    closure = find_installed_closure([one.name for one in direct_requirements()])
    assert {"torch", "snakemake", "numpy"} <= closure
    assert sorted(name for name in closure - set(PINS) if not CUDA.match(name)) == []


def test_these_tests_run_with_the_pinned_versions() -> None:
    wrong = []
    for one in direct_requirements():
        pin = PINS[canonicalize_name(one.name)]
        try:
            have = metadata.version(one.name).split("+")[0]
        except metadata.PackageNotFoundError:
            continue  # an extra that this environment left out
        if have != pin:
            wrong.append(
                f"{one.name}: installed {have}, pinned {pin}; `make env` installs the pins"
            )
    assert not wrong, "\n".join(wrong)


def test_conda_takes_python_and_tools_and_leaves_packages_to_pip() -> None:
    conda = [entry for entry in CONDA["dependencies"] if isinstance(entry, str)]
    pip = next(entry["pip"] for entry in CONDA["dependencies"] if isinstance(entry, dict))
    names = {re.split(r"[<>=!~ ]", entry)[0] for entry in conda}
    assert {"python", "pip", "make", "git"} <= names
    assert not names & set(PINS), "a package named here and in constraints.txt has two versions"
    assert CONDA["name"] == PROJECT["name"]

    assert pip[0] == "-c constraints.txt"
    extras = re.fullmatch(r"-e \.\[([a-z0-9,]+)\]", pip[1])
    assert extras and len(pip) == 2, pip
    assert set(extras[1].split(",")) == set(PROJECT["optional-dependencies"])
    assert f"EXTRAS ?= {extras[1]}\n" in (ROOT / "Makefile").read_text()


def read_definition() -> tuple[dict[str, str], dict[str, list[str]]]:
    """The head of the definition of the image, and the lines of its sections."""
    head: dict[str, str] = {}
    sections: dict[str, list[str]] = {}
    lines: list[str] | None = None
    for line in (ROOT / "packaging" / "adm-tables.def").read_text().splitlines():
        if line.startswith("%"):
            lines = sections.setdefault(line[1:], [])
        elif lines is not None:
            lines += [line.strip()] if line.strip() else []
        elif ": " in line and not line.startswith("#"):
            key, _, value = line.partition(": ")
            head[key] = value
    return head, sections


def test_the_image_has_what_runs_the_workflow_at_the_pinned_versions() -> None:
    head, sections = read_definition()
    entry = next(e for e in CONDA["dependencies"] if isinstance(e, str) and e.startswith("python="))
    assert head["Bootstrap"] == "docker"
    assert head["From"].startswith(f"python:{entry.removeprefix('python=')}-")
    assert {*sections} == {"files", "post", "environment", "test", "runscript"}
    copied = dict(line.split() for line in sections["files"])
    assert {*copied.values()} == {"/opt/adm-tables/"}
    assert all((ROOT / name).exists() for name in copied)
    found = PROJECT_FILE["tool"]["setuptools"]["packages"]["find"]["include"]
    packages = {one for one in os.listdir(ROOT) if any(fnmatch(one, name) for name in found)}
    packages = {one for one in packages if (ROOT / one / "__init__.py").exists()}
    assert packages | {"Snakefile", "constraints.txt", "params", "slurm"} <= {*copied}
    assert "pip install --no-cache-dir -c constraints.txt -e ." in sections["post"]


def test_conda_and_pip_agree_on_python() -> None:
    entry = next(e for e in CONDA["dependencies"] if isinstance(e, str) and e.startswith("python="))
    version = entry.removeprefix("python=")
    assert Version(version) in SpecifierSet(PROJECT["requires-python"])
    assert f"for Python {version}" in (ROOT / "constraints.txt").read_text()
    assert f"python{version}" in (ROOT / "Makefile").read_text()
    assert sys.version_info[:2] >= tuple(map(int, version.split(".")))


def test_citation_licence_and_changelog_belong_to_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"] == "MIT"
    assert citation["authors"] == PROJECT["authors"] == [{"name": "The ADM tables authors"}]
    paper = citation["references"][0]
    assert [author["family-names"] for author in paper["authors"]] == ["Dhariwal", "Nichol"]
    assert (paper["year"], paper["identifiers"][0]["value"]) == (2021, "arXiv:2105.05233")

    assert (ROOT / "LICENSE").read_text().startswith("MIT License\n")
    unreleased = (ROOT / "CHANGELOG.md").read_text().split("## [Unreleased]")[1].split("\n## ")[0]
    assert "\n### Numbers\n" in unreleased
