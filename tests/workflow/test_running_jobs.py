"""Jobs that outlived their run are found by SLURM's word and by locks, and awaited or cancelled."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from adm.datasets.prepare import state_folder
from records.errors import UserError
from records.locks import exclusive_lock, find_holder
from tests.cluster.two_nodes import wait_for
from tests.workflow.test_endings import start
from workflow import running_jobs as module
from workflow.finished_work import unfinished_folder
from workflow.graph import Graph
from workflow.running_jobs import await_running, find_running, name_jobs
from workflow.settings import load_plan

JOBS = ("sample-t3_uncond", "evaluate-t3_uncond")


@pytest.fixture
def config(tmp_path):
    return {"results": str(tmp_path / "results")}


@pytest.fixture
def graph(config):
    return Graph(load_plan(config))


@pytest.fixture(params=JOBS)
def held(request, graph, tmp_path):
    """A job in the frame of its command, which holds the job's lock; and the lock."""
    layout = graph.plan.layout
    process = start(tmp_path, "sleep 60", ended=layout.ended(request.param))
    path = Path(layout.lock(request.param))
    wait_for(lambda: path.exists() and path.read_text(), "the lock is held")
    yield process, path, request.param.replace("-", " ")
    process.kill()
    process.wait()


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
    process, path, name = held
    naps = []

    def sleep(seconds):
        naps.append(seconds)
        if len(naps) == 2:
            for one in psutil.Process(process.pid).children():
                one.kill()
            process.wait()

    await_running(graph, on_slurm=False, sleep=sleep)
    said = capsys.readouterr().err
    assert len(naps) == 2 and said.count("\n") == 1
    assert f"{name} (process {process.pid} on " in said and "are waited for" in said
    assert find_holder(path) is None


def test_a_process_is_cancelled_where_that_is_asked_for(config, held, capsys):
    process, path, name = held
    graph = Graph(load_plan({**config, "running_jobs": "cancel"}))
    await_running(graph, on_slurm=False, sleep=lambda _: process.wait(timeout=10))
    assert process.returncode == 128 + signal.SIGTERM and find_holder(path) is None
    assert f"are cancelled: {name}" in capsys.readouterr().err


def test_what_a_kill_of_the_frame_leaves_still_holds_the_lock(graph, held):
    process, path, name = held
    (command,) = psutil.Process(process.pid).children()
    process.kill()
    process.wait()
    assert [one.words.startswith(name) for one in find_running(graph, on_slurm=False)] == [True]
    command.kill()
    wait_for(lambda: find_holder(path) is None, "the lock is free")


def test_slurm_jobs_are_ours_by_name_and_folder(graph, held, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "find_holder", lambda _: "process 1 on n1, SLURM job 5")
    monkeypatch.chdir(tmp_path)
    ours = f"{name_jobs(graph)}_uuid"
    listed = [
        ["5", "RUNNING", ours, str(tmp_path), "rule_sample_wildcards_t3_uncond"],
        ["6", "RUNNING", ours, "/elsewhere", "rule_sample"],
        ["7", "PENDING", "another", str(tmp_path), "rule_train"],
    ]
    monkeypatch.setattr(module, "list_slurm_jobs", lambda user, **_: listed)
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
