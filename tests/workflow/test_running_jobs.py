"""Jobs that outlived their run are found by SLURM's word and by locks, and awaited or cancelled."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from adm.datasets.prepare import state_folder
from records.errors import UserError
from records.locks import exclusive_lock, find_holder
from workflow import running_jobs as module
from workflow.finished_work import unfinished_folder
from workflow.graph import Graph
from workflow.running_jobs import await_running, find_running, name_jobs
from workflow.settings import load_plan

SAMPLE = ("sample", "t3_uncond")
HOLD = (
    "import sys, time\nfrom records.locks import exclusive_lock\n"
    "with exclusive_lock(sys.argv[1], 'x'):\n    print('held', flush=True)\n    time.sleep(60)"
)


@pytest.fixture
def config(tmp_path):
    return {"results": str(tmp_path / "results")}


@pytest.fixture
def graph(config):
    return Graph(load_plan(config))


@pytest.fixture
def held(graph):
    """A process that holds the lock of a batch."""
    path = f"{graph.describe(SAMPLE).identity['shards']}/lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process, Path(path)
        process.kill()


def test_who_holds_a_lock_is_named_with_its_slurm_job(tmp_path, monkeypatch):
    path = tmp_path / "lock"
    assert find_holder(path) is None
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with exclusive_lock(path, "x"):
        words = f"process {os.getpid()} on {os.uname().nodename}, SLURM job 7"
        assert find_holder(path) == words
        with pytest.raises(UserError, match=words) as caught, exclusive_lock(path, "x"):
            pass
    assert caught.value.exit_code == 75 and find_holder(path) is None


def test_a_process_that_holds_a_lock_is_waited_for(graph, held, capsys):
    process, _ = held
    naps = []

    def sleep(seconds):
        naps.append(seconds)
        if len(naps) == 2:
            process.kill()
            process.wait()

    await_running(graph, on_slurm=False, sleep=sleep)
    said = capsys.readouterr().err
    assert len(naps) == 2 and said.count("\n") == 1
    assert f"sample t3_uncond (process {process.pid} on " in said and "are waited for" in said


def test_a_process_is_cancelled_where_that_is_asked_for(config, held, capsys):
    process, path = held
    graph = Graph(load_plan({**config, "running_jobs": "cancel"}))
    await_running(graph, on_slurm=False, sleep=lambda _: process.wait(timeout=10))
    assert process.returncode == -signal.SIGTERM and find_holder(path) is None
    assert "are cancelled: sample t3_uncond" in capsys.readouterr().err


def test_slurm_jobs_are_ours_by_name_and_folder(graph, held, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "find_holder", lambda _: "process 1 on n1, SLURM job 5")
    monkeypatch.chdir(tmp_path)
    ours = f"{name_jobs(graph)}_uuid"
    listed = [
        ["5", "RUNNING", ours, str(tmp_path), "rule_sample_wildcards_t3_uncond"],
        ["6", "RUNNING", ours, "/elsewhere", "rule_sample"],
        ["7", "PENDING", "another", str(tmp_path), "rule_train"],
    ]
    monkeypatch.setattr(module, "list_slurm_jobs", lambda user: listed)
    (found,) = find_running(graph, on_slurm=True)  # its lock is not listed again
    assert found.words == "SLURM job 5 (rule_sample_wildcards_t3_uncond, RUNNING)"
    other = Graph(load_plan({"results": str(tmp_path / "other")}))
    assert name_jobs(other) != name_jobs(graph)


def test_a_controller_that_is_away_for_a_while_ends_no_wait(graph, monkeypatch, capsys):
    looks = iter([[module.Running("SLURM job 5", "5")], UserError("away"), UserError("away"), []])

    def find(*_, **__):
        found = next(looks)
        if isinstance(found, UserError):
            raise found
        return found

    monkeypatch.setattr(module, "find_running", find)
    naps = []
    await_running(graph, on_slurm=True, sleep=naps.append)
    assert len(naps) == 3 and capsys.readouterr().err.count("\n") == 1
    looks = iter([UserError("away")])
    with pytest.raises(UserError, match="away"):
        await_running(graph, on_slurm=True, sleep=naps.append)


def test_nothing_runs(graph, capsys):
    await_running(graph, on_slurm=False, sleep=lambda _: pytest.fail("it waited"))
    assert capsys.readouterr().err == ""


def test_the_folder_of_an_unfinished_image_set_is_known_on_both_sides(tmp_path):
    assert unfinished_folder(str(tmp_path / "x.zip")) == state_folder(tmp_path / "x.zip")
