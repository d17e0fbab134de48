"""Kills of `dvc repro` in the middle of a run, at a miniature scale: the next one goes on."""

import os
import re
import shutil
import signal
import subprocess
import time

import psutil
import pytest

from tests.workflow.dvc_case import dvc, make_clone, make_environment

pytest.importorskip("dvc")
pytestmark = pytest.mark.slow

RULE = re.compile(r"^(?:local)?rule (\w+):", re.M)
DONE = re.compile(r"^Finished jobid: \d+ \(Rule: (\w+)\)", re.M)
MADE = "results/mini/retrain"
COUNTED = ("train", "sample", "evaluate", "reference")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A clone in which nothing has run."""
    return make_clone(tmp_path_factory.mktemp("fresh") / "project")


@pytest.fixture(scope="module")
def undisturbed(fresh, tmp_path_factory):
    """A clone in which Table 3 was computed at one go."""
    folder = tmp_path_factory.mktemp("undisturbed") / "project"
    shutil.copytree(fresh, folder)
    (folder.parent / "log").write_text(dvc(folder, "repro", "table3"))
    return folder


def begin(folder, log):
    """Start `dvc repro table3` in a session of its own."""
    with log.open("w") as out:
        return subprocess.Popen(
            ["dvc", "repro", "table3"],
            cwd=folder,
            env=make_environment(folder),
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def await_text(log, pattern, process, count=1):
    """Wait until a pattern stands so many times in a log."""
    deadline = time.monotonic() + 300
    while len(re.findall(pattern, log.read_text(), re.M)) < count:
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def read_made(folder):
    """Return what the run is for: weights, samples, numbers and pages, by path."""
    kinds = (f"{MADE}/samples/*/samples.npz", f"{MADE}/models/*/ema-*", f"{MADE}/metrics/*.json")
    found = {path.relative_to(folder): path for kind in kinds for path in folder.glob(kind)}
    found = {path: file for path, file in found.items() if ".manifest." not in path.name}
    assert {path.parts[3] for path in found} == {"samples", "models", "metrics"}
    return {str(path): file.read_bytes() for path, file in found.items()}


def test_kills_of_everything_lose_nothing_finished(fresh, undisturbed, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(fresh, folder)
    finished = []
    for number, rule in enumerate(("train", "sample", "evaluate", "table")):
        log = tmp_path / f"log{number}"
        process = begin(folder, log)
        await_text(log, rf"^(?:local)?rule {rule}:", process)
        time.sleep(1.0)  # into the middle of it
        os.killpg(process.pid, signal.SIGKILL)
        for one in psutil.process_iter(["cwd"]):  # jobs have groups of their own
            if one.info["cwd"] and one.info["cwd"].startswith(str(folder)):
                one.kill()
        process.wait()
        finished += DONE.findall(log.read_text())
    output = dvc(folder, "repro", "table3")
    finished += DONE.findall(output)
    assert "Unlocking" not in output and "unlock" not in output
    counts = {name: finished.count(name) for name in COUNTED}
    wanted = DONE.findall((undisturbed.parent / "log").read_text())
    assert counts == {name: wanted.count(name) for name in COUNTED}
    assert read_made(folder) == read_made(undisturbed)
    assert RULE.findall(dvc(folder, "repro", "table3")) == []


def test_a_run_that_outlived_dvc_is_awaited(fresh, undisturbed, tmp_path):
    folder, log = tmp_path / "project", tmp_path / "log"
    shutil.copytree(fresh, folder)
    process = begin(folder, log)
    await_text(log, r"^(?:local)?rule train:", process)
    process.kill()  # DVC alone
    process.wait()
    output = dvc(folder, "repro", "table3")
    assert "waiting for another run in this folder to end: process " in output
    assert set(RULE.findall(output)) == {"table", "reproduce_table3"}
    assert read_made(folder) == read_made(undisturbed)
