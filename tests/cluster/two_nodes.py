"""A real SLURM of two nodes on this machine, all in one folder: munge, a controller, two nodes."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

NODES = ("n1", "n2")
COMMANDS = ("slurmctld", "slurmd", "sbatch", "srun", "sinfo", "squeue", "scancel", "munged")
DAEMONS = {"slurmctld": ["-D"]} | {f"slurmd-{node}": ["-D", "-N", node] for node in NODES}
STARTED_AGAIN = {}
CONF = """\
ClusterName=two
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdSpoolDir={folder}/spool-%n
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,bf_interval=5,batch_sched_delay=0
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MinJobAge=3600
ReturnToService=2
KillWait=5
MessageTimeout=5
GresTypes=gpu
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 RealMemory=8000 Gres=gpu:1
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 RealMemory=8000 Gres=gpu:1
PartitionName=main Nodes=n1,n2 Default=YES State=UP
PartitionName=other Nodes=n1,n2 State=UP
"""


def find_missing():
    """The commands of SLURM and munge that this machine lacks; daemons may be outside PATH."""
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    return [command for command in COMMANDS if not shutil.which(command, path=path)]


def free_ports(count):
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def write_configuration(folder, more=""):
    """Write slurm.conf with more lines, a key for munge and GPUs that are none.

    Within a job the executor's plugin starts srun without SLURM_CONF, which is how commands find
    a configuration that is not in /etc: hence an srun of our own in front of it.

    Returns:
        Environment variables with which SLURM's commands find the cluster.
    """
    for name in ("state", "spool-n1", "spool-n2", "bin"):
        (folder / name).mkdir()
    conf = folder / "slurm.conf"
    conf.write_text(
        CONF.format(
            folder=folder, host=socket.gethostname(), user=getpass.getuser(), ports=free_ports(3)
        )
        + more
    )
    (folder / "gres.conf").write_text(
        "".join(f"NodeName={node} Name=gpu File=/dev/null\n" for node in NODES)
    )
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    srun = folder / "bin" / "srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={conf} exec {shutil.which("srun")} "$@"\n')
    srun.chmod(0o755)
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"], "/usr/sbin", "/sbin"])
    return {"SLURM_CONF": str(conf), "PATH": path}


@contextmanager
def daemon(folder, name, *command, environment):
    """Run a daemon in the foreground of its own log; end it, and nothing else, at the end."""
    with open(folder / f"{name}.out", "w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, cwd=folder, env={**os.environ, **environment}
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ask(environment, *command):
    """What a SLURM command prints, None where it fails."""
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=60
    )
    return done.stdout if done.returncode == 0 else None


def wait_for(condition, what, *, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not after {seconds:g} s")
        time.sleep(0.1)


def end_jobs(environment):
    """Cancel what is still there; on a node that is gone it stays, and its processes are ended."""
    ask(environment, "scancel", "--user", getpass.getuser())
    with suppress(AssertionError):
        wait_for(lambda: not ask(environment, "squeue", "--noheader"), "jobs have ended", seconds=5)


def is_ours(process, folder):
    """Whether a process uses this cluster's configuration, or is a step that logs in its folder."""
    try:
        if process.environ().get("SLURM_CONF") == str(folder / "slurm.conf"):
            return True
        files = process.open_files() if process.name() == "slurmstepd" else []
    except psutil.Error:
        return False
    return any(Path(file.path).is_relative_to(folder) for file in files)


def find_processes(folder):
    return [process for process in psutil.process_iter() if is_ours(process, folder)]


def is_of_node(process, node):
    """Whether a process is a node's daemon, one of its steps, or of a job that runs there."""
    if process.name() == "slurmd":
        return node in process.cmdline()
    if process.name() == "slurmstepd":
        return any(Path(file.path).name == f"slurmd-{node}.log" for file in process.open_files())
    return process.environ().get("SLURMD_NODENAME") == node


def end_processes(folder):
    """End what outlived its node: steps, their programs, and a Snakemake that waits for them."""
    for process in find_processes(folder):
        process.kill()
    for process in STARTED_AGAIN.pop(folder, []):
        process.wait()
    wait_for(lambda: not find_processes(folder), "the cluster's processes have ended")


def find_states(environment):
    """The states of the nodes; none while the controller does not answer."""
    said = ask(environment, "sinfo", "--Node", "--noheader", "--partition=main", "--format=%t")
    return (said or "").split()


@contextmanager
def controller_away(folder, environment):
    """End the controller for the length of a block, then start it again for good."""
    found = [one for one in find_processes(folder) if one.name() == "slurmctld"]
    for one in found:  # it may have a child that runs scripts
        one.terminate()
    psutil.wait_procs(found, timeout=30)
    try:
        yield
    finally:
        start_daemon(folder, "slurmctld", environment)
        wait_for(lambda: find_states(environment), "the controller answers")


def start_daemon(folder, name, environment):
    """Start a daemon that was killed; `end_processes` ends it."""
    options = DAEMONS[name]
    command = [name.partition("-")[0], *options]
    with open(folder / f"{name}.out", "a") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, cwd=folder, env={**os.environ, **environment}
        )
    STARTED_AGAIN.setdefault(folder, []).append(process)


@contextmanager
def two_nodes(folder, more=""):
    """Run a cluster.

    Args:
        folder: an empty folder; nothing is written outside it.
        more: lines of slurm.conf; those of a key that is there already replace it.

    Yields:
        Environment variables with which SLURM's commands find it.
    """
    environment = write_configuration(folder, more)
    munged = [
        "munged", "--foreground", "--force", "--num-threads=2", f"--key-file={folder}/munge.key",
        f"--socket={folder}/munge.socket", f"--pid-file={folder}/munged.pid",
        f"--seed-file={folder}/munge.seed",
    ]  # fmt: skip
    with ExitStack() as stack:
        stack.callback(end_processes, folder)
        stack.enter_context(daemon(folder, "munged", *munged, environment=environment))
        wait_for(lambda: (folder / "munge.socket").exists(), "munge has its socket")
        for name, options in DAEMONS.items():
            command = [name.partition("-")[0], *options]
            stack.enter_context(daemon(folder, name, *command, environment=environment))
            wait_for(lambda: find_states(environment), "the controller answers")
        wait_for(
            lambda: find_states(environment) == ["idle"] * len(NODES),
            f"both nodes are idle (logs: {folder})",
        )
        stack.callback(end_jobs, environment)
        yield environment
