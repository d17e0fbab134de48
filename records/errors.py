"""Errors that a user can cause and fix, and how commands report them."""

import os
import sys
from collections.abc import Callable, Sequence

INTERRUPTED = 130  # what shells make of SIGINT
BROKEN_PIPE = 141  # and of SIGPIPE


class UserError(Exception):
    """Say where, what was got, what is needed and what to do; shown without a traceback."""

    exit_code = 2


class BadSpec(UserError):
    """A spec that says something impossible; trying again does not help."""

    exit_code = 3


class OutOfMemory(UserError):
    """The work does not fit the memory there is; trying the same again does not help."""

    exit_code = 5


class Busy(UserError):
    """Somebody else is at the same work; it can be tried later."""

    exit_code = 75


# What exit codes of commands say to who started them; 4 is that of a training that diverged.
EXIT_CODES = {3: "bad spec", 4: "diverged", 5: "out of memory", 75: "busy"}


def main_guard(main: Callable[[Sequence[str] | None], int | None]) -> Callable[..., int]:
    """Wrap a command so that a `UserError`, or Ctrl-C, becomes one line and an exit code.

    Args:
        main: function of an argument list (None means the process's own) returning an exit
            status or None.

    Returns:
        A function of the same argument that returns the exit status.
    """

    def guarded(argv: Sequence[str] | None = None) -> int:
        try:
            status = main(argv) or 0
            sys.stdout.flush()
            return status
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return error.exit_code
        except BrokenPipeError:  # whoever read the output has enough, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return BROKEN_PIPE
        except KeyboardInterrupt:
            print("error: stopped by Ctrl-C", file=sys.stderr)
            return INTERRUPTED

    return guarded
