"""The profile for SLURM without a cluster: what is planned, what jobs ask for, what is refused."""

import os
import re
import shutil
from math import inf
from types import SimpleNamespace

import pytest

from records.errors import UserError
from tests.workflow.conftest import MINI, ROOT, snakemake
from workflow import slurm as module
from workflow.graph import make_kinds
from workflow.settings import load_plan
from workflow.slurm import (
    Partitions,
    cancel_slurm_jobs,
    check_cluster,
    explain_no_start,
    explain_pending,
    explain_refusal,
    find_partitions,
    list_partitions,
    list_slurm_jobs,
    parse_minutes,
)


@pytest.mark.parametrize(
    ("arguments", "first", "counts"),
    [
        (
            "--profile slurm reproduce_table4",
            "scale paper, source retrain, results in results/paper",
            {"train": 24, "sample": 15, "evaluate": 15, "table": 1},
        ),
        (
            "--profile slurm --config source=rescore -- reproduce_table4",
            "scale paper, source rescore, results in results/paper",
            {"train": 0, "sample": 0, "evaluate": 23, "table": 1},
        ),
        (
            "--profile slurm --config scale=digits -- reproduce_table3",
            "scale digits, source retrain, results in results/digits",
            {"train": 14, "sample": 18, "evaluate": 18, "table": 1},
        ),
    ],
)
def test_what_the_commands_plan_as_typed(arguments, first, counts):
    process = snakemake(ROOT, "--dry-run", *arguments.split())
    assert process.returncode == 0, process.stdout + process.stderr
    profile, second, *_ = process.stderr.split("\n")
    assert profile.startswith("Using profile slurm") and second == first
    assert first not in process.stdout
    jobs = re.findall(
        r"^rule (\w+):\n(?: .*\n)*?    resources: (.*)$", process.stdout, re.MULTILINE
    )
    rules = [rule for rule, _ in jobs]
    assert {rule: rules.count(rule) for rule in counts} == counts
    kinds = make_kinds(load_plan({"scale": "paper"}))
    for rule, resources in jobs:
        asks = re.search(r"\bgpu=(\d)", resources)
        wanted = "paper" in first and rule in kinds and kinds[rule].on_device
        wanted &= rule != "sample"  # all of them join what several jobs have drawn
        assert int(asks[1] if asks else 0) == wanted, rule


def make_command(folder, name, script):
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """A folder that is all of PATH, with an sbatch that nobody calls."""
    folder = tmp_path / "commands"
    folder.mkdir()
    make_command(folder, "sbatch", "exit 1")
    (folder / "sleep").symlink_to(shutil.which("sleep"))
    monkeypatch.setenv("PATH", str(folder))
    return folder


def make_job(rule, *, is_local=False, **resources):
    return SimpleNamespace(rule=SimpleNamespace(name=rule), is_local=is_local, resources=resources)


def test_partitions_are_those_that_sinfo_names(commands):
    say = '[ "$*" = "--all --noheader --format=%P|%l" ] && echo "cpu*|30:00\ngpu|infinite"'
    make_command(commands, "sinfo", say)
    assert list_partitions() == Partitions({"cpu": 30, "gpu": inf}, "cpu")
    check_cluster([make_job("train", slurm_partition="gpu"), make_job("evaluate")])
    with pytest.raises(UserError) as caught:
        check_cluster(
            [
                make_job("train", slurm_partition="gpu"),
                make_job("sample", slurm_partition="gpus"),
                make_job("evaluate", slurm_partition="cpu,gpus"),
            ]
        )
    assert str(caught.value) == (
        "slurm_partition: got 'gpus' (rules evaluate, sample); needed: one of cpu, gpu; name it in "
        "slurm/config.yaml or where the command line says slurm_partition"
    )


def test_partitions_of_local_jobs_and_of_other_clusters_are_not_looked_for(commands):
    make_command(commands, "sinfo", "echo 'cpu|infinite'")
    check_cluster([make_job("table", is_local=True, slurm_partition="nope")])
    other = make_job("train", slurm_partition="nope", slurm_cluster="elsewhere")
    assert find_partitions([other]) == {}
    assert find_partitions([make_job("train", slurm_partition="<TBD>")]) == {}
    assert find_partitions([make_job("train", slurm_partition=7)]) == {"7": ["train"]}


def test_more_time_than_a_partition_allows_is_refused(commands):
    make_command(commands, "sinfo", "echo 'cpu*|30:00\ngpu|1-00:00:00'")
    for told in (
        {"runtime": 30},
        {"runtime": 60, "slurm_partition": "cpu,gpu"},
        {"runtime": 60, "qos": "long"},
        {"runtime": 60, "slurm_cluster": "elsewhere"},
        {"runtime": "<TBD>"},
    ):
        check_cluster([make_job("train", **told)])
    check_cluster([make_job("table", is_local=True, runtime=60)])
    for told, name, limit in (({}, "cpu", 30), ({"slurm_partition": "gpu"}, "gpu", 1440)):
        with pytest.raises(UserError) as caught:
            check_cluster([make_job("train", runtime=2000, **told)])
        assert str(caught.value) == (
            f"partition {name}: allows {limit} minutes, and rule train asks for 2000; lower "
            "walltime_minutes in slurm/defaults.yaml, or name another partition in "
            "slurm/config.yaml"
        )
    assert Partitions({"cpu": 30}, None).find_limit(None) == inf


