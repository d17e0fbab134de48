"""What the terminal shows of a failed job: its last error, its log, and the command to try by hand.

Snakemake shows the whole shell command twice, with all inputs and outputs. Its own log file in
.snakemake/log keeps all that.
"""

import logging
from collections.abc import Callable
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

from workflow.endings import find_last_error, read_last_attempt
from workflow.rule_parts import find_command
from workflow.slurm import REFUSED


def shorten_failures(logger: logging.Logger) -> None:
    """Let the handlers of a terminal show failed jobs in a few lines.

    Args:
        logger: Snakemake's.
    """
    for handler in logger.handlers:
        formatter = handler.formatter
        if type(handler).__name__ == "ColorizingTextHandler" and formatter is not None:
            formatter.format = _shorten(formatter.format)  # type: ignore[method-assign]


def _shorten(inherited: Callable[[logging.LogRecord], str]) -> Callable[..., str]:
    def shorten(record: logging.LogRecord) -> str:
        told = vars(record)
        if told.get("event") == LogEvent.JOB_ERROR:
            return describe_failure(told)
        if is_about_command(str(record.msg)):
            return ""  # handlers leave it out
        return inherited(record)

    return shorten


def describe_failure(told: dict[str, Any]) -> str:
    """Return what a failed job's owner needs to know.

    Args:
        told: what Snakemake tells of the job, as `Job.get_log_error_info` makes it.
    """
    log, *more = [one.partition(" (")[0] for one in told["log"]] or [None]
    number = told["aux"].get("external_jobid", "")
    about = (told["rule_msg"] or "").partition("For further error details")[0]
    said = ""
    if about.startswith(REFUSED):  # it never ran, and its log is of attempts before
        about, said = "", about
    elif log is not None:
        said = find_last_error(read_last_attempt(log, number))
        if number and not said and more:  # SLURM's own log then has why it did not come so far
            said = find_last_error(read_last_attempt(more[0]))
    lines = [
        f"Error in rule {told['rule_name']}, job {told['jobid']}:",
        f"    error: {said}" if said else None,
        f"    {about.strip()}" if about.strip() else None,
        *(f"    {key}: {value}" for key, value in told["aux"].items()),
        f"    log: {log}" if log else None,
        *(f"    SLURM's log: {one}" for one in more if one not in (None, "None")),
        f"    try it by hand: {find_command(told['shellcmd'])}" if told["shellcmd"] else None,
    ]
    return "\n".join(one for one in lines if one)


def is_about_command(message: str) -> bool:
    """Tell whether a message only repeats the command of a job that failed, and its exit code."""
    return message.startswith("RuleException:\nCalledProcessError in file ")
