"""Each cure of `workflow.slurm_polling` on a real SLURM, beside the bare plugin that needs it.

When a case fails with the bare plugin because that does it right now, its cure can go.
"""

import asyncio
import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import snakemake_executor_plugin_slurm as plugin
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from records.files import write_json
from tests.cluster.two_nodes import ask, controller_away, two_nodes, wait_for
from workflow.endings import read_ending
from workflow.slurm_polling import PatientExecutor, is_controller_there

pytestmark = pytest.mark.slow
MORE = """\
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
PartitionName=low Nodes=n1,n2 PriorityTier=1 PreemptMode=CANCEL State=UP
PartitionName=urgent Nodes=n1,n2 PriorityTier=10 PreemptMode=OFF State=UP
PartitionName=short Nodes=n1,n2 MaxTime=1 State=UP
"""
BARE, PATIENT = plugin.Executor, PatientExecutor


class Job(SimpleNamespace):
    __hash__ = object.__hash__


@contextmanager
def run_cluster(folder, more):
    """Run a cluster that this process uses too, with a sacct that notes that it was called."""
    with two_nodes(folder, more) as environment, pytest.MonkeyPatch.context() as patch:
        sacct = folder / "bin" / "sacct"
        sacct.write_text(f'#!/bin/sh\necho "$@" >> {folder}/sacct-was-asked\nexit 1\n')
        sacct.chmod(0o755)
        for name, value in environment.items():
            patch.setenv(name, value)
        yield SimpleNamespace(folder=folder, environment=environment)


@pytest.fixture(scope="module")
def cluster(installed, tmp_path_factory):
    with run_cluster(tmp_path_factory.mktemp("cluster"), MORE) as cluster:
        yield cluster


@pytest.fixture
def asked(cluster):
    """The file that appears when somebody asks for accounting, of which this cluster has none."""
    path = cluster.folder / "sacct-was-asked"
    path.unlink(missing_ok=True)
    return path


