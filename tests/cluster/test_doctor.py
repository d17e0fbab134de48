"""The doctor on a real SLURM of two nodes: well, and with settings that the cluster cannot give."""

import subprocess
import sys

import pytest

from tests.cluster.conftest import make_environment
from tests.cluster.two_nodes import ask, two_nodes
from tests.workflow.conftest import copy_project

pytestmark = pytest.mark.slow
LIMITS = "PartitionName=short Nodes=n1,n2 State=UP MaxTime=600\n"


@pytest.fixture(scope="module")
def cluster(installed, tmp_path_factory):
    with two_nodes(tmp_path_factory.mktemp("cluster"), LIMITS) as environment:
        yield environment


@pytest.fixture
def project(tmp_path):
    (tmp_path / "project").mkdir()
    return copy_project(tmp_path / "project")


def see(folder, cluster, *arguments, code):
    command = [sys.executable, "-m", "workflow", "doctor", "--profile", "slurm", *arguments]
    done = subprocess.run(
        [*command, "--scale", "digits"], cwd=folder, env=make_environment(folder, cluster),
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return dict(line.split(": ", 1) for line in done.stdout.splitlines())


def choose(folder, **resources):
    """Name what every job asks for, where the shipped profile names nothing."""
    path = folder / "slurm/config.yaml"
    lines = "".join(f"  {key}: {value}\n" for key, value in resources.items())
    text = path.read_text().replace("default-resources:\n", f"default-resources:\n{lines}")
    path.write_text(text)


def test_a_cluster_on_which_all_is_well(project, cluster):
    said = see(project, cluster, code=0)
    assert list(said)[-7:] == [
        f"ok    {name}"
        for name in (
            *("controller", "accounting", "walltime", "largest job", "locks between nodes"),
            *("clock of a node", "packages of a node"),
        )
    ]
    assert said["ok    controller"] == "answers; partitions main, other, short"
    assert said["ok    walltime"] == "1440 minutes, which the partition allows"


def test_a_partition_that_is_not_there_is_named(project, cluster):
    choose(project, slurm_partition="gpu")
    said = see(project, cluster, code=1)
    assert said["FIX   partition"].startswith("gpu is none of main, other, short; name one")


def test_a_walltime_above_the_partitions_is_told(project, cluster):
    choose(project, slurm_partition="short")
    said = see(project, cluster, code=1)
    assert "walltime_minutes 1440 is more than the partition's 600" in said["FIX   walltime"]


def test_the_default_partition_counts_where_none_is_named(project, cluster):
    ask(cluster, "scontrol", "update", "PartitionName=main", "MaxTime=600")
    try:
        said = see(project, cluster, code=1)
    finally:
        ask(cluster, "scontrol", "update", "PartitionName=main", "MaxTime=UNLIMITED")
    assert "walltime_minutes 1440 is more than the partition's 600" in said["FIX   walltime"]


def test_rules_with_a_partition_of_their_own_are_looked_at(project, cluster):
    path = project / "slurm/config.yaml"
    text = path.read_text()
    for partition, code in (("short", 0), ("nope", 1)):
        one = f"set-resources:\n  evaluate: {{slurm_partition: {partition}}}\n"
        path.write_text(text.replace("set-resources:\n", one))
        said = see(project, cluster, "reproduce_table3", code=code)
        if code:
            assert said["FIX   partition"].startswith("nope is none of main, other, short")
            continue
        with_it, others = "of jobs with --partition=short", "of other jobs"
        assert said[f"ok    largest job {with_it}"].startswith("evaluate t3_")
        assert " t1_" not in said[f"ok    largest job {others}"]
        assert said[f"ok    walltime {with_it}"].startswith("60 minutes, which")
        assert said[f"ok    walltime {others}"].startswith("1440 minutes, which")
    path.write_text(text)


def test_what_no_node_has_is_slurms_own_word(project, cluster):
    choose(project, constraint="h100")
    said = see(project, cluster, code=1)
    assert "feature" in said["FIX   largest job"].lower()
    assert "nothing could be run on one" in said["FIX   node"]


def test_more_gpus_than_a_node_has_are_told(project, cluster):
    with open(project / "slurm/defaults.yaml", "a") as file:
        file.write("processes_per_training: 8\nprocesses_per_node: 8\ndevice: cuda\n")
    said = see(project, cluster, code=1)
    assert said["FIX   GPUs"].startswith("nodes have up to 1, a training asks for 8 on one")
