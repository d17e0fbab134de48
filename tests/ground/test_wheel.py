"""The evaluator alone: what its wheel asks for, holds and can do, in an environment without adm."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import setuptools
import torch
from packaging.requirements import Requirement

from eval.networks.small import RECIPE, make_parameters, save_small_network
from eval.networks.tensorflow_backend import REQUIREMENT

ROOT = Path(__file__).resolve().parents[2]
HELD = ("adm_eval", "eval", "records")
FOLDER = ROOT / "packaging" / "adm-eval"
MAIN: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
WHEEL: dict[str, Any] = tomllib.loads((FOLDER / "pyproject.toml").read_text())


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """Run a program without this project's settings; return what it printed."""
    inherited = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**inherited, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_both_projects_say_the_same_of_the_evaluator() -> None:
    main, wheel = MAIN["project"], WHEEL["project"]
    assert main["scripts"] == wheel["scripts"] == {"adm-eval": "eval.cli:run"}
    for key in ("license", "authors", "requires-python"):
        assert main[key] == wheel[key]
    assert set(wheel["dependencies"]) <= set(main["dependencies"])
    extra = wheel["optional-dependencies"]["tensorflow"]
    assert extra == main["optional-dependencies"]["tensorflow"]
    assert (FOLDER / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_the_message_asks_for_the_tensorflow_that_the_extra_asks_for() -> None:
    (extra,) = WHEEL["project"]["optional-dependencies"]["tensorflow"]
    needed, told = Requirement(extra), Requirement(REQUIREMENT)
    assert (told.name, told.specifier) == (needed.name, needed.specifier)


def test_the_wheel_has_the_version_of_the_project() -> None:
    source = WHEEL["tool"]["hatch"]["version"]
    text = (FOLDER / source["path"]).read_text()
    found = re.findall(source["pattern"], text)
    assert found == [MAIN["project"]["version"]]


def test_the_wheel_asks_for_what_its_modules_import() -> None:
    """Imported names and the packages they come in, where the two differ."""
    packages = {"PIL": "pillow", "google": "protobuf", "tensorflow": "tensorflow-cpu"}
    packages["urllib3"] = "requests"  # which is built on it
    imported = set()
    for path in (path for package in HELD for path in (ROOT / package).rglob("*.py")):
        imported |= set(re.findall(r"^\s*(?:import|from) (\w+)", path.read_text(), re.MULTILINE))
    foreign = imported - set(sys.stdlib_module_names) - {*HELD}
    extras = WHEEL["project"]["optional-dependencies"]
    asked = [*WHEEL["project"]["dependencies"], *extras["tensorflow"], *extras["tracking"]]
    names = {Requirement(text).name for text in asked}
    assert {packages.get(name, name) for name in foreign} == names


def test_the_project_holds_the_interface_too() -> None:
    found = setuptools.find_packages(str(ROOT), **MAIN["tool"]["setuptools"]["packages"]["find"])
    assert {*HELD} <= {*found}
    data = MAIN["tool"]["setuptools"]["package-data"]
    assert {package for package in HELD if "py.typed" in data.get(package, [])} == {
        package for package in HELD if (ROOT / package / "py.typed").exists()
    }


@pytest.mark.slow
def test_the_installed_wheel_grades_without_the_rest_of_the_project(tmp_path: Path) -> None:
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    options = ("--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", tmp_path)
    run(*pip, "wheel", *options, FOLDER, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == f"adm_eval-{MAIN['project']['version']}-py3-none-any.whl"

    with zipfile.ZipFile(wheel) as archive:
        held = archive.namelist()
    info = wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info"
    assert {name.split("/")[0] for name in held} == {*HELD, info}
    suffixes = {Path(name).suffix for name in held if not name.startswith(info)}
    assert suffixes == {".py", ".npz", ".typed"}
    assert {"adm_eval/py.typed", "eval/py.typed"} <= set(held)
    for package in HELD:
        files = {str(path.relative_to(ROOT)) for path in (ROOT / package).rglob("*.py")}
        assert files == {name for name in held if re.match(rf"{package}/.*\.py$", name)}
    assert f"{info}/licenses/LICENSE" in held

    # A fresh environment that sees the heavy packages installed here, but not this project's own
    # folder: a path in a .pth adds no other .pth, and the editable install is one.
    venv, elsewhere = tmp_path / "venv", tmp_path / "elsewhere"
    elsewhere.mkdir()
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=tmp_path)
    site = Path(run(venv / "bin/python", "-c", SITE, cwd=elsewhere).strip())
    (site / "heavy.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = ("install", "--no-deps", "--no-index", "--quiet", wheel)
    run(*pip, "--python", venv / "bin/python", *install, cwd=elsewhere)

    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "ADM_OFFLINE": "1", "ADM_INCEPTION": ""}
    where = run(venv / "bin/python", "-c", WHERE, cwd=elsewhere).split()
    assert where == [*(str(site / package) for package in HELD), "None"]
    usage = run(venv / "bin/adm-eval", "--help", cwd=elsewhere, **cache)
    assert "REFERENCE" in usage and "SAMPLES" in usage and "--weights" in usage
    report = run(venv / "bin/adm-eval", "selftest", cwd=elsewhere, **cache)
    assert re.search(r"^selftest: 3 passed, 0 failed, \d+ not checked; ", report, re.MULTILINE)

    for name in ("reference.npz", "samples.npz"):
        images = np.random.default_rng(len(name)).integers(0, 256, (20, 8, 8, 3), np.uint8)
        np.savez(elsewhere / name, arr_0=images)
    weights = ("--weights", save_untrained_network(elsewhere / "network.safetensors"))
    command = (venv / "bin/adm-eval", "reference.npz", "samples.npz", *weights, "--threads", "1")
    printed = run(*command, "--json", "out.json", cwd=elsewhere)
    for title in ("Inception Score", "FID", "sFID", "Precision", "Recall"):
        assert re.search(rf"^{title}: [0-9.e-]+$", printed, re.MULTILINE)
    result = json.loads((elsewhere / "out.json").read_text())
    assert result["metrics"]["fid"]["value"] > 0
    # There is no commit to tell what ran, so the wheel's own version does.
    assert result["protocol"]["git_commit"] == "unknown"
    assert result["protocol"]["versions"]["adm-eval"] == MAIN["project"]["version"]
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    graded = run(venv / "bin/python", "-c", GRADE, cwd=elsewhere, **one)
    assert graded == (elsewhere / "out.json").read_text()


def save_untrained_network(path: Path) -> Path:
    """Save a small feature network with its initial weights."""
    parameters = make_parameters(
        channels=4, num_classes=3, generator=torch.Generator().manual_seed(0)
    )
    spec = {"recipe": RECIPE, "seed": 0, "image_size_px": 8, "channels": 4}
    spec |= {"iterations": 1, "batch_size": 1, "learning_rate": 1.0e-3}
    save_small_network(path, parameters, {"name": "untrained", "spec": spec})
    return path


SITE = "import sysconfig; print(sysconfig.get_path('purelib'))"
WHERE = (
    "import importlib.util as u\n"
    "from pathlib import Path\n"
    "print(*(Path(u.find_spec(n).origin).parent for n in ('adm_eval', 'eval', 'records')), "
    "u.find_spec('adm'))"
)
GRADE = (
    "import adm_eval, torch\n"
    "torch.set_num_threads(1)\n"
    "settings = {'network': 'network.safetensors'}\n"
    "features = adm_eval.compute_features('reference.npz', **settings)\n"
    "print(adm_eval.grade('samples.npz', features).to_json(), end='')"
)
