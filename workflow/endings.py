"""Why a job ended: noted on the node, read by its next attempt and by the run that waits for it.

The exit code of a job does not come back through SLURM, so a small JSON file of the run's state
says what it meant. `workflow/attempt.sh` calls this around the command of every rule.
"""

import argparse
import os
import re
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from records.errors import EXIT_CODES, UserError, main_guard
from records.events import CLUSTER_JOB
from records.files import read_json, write_json
from records.options import NOT_NEGATIVE

HOPELESS = ("diverged", "out of memory", "bad spec")
# Nobody's fault: such an attempt does not count, and the next one goes on where it was stopped.
FROM_OUTSIDE = ("stopped", "killed", "busy")
STOPPING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP)
SHELL = 128  # and the number of a signal is the exit code of who died of it
HEAD, ERROR = "== attempt ", "error: "
# What torchrun, whose own exit code is 1, says of the first of its processes that failed.
PROCESS_CODE = re.compile(r"exitcode +: (-?\d+)")
NO_MEMORY = ("torch.OutOfMemoryError", "MemoryError", "numpy._core._exceptions._ArrayMemoryError")


@dataclass(frozen=True)
class Ending:
    """Why an attempt at a job ended.

    Attributes:
        reason: `diverged`, `out of memory`, `out of time`, `bad spec`, `stopped`, `killed`, `busy`
            or `failed`.
        sentence: its last error, as the log has it.
        can_help: whether trying the same again can help.
        attempt: digest of what was tried: spec, settings, memory and time that were asked for.
        cluster_job: the number of the SLURM job, empty without one.
    """

    reason: str
    sentence: str
    can_help: bool
    attempt: str
    cluster_job: str


def make_ending(
    exit_code: int, log: str | Path, *, attempt: str, out_of_memory: bool = False
) -> Ending:
    """Tell from an exit code and a log why an attempt ended.

    Args:
        exit_code: of the command.
        log: to which it wrote; may be missing.
        attempt: digest of what was tried.
        out_of_memory: whether the kernel has ended a process of the job for want of memory.
    """
    said = read_last_attempt(log)
    last = find_last_error(said)
    if exit_code == 1 and (found := PROCESS_CODE.search(said)):
        exit_code = int(found[1]) if int(found[1]) >= 0 else SHELL - int(found[1])
    reason = EXIT_CODES.get(exit_code, "failed")
    if exit_code == SHELL + signal.SIGKILL:
        reason = "killed"
    elif exit_code - SHELL in STOPPING:
        reason = "stopped"
    if out_of_memory or last.startswith(NO_MEMORY):
        reason = "out of memory"
    job = os.environ.get(CLUSTER_JOB, "")
    return Ending(reason, last or f"exit code {exit_code}", reason not in HOPELESS, attempt, job)


def read_last_attempt(log: str | Path, cluster_job: str = "") -> str:
    """Return what the last attempt wrote to a log.

    Args:
        log: nothing is returned where there is none.
        cluster_job: nothing is returned where the last attempt was that of another SLURM job.
    """
    try:
        text = Path(log).read_text(encoding="utf-8", errors="replace").replace("\r", "\n")
    except OSError:
        return ""
    _, head, said = text.rpartition(HEAD)
    about, _, rest = said.partition("\n") if head else ("", "", said)
    return rest if not cluster_job or about.endswith(f"SLURM job {cluster_job}") else ""


def find_last_error(said: str) -> str:
    """Return the last `error:` line of what an attempt wrote, else its last line."""
    lines = [one.strip() for one in said.splitlines() if one.strip()]
    errors = [one for one in lines if one.startswith(ERROR)]
    return errors[-1].removeprefix(ERROR) if errors else lines[-1] if lines else ""


def read_ending(path: str | Path) -> Ending | None:
    """Read why the last attempt ended; None where nothing readable says so."""
    try:
        return Ending(**read_json(path, "job's ending"))
    except (UserError, TypeError):
        return None


def check(args: argparse.Namespace) -> None:
    """Refuse what was tried before and cannot succeed; else forget why it ended.

    Raises:
        UserError: with the sentence of the attempt before.
    """
    ending = read_ending(args.ended)
    if ending is not None and not ending.can_help and ending.attempt == args.attempt:
        raise UserError(
            f"{ending.sentence} (this ended the attempt before, {ending.reason}, and nothing that "
            f"it depends on has changed; delete {args.ended} to try all the same)"
        )
    Path(args.ended).unlink(missing_ok=True)


def note(args: argparse.Namespace) -> None:
    """Note why an attempt ended."""
    ending = make_ending(
        args.exit_code,
        args.log,
        attempt=args.attempt,
        out_of_memory=bool(args.out_of_memory),
    )
    write_json(args.ended, asdict(ending))


def make_parser() -> argparse.ArgumentParser:
    """Describe the commands and their options."""
    parser = argparse.ArgumentParser(prog="python -m workflow.endings", description=__doc__)
    commands = parser.add_subparsers(required=True)
    before = commands.add_parser("check", help="refuse what cannot succeed")
    after = commands.add_parser("note", help="note why an attempt ended")
    for command, do in ((before, check), (after, note)):
        command.add_argument("--ended", required=True, help="file of the ending")
        command.add_argument("--attempt", required=True, help="digest of what is tried")
        command.set_defaults(do=do)
    after.add_argument("--log", required=True)
    after.add_argument("--exit-code", required=True, type=NOT_NEGATIVE)
    after.add_argument("--out-of-memory", type=NOT_NEGATIVE, default=0)
    return parser


def run(argv: Sequence[str] | None = None) -> None:
    """Run `check` or `note`."""
    args = make_parser().parse_args(argv)
    args.do(args)


if __name__ == "__main__":
    sys.exit(main_guard(run)())
