"""Start the processes of a training: `python -m workflow.launch PROCESSES NODES -m adm train ...`.

On one machine torchrun starts them. On several, those of a SLURM job, srun starts one torchrun on
each; they meet on the first, where this runs, at a port that follows from the job's number.
"""

import os
import socket
import sys
from collections.abc import Mapping, Sequence


def make_command(
    num_processes: int, num_nodes: int, words: Sequence[str], environment: Mapping[str, str]
) -> list[str]:
    """Return the command that starts python with some words in several processes.

    Args:
        num_processes: over all machines.
        num_nodes: machines; more than one are those of the SLURM job that this runs in.
        words: what follows python.
        environment: for the number of the SLURM job.
    """
    torchrun = [sys.executable, "-m", "torch.distributed.run"]
    if num_nodes == 1:
        return [*torchrun, "--standalone", f"--nproc-per-node={num_processes}", *words]
    job = environment["SLURM_JOB_ID"]
    return [
        *("srun", f"--nodes={num_nodes}", f"--ntasks={num_nodes}", "--ntasks-per-node=1"),
        "--cpu-bind=none",
        *torchrun,
        *(f"--nnodes={num_nodes}", f"--nproc-per-node={num_processes // num_nodes}"),
        *("--rdzv-backend=c10d", f"--rdzv-id={job}"),
        f"--rdzv-endpoint={socket.gethostname()}:{20_000 + int(job) % 20_000}",
        *words,
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Become that command."""
    num_processes, num_nodes, *words = sys.argv[1:] if argv is None else argv
    command = make_command(int(num_processes), int(num_nodes), words, os.environ)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
