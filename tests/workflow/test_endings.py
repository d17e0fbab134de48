"""Why a job ended is noted by the frame of its command, and what cannot succeed is not repeated."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.cluster.two_nodes import wait_for
from tests.workflow.conftest import (
    KEEP,
    MINI,
    ROOT,
    copy_project,
    cut_tables,
    mini_scale,
    snakemake,
    write_params,
)
from workflow.endings import make_ending, read_ending
from workflow.failures import describe_failure
from workflow.rule_parts import find_command, run
from workflow.slurm import REFUSED

TARGET = "results/mini/data/imagenet_256.zip"


def start(folder, script, *, attempt="a" * 64, ended="state/ended.json", **environment):
    """Run a command in the frame, in a process group of its own."""
    command = run(script).replace("{input:q}", "").replace("{threads:q}", "1")
    command = command.replace("{output:q}", "made")
    names = {"{params.ended:q}": ended, "{params.attempt:q}": attempt}
    for name, value in {**names, "{log:q}": "job.log", "{{": "{", "}}": "}"}.items():
        command = command.replace(name, value)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path, **environment}
    return subprocess.Popen(["bash", "-c", command], cwd=folder, env=settings, process_group=0)


def attempt(folder, script, **settings):
    process = start(folder, script, **settings)
    process.wait(timeout=60)
    return process.returncode, read_ending(folder / "state/ended.json")


@pytest.mark.parametrize(
    ("code", "reason", "can_help"),
    [
        (1, "failed", True),
        (2, "failed", True),
        (3, "bad spec", False),
        (4, "diverged", False),
        (5, "out of memory", False),
        (75, "busy", True),
        (130, "stopped", True),
        (137, "killed", True),
        (143, "stopped", True),
    ],
)
def test_the_exit_code_says_why(tmp_path, code, reason, can_help):
    script = f"echo 'error: no way' >&2; (exit {code}); echo never"
    found, ending = attempt(tmp_path, script, SLURM_JOB_ID="7")
    assert found == code and "never" not in (tmp_path / "job.log").read_text()
    assert (ending.reason, ending.can_help, ending.sentence) == (reason, can_help, "no way")
    assert (ending.attempt, ending.cluster_job) == ("a" * 64, "7")


def test_what_snakemake_has_left_there_is_finished(tmp_path):
    (tmp_path / "made").touch()
    assert attempt(tmp_path, "touch ran") == (0, None)
    assert not (tmp_path / "ran").exists()
    assert "had been finished by an attempt before" in (tmp_path / "job.log").read_text()


def test_a_job_waits_for_one_that_a_kill_has_left_and_is_busy_where_that_goes_on(tmp_path):
    first = start(tmp_path, "sleep 60")
    path = tmp_path / "state/ended.lock"
    wait_for(lambda: path.exists() and path.read_text(), "the lock is held")
    second = start(tmp_path, "touch ran")
    time.sleep(1.5)
    assert second.poll() is None
    os.killpg(first.pid, signal.SIGKILL)
    assert (first.wait(), second.wait(timeout=10)) == (-signal.SIGKILL, 0)
    assert (tmp_path / "ran").exists()
    third = start(tmp_path, "sleep 60")
    wait_for(lambda: path.read_text().startswith(f"process {third.pid} on "), "it is held")
    code, ending = attempt(tmp_path, "touch never")
    os.killpg(third.pid, signal.SIGKILL)
    third.wait()
    assert (code, ending.reason) == (75, "busy") and not (tmp_path / "never").exists()
    assert f"held by process {third.pid} on {os.uname().nodename}; wait" in ending.sentence


def test_what_cannot_succeed_is_refused_until_something_changes(tmp_path):
    attempt(tmp_path, "echo 'error: no way' >&2; exit 4")
    code, ending = attempt(tmp_path, "touch ran")
    assert code == 2 and not (tmp_path / "ran").exists() and ending.reason == "diverged"
    log = (tmp_path / "job.log").read_text()
    assert "error: no way (this ended the attempt before, diverged" in log
    assert "delete state/ended.json" in log and log.count("== attempt") == 2
    assert attempt(tmp_path, "touch ran", attempt="b" * 64) == (0, None)
    assert (tmp_path / "ran").exists()
    attempt(tmp_path, "exit 4", attempt="b" * 64)
    (tmp_path / "state/ended.json").unlink()
    assert attempt(tmp_path, "true", attempt="b" * 64) == (0, None)


@pytest.mark.parametrize("code", [1, 2, 137, 143])
def test_what_may_succeed_is_tried_again(tmp_path, code):
    attempt(tmp_path, f"exit {code}")
    assert attempt(tmp_path, "touch ran") == (0, None) and (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"can_help": false}'])
def test_a_broken_file_refuses_nothing(tmp_path, content):
    (tmp_path / "state").mkdir()
    (tmp_path / "state/ended.json").write_text(content)
    assert attempt(tmp_path, "true") == (0, None)


def test_a_log_that_was_deleted_goes_on(tmp_path):
    for number in range(3):
        attempt(tmp_path, f"echo number {number}")
        log = (tmp_path / "job.log").read_text()
        (tmp_path / "job.log").unlink()
    assert log.count("== attempt") == 3 and log.endswith("number 2\n") and "number 0" in log


@pytest.mark.parametrize("is_deleted", [True, False])  # as Snakemake does before an attempt, or not
def test_a_sealed_log_goes_on_and_what_dvc_keeps_stays(tmp_path, is_deleted):
    attempt(tmp_path, "echo first")
    log, sealed = tmp_path / "job.log", tmp_path / "sealed"
    log.chmod(0o444)
    sealed.hardlink_to(log)
    before = sealed.read_bytes()
    if is_deleted:
        log.unlink()
    for word in ("second", "third"):
        assert attempt(tmp_path, f"echo {word}") == (0, None)
    assert log.read_text().startswith(before.decode()) and log.read_text().endswith("third\n")
    assert sealed.read_bytes() == before and sealed.stat().st_nlink == 1
    assert log.samefile(tmp_path / "state/ended.log") and log.stat().st_mode & 0o200
    assert not [*tmp_path.rglob("*.new")]


def test_a_signal_waits_for_the_program_to_save(tmp_path):
    program = (
        "import signal, sys, time\n"
        "def stop(*_):\n    time.sleep(0.5); open('saved', 'w'); sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, stop); open('ready', 'w'); time.sleep(60)"
    )
    (tmp_path / "program.py").write_text(program)
    process = start(tmp_path, "python program.py")
    while not (tmp_path / "ready").exists():
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(timeout=30) == 143 and (tmp_path / "saved").exists()
    assert read_ending(tmp_path / "state/ended.json").reason == "stopped"


def test_memory_that_ran_out_is_told_apart_from_a_kill(tmp_path):
    log = tmp_path / "job.log"
    log.write_text("== attempt 1\nerror: of before\n== attempt 2\n 50%|#\rKilled\n")
    about = {"attempt": "a"}
    assert make_ending(137, log, **about).reason == "killed"
    assert make_ending(137, log, **about).sentence == "Killed"
    assert make_ending(137, log, **about, out_of_memory=True).reason == "out of memory"
    log.write_text("Traceback\ntorch.OutOfMemoryError: CUDA out of memory.\n")
    ending = make_ending(1, log, **about)
    assert ending.reason == "out of memory" and not ending.can_help
    assert make_ending(2, tmp_path / "missing", **about).sentence == "exit code 2"


@pytest.mark.parametrize(("code", "reason"), [(4, "diverged"), (-9, "killed"), (1, "failed")])
def test_torchrun_says_the_exit_code_of_its_process(tmp_path, code, reason):
    log = tmp_path / "job.log"
    log.write_text(
        f"error: model a: diverged\nRoot Cause:\n  rank      : 0\n  exitcode  : {code} ("
    )
    assert make_ending(1, log, attempt="a").reason == reason


def test_a_failed_job_is_told_in_a_few_lines(tmp_path):
    log = tmp_path / "x.log"
    log.write_text("== attempt 1\nerror: no way\n")
    shell = run("python -m adm train --out x", writes_spec=True).replace("{{", "{")
    shell = shell.replace("}}", "}").replace("{params.spec:q}", """'{"a":1}'""")
    assert find_command(shell) == (
        """printf '%s\\n' '{"a":1}' > {output.spec:q}; python -m adm train --out x"""
    )
    told = {"rule_name": "train", "jobid": 3, "rule_msg": "SLURM-job '7' failed", "aux": {}}
    told |= {"log": [f"{log} (check log file(s) for error details)", "7.log"], "shellcmd": shell}
    assert describe_failure(told).splitlines()[:5] == [
        "Error in rule train, job 3:",
        "    error: no way",
        "    SLURM-job '7' failed",
        f"    log: {log}",
        "    SLURM's log: 7.log",
    ]
    log.write_text("== attempt 1 on n1, process 9, SLURM job 17\nerror: no way\n")
    for number, is_of_this_job in (("17", True), ("7", False)):
        one = {**told, "aux": {"external_jobid": number}}
        assert ("error: no way" in describe_failure(one)) == is_of_this_job
    own = tmp_path / "7.log"
    own.write_text("slurm_script: 4: python: not found\n")
    told |= {"log": [f"{log} (x)", f"{own} (x)"], "aux": {"external_jobid": "7"}}
    assert "    error: slurm_script: 4: python: not found" in describe_failure(told)
    refused = {**told, "rule_msg": f"{REFUSED}no such node", "aux": {}, "log": [str(log)]}
    _, second, third, *_ = describe_failure(refused).splitlines()
    assert second == "    error: SLURM refuses the job: no such node" and third == f"    log: {log}"
    bare = {**told, "aux": {}, "rule_msg": None, "log": [], "shellcmd": None}
    assert describe_failure(SimpleNamespace(**bare).__dict__) == "Error in rule train, job 3:"


def test_snakemake_shows_the_error_and_refuses_what_it_knows(tmp_path):
    folder = copy_project(tmp_path)
    write_params(folder, mini_tables=cut_tables(KEEP), mini=mini_scale())
    broken = "raise SystemExit(print('error: no way', file=__import__('sys').stderr) or 4)"
    program = folder / "adm" / "__main__.py"
    program.write_text(broken)
    process = snakemake(folder, *MINI, TARGET)
    said = process.stderr.partition("Error in rule dataset")[2]
    assert "    error: no way\n    log: results/mini/logs/data/imagenet_256.log\n" in said
    assert "    try it by hand: printf " in said and "python -m adm dataset" in said
    assert len(said.splitlines()) <= 12 and "CalledProcessError" not in process.stderr
    program.write_text("open('ran', 'w')")
    process = snakemake(folder, *MINI, TARGET)
    assert process.returncode == 1 and not (folder / "ran").exists()
    assert "error: no way (this ended the attempt before, diverged, and nothing" in process.stderr
    (ended,) = (folder / "results/mini/retrain/state/ended").glob("*.json")
    assert json.loads(ended.read_text())["reason"] == "diverged"
    log = (folder / "results/mini/logs/data/imagenet_256.log").read_text()
    assert log.count("== attempt ") == 2
