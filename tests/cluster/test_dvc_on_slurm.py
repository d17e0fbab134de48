"""`SNAKEMAKE_PROFILE=slurm dvc repro` on a real SLURM: the stages of one machine, on two nodes."""

import os
import re
import shutil
import subprocess

import pytest

from tests.cluster.conftest import make_environment
from tests.cluster.two_nodes import ask, two_nodes
from tests.workflow import dvc_case

pytest.importorskip("dvc")
pytestmark = pytest.mark.slow
MADE = "results/mini/retrain"
SLOW = re.compile(r"^(slurm-init-seconds-before-status-checks: )\d+", re.M)


def repro(folder, cluster, *arguments):
    """Type `dvc repro` on the cluster; return what it prints."""
    dvc = dvc_case.make_environment(folder)
    dvc.pop("PATH")
    environment = make_environment(folder, cluster, **dvc, SNAKEMAKE_PROFILE="slurm")
    done = subprocess.run(
        ["dvc", "repro", *arguments], cwd=folder, env=environment, timeout=500, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_stages_run_their_jobs_on_the_cluster(installed, tmp_path):
    here = dvc_case.make_clone(tmp_path / "here")
    there = tmp_path / "there" / "project"
    shutil.copytree(here, there)
    profile = there / "slurm" / "config.yaml"
    profile.write_text(SLOW.sub("\\g<1>5", profile.read_text()))
    dvc_case.dvc(here, "repro", "table3")
    (tmp_path / "cluster").mkdir()
    with two_nodes(tmp_path / "cluster") as cluster:
        output = repro(there, cluster, "table3")
        assert "Running stage 'table3'" in output and "--cores" not in output
        nodes = ask(cluster, "scontrol", "--oneliner", "show", "job")
        assert "NodeList=n1 " in nodes and "NodeList=n2 " in nodes
        again = repro(there, cluster, "table3")
        assert "Stage 'table3' didn't change, skipping" in again
    for name in (
        "metrics/mini/retrain/table3.json",
        "results/mini/report/table3.csv",
        f"{MADE}/samples/t3_uncond_guided_10/samples.npz",
        "dvc.lock",
    ):
        assert (there / name).read_bytes() == (here / name).read_bytes(), name
    assert not os.path.exists(there / ".snakemake" / "locks" / "0.output.lock")