def test_a_controller_that_does_not_answer_is_told_of(commands):
    make_command(commands, "sinfo", "echo 'sinfo: error: down' >&2; exit 1")
    said = "executor slurm: `sinfo` has no answer from SLURM's controller ({}); start this again "
    with pytest.raises(UserError, match=re.escape(said.format("error: down"))):
        list_partitions()
    make_command(commands, "sinfo", "exit 3")
    with pytest.raises(UserError, match=re.escape(said.format("exit status 3"))):
        list_partitions()
    make_command(commands, "sinfo", "exec sleep 60")
    with pytest.raises(UserError, match=re.escape(said.format("nothing in 0.2 s"))):
        list_partitions(patience_s=0.2)


@pytest.mark.parametrize(
    ("command", "ask"),
    [
        ("sinfo", lambda wait_s: list_partitions(wait_s=wait_s).minutes),
        ("squeue", lambda wait_s: list_slurm_jobs("me", wait_s=wait_s)),
        ("scancel", lambda wait_s: cancel_slurm_jobs(["5"])),
    ],
)
def test_a_start_waits_for_a_controller_that_is_away(command, ask, commands, monkeypatch, capsys):
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    away = "echo 'error: Unable to contact slurm controller (connect failure)' >&2; exit 1"
    make_command(
        commands,
        command,
        f"[ -e {commands}/2 ] && exit; [ -e {commands}/1 ] && : > "
        f"{commands}/2; : > {commands}/1; {away}",
    )
    assert not ask(60.0)
    said = "SLURM's controller does not answer; it is waited for, {} s at most\n"
    assert capsys.readouterr().err == said.format(90 if command == "scancel" else 60)
    make_command(commands, command, "echo 'error: Access denied' >&2; exit 1")
    with pytest.raises(UserError, match="Access denied"):
        ask(60.0)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("(ReqNodeNotAvail, UnavailableNodes:n1)", "are down, drained or reserved"),
        ("AssocMaxJobsLimit", "a limit of your account is reached"),
        ("QOSMaxJobsPerUserLimit", "a limit of its QOS is reached"),
        ("JobHeldUser", "scontrol release"),
        ("launch failed requeued held", "its node could not start it"),
        ("(job requeued in held state)", "scontrol release"),
        ("Resources", None),
        ("Priority", None),
        ("None", None),
    ],
)
def test_a_job_that_waits_for_what_does_not_come_is_explained(reason, words):
    said = explain_pending(reason)
    assert (said is None) == (words is None) and (words is None or words in said)


def test_what_sbatch_refuses_for_good_is_told_in_a_sentence():
    said = (
        "SLURM sbatch failed. The error message was 'sbatch: error: CPU count per node can not be "
        "satisfied\nsbatch: error: Batch job submission failed: {}'.\n"
        "    sbatch call:\n        sbatch --parsable --wrap='Invalid account'\n"
    )
    told = explain_refusal(said.format("Requested node configuration is not available"))
    assert told == (
        "SLURM refuses the job: CPU count per node can not be satisfied; Batch job submission "
        "failed: Requested node configuration is not available: no node has as many GPUs and CPUs, "
        "or as much memory, as it asks for; lower processes_per_node, or processes_per_training, "
        "in slurm/defaults.yaml, or name another partition in slurm/config.yaml"
    )
    assert explain_refusal(said.format("Job violates accounting/QOS policy")) is None
    assert explain_refusal("") is None


@pytest.mark.parametrize("words", ["{}: not found", "execve(): {}: No such file or directory"])
def test_a_node_without_the_environment_is_told_of(words, tmp_path):
    log, python = tmp_path / "7.log", "/opt/env/bin/python"
    share = f"put that and {os.getcwd()} where all nodes see them. "
    assert explain_no_start(log, python) == (
        f"It left no log, as where its node does not see {python}; {share}"
    )
    log.write_text(f"slurm_script: 4: {words.format(python)}\n")
    assert explain_no_start(log, python) == f"Its node does not see {python}; {share}"
    log.write_text("Building DAG of jobs...\n")
    assert explain_no_start(log, python) == explain_no_start(None, python) == ""


def test_no_slurm_is_told_of_before_anything_else(commands, project, tmp_path):
    (commands / "sbatch").unlink()
    check_cluster([make_job("table", is_local=True)])  # needs none
    with pytest.raises(UserError, match="executor slurm: SLURM's command sbatch is not on this m"):
        check_cluster([make_job("train")])
    for name in ("bash", "sh", "which"):
        (commands / name).symlink_to(shutil.which(name, path=os.defpath))
    results = tmp_path / "results"
    arguments = ["--profile", "slurm", *MINI[:-1], f"results={results}", "--", "reproduce_table3"]
    assert snakemake(project, "--dry-run", *arguments).returncode == 0
    process = snakemake(project, *arguments)
    output = process.stdout + process.stderr
    assert process.returncode != 0
    assert "sbatch is not on this machine; start this on a login node of your cluster" in output
    assert "Traceback" not in output and not list(results.rglob("*.*"))


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("30", 30),
        ("30:00", 30),
        ("1:30:00", 90),
        ("1-00:00:00", 1440),
        ("2-12", 3600),
        ("1-01:30", 1530),
        ("infinite", float("inf")),
        ("n/a", float("inf")),
    ],
)
def test_slurms_times_are_read(text, minutes):
    assert parse_minutes(text) == minutes
