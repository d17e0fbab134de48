"""Locks of a run that was killed are taken over; one that lives is named."""

import os
import subprocess
import sys

import psutil
import pytest

from records.files import write_json
from tests.workflow.conftest import MINI, snakemake
from workflow.run_owner import Owner, await_owners, find_owners, write_owner

TARGET = "results/mini/data/imagenet_64.zip"


def find_dead_process():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_a_process_lives_until_it_ends(tmp_path):
    write_owner(tmp_path)
    (owner,) = find_owners(tmp_path)
    assert owner.may_live and owner.words == f"process {os.getpid()} on {os.uname().nodename}"
    later = Owner(owner.process, owner.host, owner.started - 100.0)  # before the machine restarted
    assert not later.may_live
    assert not Owner(find_dead_process(), owner.host, owner.started).may_live
    assert Owner(find_dead_process(), "elsewhere", owner.started).may_live


@pytest.mark.parametrize("content", [[], {}, {"process": 1}])
def test_what_says_nothing_is_left_out(tmp_path, content):
    write_json(tmp_path / "x.owner.json", content)
    (tmp_path / "y.owner.json").write_text("{")
    assert find_owners(tmp_path) == []


def test_a_run_that_lives_here_is_awaited_and_named_once(tmp_path, capsys):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        owner = Owner(process.pid, os.uname().nodename, psutil.Process(process.pid).create_time())
        write_json(tmp_path / "here.owner.json", vars(owner))
        write_json(tmp_path / "there.owner.json", {**vars(owner), "host": "elsewhere"})
        naps = []

        def sleep(seconds):
            naps.append(seconds)
            if len(naps) == 3:
                process.communicate(b"\n")

        await_owners(tmp_path, sleep=sleep)
    assert len(naps) == 3
    words = f"waiting for another run in this folder to end: {owner.words}\n"
    assert capsys.readouterr().err == words


def lock(folder, process):
    """Leave the locks of a run that holds one file."""
    locks = folder / ".snakemake" / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    (locks / "0.output.lock").write_text(f"{TARGET}\n")
    if process is not None:
        write_owner(locks)
        (path,) = locks.glob("*.owner.json")
        write_json(path, {**vars(find_owners(locks)[0]), "process": process})


@pytest.fixture
def folder(project, tmp_path):
    own = {".snakemake", "logs", "results"}  # of the tests that ran in the project before
    for path in project.iterdir():
        if path.name not in own:
            (tmp_path / path.name).symlink_to(path)
    return tmp_path


def test_locks_of_a_killed_run_are_taken_over(folder):
    lock(folder, find_dead_process())
    process = snakemake(folder, *MINI, TARGET)
    assert process.returncode == 0, process.stderr
    assert (folder / TARGET).exists() and not list((folder / ".snakemake").glob("locks/*"))


@pytest.mark.parametrize("known", [True, False])
def test_a_run_that_lives_is_named(folder, known):
    lock(folder, os.getpid() if known else None)
    process = snakemake(folder, *MINI, TARGET)
    who = f"process {os.getpid()} on " if known else "a run of an earlier version"
    assert (
        process.returncode == 1 and f"another run works on these results: {who}" in process.stderr
    )
    assert "snakemake --unlock" in process.stderr and "Traceback" not in process.stderr
    assert not (folder / TARGET).exists()
    assert snakemake(folder, "--dry-run", *MINI, TARGET).returncode == 0
