"""SLURM's commands, a project, and Snakemake as a user of the cluster types it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.two_nodes import find_missing


@pytest.fixture(scope="session")
def installed():
    """SLURM's commands; in CI they have to be there."""
    missing = find_missing()
    if missing:
        words = (
            f"no SLURM here ({', '.join(missing)} missing); Debian's packages are slurmctld, "
            "slurmd, slurm-client and munge"
        )
        pytest.fail(words) if os.environ.get("CI") else pytest.skip(words)


def take_interrupts():
    """Let Ctrl-C end a program that is started from one in the background, where it is ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def make_environment(folder, cluster, **environment):
    settings = {**os.environ, **cluster, "PYTHONPATH": str(folder), **environment}
    commands, *others = cluster["PATH"].split(os.pathsep)
    settings["PATH"] = os.pathsep.join([commands, str(Path(sys.executable).parent), *others])
    return settings


def run(folder, cluster, *arguments, timeout=400, **environment):
    """Run the command as a user types it; return the finished process and what it printed."""
    process = subprocess.run(
        ["snakemake", *arguments], cwd=folder, env=make_environment(folder, cluster, **environment),
        capture_output=True, text=True, timeout=timeout,
    )  # fmt: skip
    return process, process.stdout + process.stderr