class Log(list):
    """Takes what an executor logs and reports."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *words, **_: self.append((name, *map(str, words)))


class NoLimit:
    async def __aenter__(self):
        pass

    async def __aexit__(self, *_):
        pass


def make_executor(kind, folder):
    """An executor without the thread that would ask of its own accord."""
    log, executor = Log(), object.__new__(kind)
    settings = plugin.ExecutorSettings(
        status_command="squeue", init_seconds_before_status_checks=1, status_attempts=2
    )
    executor.workflow = SimpleNamespace(
        executor_settings=settings, workdir_init=folder, scheduler=Log()
    )
    executor.logger, executor.status_rate_limiter = log, NoLimit()
    executor._next_seconds_between_status_checks = 1
    executor.__post_init__(test_mode=True)
    executor.report_job_success = lambda job: log.append(("success", job.external_jobid))
    executor.report_job_error = lambda job, **_: log.append(("error", job.external_jobid))
    return executor, log


def submit(executor, *options, script="sleep 300", **params):
    """Submit a job as the plugin does, under the executor's name; return what it keeps of it."""
    command = ["sbatch", "--parsable", "--output=/dev/null", "--mem=1", "--job-name"]
    done = subprocess.run(
        [*command, executor.run_uuid, *options, "--wrap", script],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    rule = SimpleNamespace(name="sample")
    job = Job(
        rule=rule, params=params, resources={"mem_mb": 1}, attempt=1, restart_times=0,
        is_group=lambda: False, wildcards=None,
    )  # fmt: skip
    return SubmittedJobInfo(
        job, external_jobid=done.stdout.strip(), aux={"slurm_logfile": Path("none.log")}
    )


def look(executor, *jobs):
    """Look at jobs once; return those that go on."""

    async def collect():
        return [one async for one in executor.check_active_jobs(list(jobs))]

    return asyncio.run(collect())


def find_state(job):
    said = ask({}, "squeue", "--noheader", "--states=all", f"--jobs={job.external_jobid}", "-o%T")
    return (said or "").strip()


def find_reports(log):
    return [one for one in log if one[0] in ("success", "error")]


@pytest.mark.parametrize("kind", [BARE, PATIENT])
def test_a_controller_that_is_away_during_a_poll(kind, cluster, asked, tmp_path):
    executor, log = make_executor(kind, tmp_path)
    job = submit(executor, script="sleep 1")
    with controller_away(cluster.folder, cluster.environment):
        assert not is_controller_there(patience_s=10.0)
        goes_on = look(executor, job)
    if kind is BARE:
        assert goes_on == [] and not find_reports(log) and asked.exists()  # it is forgotten
        return
    assert goes_on == [job] and not asked.exists()
    assert any("controller does not answer" in str(one) for one in log)
    wait_for(lambda: find_state(job) == "COMPLETED", "the job is over")
    assert look(executor, job) == [] and find_reports(log) == [("success", job.external_jobid)]


@pytest.mark.parametrize("kind", [BARE, PATIENT])
def test_a_job_that_is_preempted_for_good(kind, cluster, tmp_path):
    executor, log = make_executor(kind, tmp_path)
    job = submit(executor, "--partition=low", "--nodelist=n1")
    wait_for(lambda: find_state(job) == "RUNNING", "the job runs")
    other = submit(executor, "--partition=urgent", "--nodelist=n1", script="sleep 3")
    wait_for(lambda: find_state(job) == "PREEMPTED", "the job is preempted")
    goes_on = [look(executor, job) for _ in range(4 if kind is BARE else 2)]
    ask({}, "scancel", other.external_jobid)
    if kind is BARE:
        assert goes_on == [[job]] * 4 and not find_reports(log)  # it is waited for
        return
    assert goes_on == [[job], []]
    assert ("error_callback", str(job.job)) in executor.workflow.scheduler
    assert job.job.attempt == 0 and not find_reports(log)  # nothing is counted


def test_nobody_asks_for_accounting(cluster, asked, tmp_path):
    job = SimpleNamespace(resources={})
    executor, _ = make_executor(PATIENT, tmp_path)
    assert list(executor.get_account_arg(job)) == [""] and not asked.exists()
    bare, _ = make_executor(BARE, tmp_path)
    assert list(bare.get_account_arg(job)) == [""] and asked.exists()


@pytest.mark.parametrize("kind", [BARE, PATIENT])
def test_a_job_that_cannot_start_is_told_of(kind, cluster, tmp_path):
    executor, log = make_executor(kind, tmp_path)
    job = submit(executor, "--partition=short", "--time=10")
    wait_for(lambda: find_state(job) == "PENDING", "the job waits")
    time.sleep(3.0)
    for _ in range(2):
        assert look(executor, job) == [job]
    ask({}, "scancel", job.external_jobid)
    told = [one for one in log if "PartitionTimeLimit" in str(one)]
    assert len(told) == (kind is PATIENT)
    if told:
        assert "lower walltime_minutes" in told[0][1] and job.external_jobid in told[0][1]
    assert executor.next_seconds_between_status_checks <= 60


@pytest.mark.parametrize(
    ("reason", "can_help", "attempt"),
    [("stopped", True, 0), ("failed", True, 1), ("diverged", False, 4)],
)
def test_what_ended_a_job_decides_about_the_next_attempt(
    reason, can_help, attempt, cluster, tmp_path
):
    executor, log = make_executor(PATIENT, tmp_path)
    ended = tmp_path / "ended.json"
    job = submit(executor, script="exit 1", ended=str(ended))
    job.job.restart_times = 3
    about = {"sentence": "no way", "attempt": "a", "cluster_job": job.external_jobid}
    write_json(ended, {**about, "reason": reason, "can_help": can_help})
    wait_for(lambda: find_state(job) == "FAILED", "the job has failed")
    assert look(executor, job) == [] and job.job.attempt == attempt
    assert bool(find_reports(log)) == (reason != "stopped")
    write_json(ended, {**about, "reason": "stopped", "can_help": True, "cluster_job": "1"})
    other = submit(executor, script="exit 1", ended=str(ended))
    wait_for(lambda: find_state(other) == "FAILED", "the job has failed")
    assert look(executor, other) == [] and other.job.attempt == 1  # another attempt's word


@pytest.mark.parametrize(("had_output", "is_whole"), [(False, True), (True, True), (False, False)])
def test_a_job_that_died_after_it_had_finished(had_output, is_whole, cluster, tmp_path):
    executor, log = make_executor(PATIENT, tmp_path)
    executor.rules = {"sample": SimpleNamespace(is_whole=lambda _: is_whole)}
    job = submit(executor, script="kill -9 $$")
    executor._had_output[job.job] = had_output
    wait_for(lambda: find_state(job) == "FAILED", "the job has failed")
    assert look(executor, job) == []
    done = is_whole and not had_output
    assert find_reports(log) == [("success", job.external_jobid)] * done
    assert len(executor.workflow.scheduler) == 1 - done


@pytest.mark.parametrize("has_saved", [True, False])
def test_a_job_whose_time_is_up_goes_on_if_it_has_saved_something(has_saved, tmp_path):
    executor, log = make_executor(PATIENT, tmp_path)
    ended = tmp_path / "ended.json"
    job = SubmittedJobInfo(
        Job(
            rule=SimpleNamespace(name="evaluate"), params={"ended": str(ended), "attempt": "a"},
            resources={"runtime": 60}, attempt=1, restart_times=3, is_group=lambda: False,
            wildcards=None,
        ),
        external_jobid="7", aux={},
    )  # fmt: skip
    executor.rules = {"evaluate": SimpleNamespace(list_saved=lambda _: {"part": 2})}
    executor._saved[job.job] = {"part": 1} if has_saved else {"part": 2}
    executor._report_end(job, "TIMEOUT")
    assert job.job.attempt == (0 if has_saved else 4)
    assert find_reports(log) == ([] if has_saved else [("error", "7")])
    ending = read_ending(ended)
    assert (ending is None) == has_saved
    if ending:
        assert (ending.reason, ending.can_help, ending.attempt) == ("out of time", False, "a")
        assert "at the 60 minutes that it had asked for, before it had saved" in ending.sentence
        assert "--set-resources evaluate:runtime=MINUTES" in ending.sentence


NO_STEP = "srun: error: Unable to confirm allocation for job 1: Unable to contact slurm controller"


@pytest.mark.parametrize(("said", "attempt"), [(NO_STEP, 0), ("srun: error: no such option", 1)])
def test_a_job_whose_step_met_no_controller(said, attempt, cluster, tmp_path):
    executor, _ = make_executor(PATIENT, tmp_path)
    job = submit(executor, script="exit 1")
    job.aux["slurm_logfile"] = tmp_path / "1.log"
    job.aux["slurm_logfile"].write_text(f"Execute 1 jobs...\n{said}\n")
    wait_for(lambda: find_state(job) == "FAILED", "the job has failed")
    assert look(executor, job) == [] and job.job.attempt == attempt


@pytest.mark.parametrize(("script", "attempt"), [("kill -9 $$", 0), ("exit 137", 0), ("exit 2", 1)])
def test_a_job_that_died_without_a_word(script, attempt, cluster, tmp_path):
    executor, _ = make_executor(PATIENT, tmp_path)
    job = submit(executor, script=script)
    wait_for(lambda: find_state(job) == "FAILED", "the job has failed")
    assert look(executor, job) == [] and job.job.attempt == attempt


def test_a_submission_waits_for_the_controller(cluster, tmp_path, monkeypatch):
    executor, log = make_executor(PATIENT, tmp_path)
    submitted = []
    monkeypatch.setattr(BARE, "run_job", lambda self, job: submitted.append(job))
    monkeypatch.setattr("workflow.slurm_polling.time.sleep", lambda _: None)
    answers = iter([False, False, True])
    monkeypatch.setattr("workflow.slurm_polling.is_controller_there", lambda: next(answers))
    job = Job(output=["none"], is_group=lambda: True)
    executor.run_job(job)
    assert submitted == [job] and len(log) >= 2 and executor._had_output == {job: False}
    answers = iter([True])
    executor._report_job_error_threadsafe(
        SimpleNamespace(job=job),
        "Batch job submission failed: Unable to contact slurm controller",
    )
    assert submitted == [job, job]


def test_squeue_is_found_where_the_cluster_is(cluster):
    assert Path(os.environ["SLURM_CONF"]).is_relative_to(cluster.folder)


@pytest.fixture(scope="module")
def forgetful(installed, tmp_path_factory):
    """A cluster that forgets jobs as soon as it can."""
    with run_cluster(tmp_path_factory.mktemp("forgetful"), "MinJobAge=2\n") as cluster:
        yield cluster


@pytest.mark.parametrize("done", [False, True])
def test_a_job_that_slurm_has_forgotten(done, forgetful, tmp_path):
    asked = forgetful.folder / "sacct-was-asked"
    executor, log = make_executor(PATIENT, tmp_path)
    executor.rules = {"sample": SimpleNamespace(is_whole=lambda _: done)}
    bare, bare_log = make_executor(BARE, tmp_path)
    job, bare_job = submit(executor, script="true"), submit(bare, script="true")
    wait_for(lambda: not find_state(job) and not find_state(bare_job), "forgotten", seconds=120)
    goes_on = [look(executor, job) for _ in range(2)]
    assert goes_on == [[job], []]
    assert find_reports(log) == [("success", job.external_jobid)] * done
    assert len(executor.workflow.scheduler) == 1 - done
    assert not asked.exists()
    assert look(bare, bare_job) in ([], [bare_job]) and not find_reports(bare_log)
    asked.unlink(missing_ok=True)
