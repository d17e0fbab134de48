"""The literal command on a real SLURM: both nodes work, numbers are those of one machine."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from records.events import read_events
from tests.cluster.conftest import run
from tests.cluster.two_nodes import (
    ask,
    find_processes,
    two_nodes,
    wait_for,
    write_configuration,
)
from tests.workflow.conftest import (
    KEEP,
    MINI,
    copy_project,
    cut_tables,
    mini_scale,
    snakemake,
    write_params,
)

pytestmark = pytest.mark.slow
METRICS = "results/mini/retrain/metrics"
SOON = ["--slurm-init-seconds-before-status-checks", "5"]  # looks at jobs after 5 and 20 s
ON_THE_CLUSTER = {
    "dataset": 1, "network": 1, "reference": 1, "ceiling": 1, "train": 3, "accuracy": 1,
    "sample": 3, "evaluate": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def cluster(installed, tmp_path_factory):
    with two_nodes(tmp_path_factory.mktemp("cluster")) as environment:
        yield environment


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = copy_project(tmp_path_factory.mktemp("project"))
    tables = cut_tables({"table3": KEEP["table3"]})
    write_params(folder, mini_tables=tables, mini=mini_scale())
    return folder


@pytest.fixture(scope="module")
def local(project, tmp_path_factory):
    """Table 3 made without a cluster."""
    folder = tmp_path_factory.mktemp("local") / "project"
    shutil.copytree(project, folder)
    process = snakemake(folder, *MINI, "reproduce_table3")
    assert process.returncode == 0, process.stdout + process.stderr
    return folder


def list_jobs(cluster):
    """What SLURM knows of its jobs: state, node, partition, GPUs, and the rule of each."""
    lines = ask(cluster, "scontrol", "--oneliner", "show", "job").splitlines()
    jobs = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines if "JobId" in line]
    for job in jobs:
        job["rule"] = re.match("rule_([a-z]+)", job["Comment"])[1]
    return jobs


def snapshot(folder):
    """Every file of the results; what was kept of batches that are complete may go at any start."""
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted((folder / "results").rglob("*"))
        if path.is_file() and not path.match("state/samples-*/*")
    }


def test_both_nodes_make_the_table_that_one_machine_makes(project, local, cluster):
    process, output = run(project, cluster, "--profile", "slurm", *MINI, "reproduce_table3")
    assert process.returncode == 0, output
    profile, first, *_ = process.stderr.split("\n")
    assert profile.startswith("Using profile slurm")
    assert first == "scale mini, source retrain, results in results/mini"
    assert output.count(first) == 1
    jobs = list_jobs(cluster)
    assert {job["NodeList"] for job in jobs} == {"n1", "n2"}
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    rules = [job["rule"] for job in jobs]
    assert {rule: rules.count(rule) for rule in rules} == ON_THE_CLUSTER
    assert not any("gpu" in str(job) for job in jobs)
    made = [f"{METRICS}/{row}.json" for row in KEEP["table3"]]
    made += ["results/mini/metrics/real-imagenet_256.json", "results/mini/report/table3.csv"]
    for path in made:
        assert (project / path).read_bytes() == (local / path).read_bytes(), path
    assert not list((project / "logs").rglob("*.log"))  # SLURM's words on jobs that went well
    assert {path.name for path in project.iterdir()} - {path.name for path in local.iterdir()} == {
        "logs"
    }


@pytest.mark.parametrize(
    "option",
    [
        ["--default-resources", "slurm_partition=nope"],
        ["--set-resources", "evaluate:slurm_partition=main,nope"],
    ],
)
def test_a_partition_that_does_not_exist_is_refused(project, cluster, option):
    (project / METRICS / "t3_uncond.json").unlink(missing_ok=True)
    before, jobs = snapshot(project), list_jobs(cluster)
    process, output = run(
        project, cluster, "--profile", "slurm", *option, *MINI, "reproduce_table3"
    )
    assert process.returncode != 0
    assert (
        "slurm_partition: got 'nope' (rules evaluate); needed: one of main, other; name it in "
        "slurm/config.yaml or where the command line says slurm_partition"
    ) in output
    assert "Traceback" not in output
    assert snapshot(project) == before and list_jobs(cluster) == jobs


def test_a_job_that_computes_with_cuda_asks_for_one_gpu_and_its_partition(project, local, cluster):
    row = f"{METRICS}/t3_uncond.json"
    (project / row).unlink(missing_ok=True)
    jobs = list_jobs(cluster)
    # Whether it succeeds depends on a GPU that is really there.
    once = ["--profile", "slurm", "--retries", "0"]
    other = ["--set-resources", "evaluate:slurm_partition=other"]
    run(project, cluster, *once, *SOON, *other, *MINI[:-1], "device=cuda", "--", row)
    (job,) = list_jobs(cluster)[len(jobs) :]
    assert (job["rule"], job["Partition"]) == ("evaluate", "other")
    assert job["TresPerJob"] == "gres:gpu:1"
    # A failed job costs nothing but itself; here the profile is named by the environment.
    (project / row).unlink(missing_ok=True)
    process, output = run(
        project, cluster, *SOON, *MINI, "reproduce_table3", SNAKEMAKE_PROFILE="slurm"
    )
    assert process.returncode == 0, output
    assert [job["rule"] for job in list_jobs(cluster)[len(jobs) + 1 :]] == ["evaluate"]
    assert (project / row).read_bytes() == (local / row).read_bytes()


def test_a_controller_that_does_not_answer_is_told_of(installed, project, tmp_path):
    nobody, before = write_configuration(tmp_path), snapshot(project)
    process, output = run(project, nobody, "--profile", "slurm", "--forceall", *MINI, "metrics")
    assert process.returncode != 0
    assert "SLURM's controller does not answer; it is waited for, 90 s at most" in output
    assert (
        "executor slurm: `squeue` has no answer from SLURM's controller (slurm_load_jobs error: "
        "Unable to contact slurm controller (connect failure)); start this again once `sinfo` "
        "lists partitions"
    ) in output
    assert "Traceback" not in output and snapshot(project) == before


def test_nothing_of_a_cluster_outlives_it(installed, tmp_path):
    bystander = subprocess.Popen(["sleep", "300"], cwd=tmp_path)
    with pytest.raises(ZeroDivisionError), two_nodes(tmp_path) as environment:
        for _ in range(2):
            assert ask(
                environment, "sbatch", "--output=/dev/null", "--mem=1", "--wrap=srun sleep 300"
            )
        steps = {"slurmd", "slurmstepd", "sleep"}
        wait_for(
            lambda: [one.name() for one in find_processes(tmp_path)].count("sleep") == 2,
            "both jobs run",
        )
        assert steps < {one.name() for one in find_processes(tmp_path)}
        (node, *_) = [one for one in find_processes(tmp_path) if one.name() == "slurmd"]
        node.kill()  # its steps go on without it
        raise ZeroDivisionError
    assert not find_processes(tmp_path)
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_a_training_takes_both_nodes(local, cluster, tmp_path):
    """torchrun on each node; losses are those of one process."""
    folder = tmp_path / "project"
    shutil.copytree(local, folder, ignore=shutil.ignore_patterns("retrain", "logs", ".snakemake"))
    jobs = list_jobs(cluster)
    made = local.glob("results/mini/retrain/models/*/ema-*.safetensors")
    weights = [str(path.relative_to(local)) for path in made]
    spread = [*MINI[:-1], "processes_per_training=2", "processes_per_node=1", "--", *weights]
    process, output = run(folder, cluster, "--profile", "slurm", *spread)
    assert process.returncode == 0, output
    trained = [job for job in list_jobs(cluster)[len(jobs) :] if job["rule"] == "train"]
    assert trained and {job["NodeList"] for job in trained} == {"n[1-2]"}
    for path in (folder / "results/mini/retrain/events").glob("train-*.jsonl"):
        there, here = (read_events(root / path.relative_to(folder))[0] for root in (local, folder))
        (begun,) = [one for one in here if one["event"] == "start"]
        assert begun["processes"] == 2
        losses = [
            [one["loss"] for one in events if one["event"] == "progress"]
            for events in (there, here)
        ]
        assert losses[0] and losses[1] == pytest.approx(losses[0], rel=1e-4), path


def test_parts_of_batches_drawn_on_both_nodes_are_the_same_batches(local, cluster, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(local, folder, ignore=shutil.ignore_patterns("logs", ".snakemake"))
    for name in ("samples", "metrics", "state"):
        shutil.rmtree(folder / "results/mini/retrain" / name, ignore_errors=True)
    count = ["workflow", "plan", "--scale", "mini.yaml", "--tables", "mini_tables.yaml", "--write"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    subprocess.run([sys.executable, "-m", *count], cwd=folder, env=environment, check=True)
    jobs = list_jobs(cluster)
    cut = [*MINI[:-1], "shard_minutes=0.000001", "--", "reproduce_table3"]
    process, output = run(folder, cluster, "--profile", "slurm", *cut)
    assert process.returncode == 0, output
    drawn = [job for job in list_jobs(cluster)[len(jobs) :] if job["rule"] == "shard"]
    assert len(drawn) == 6 and {job["NodeList"] for job in drawn} == {"n1", "n2"}
    for path in [*folder.rglob("samples.npz"), *(folder / METRICS).glob("t3_*.json")]:
        if "manifest" not in path.name:
            assert path.read_bytes() == (local / path.relative_to(folder)).read_bytes(), path
    assert len(list(folder.rglob("samples.npz"))) >= 3
