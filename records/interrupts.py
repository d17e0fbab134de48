"""Signals that ask a run to stop: it saves its state first."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from records.errors import INTERRUPTED, UserError

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class Stopped(UserError):
    """A run was asked to stop and has saved its state."""

    exit_code = 143


@contextmanager
def catch_stop_signals(*more: signal.Signals) -> Iterator[list[str]]:
    """Note SIGTERM and SIGUSR1 (a batch system's warning) instead of dying at once.

    Args:
        more: signals that are noted too; SIGINT is Ctrl-C.

    Yields:
        A list to which the name of each signal is added; empty while there was none. Outside the
        main thread, where no handler can be set, it stays empty.

    Raises:
        KeyboardInterrupt: Ctrl-C again: who is in a hurry does not wait for the state.
    """
    caught: list[str] = []

    def note(number: int, _: object) -> None:
        if number == signal.SIGINT and signal.SIGINT.name in caught:
            raise KeyboardInterrupt
        caught.append(signal.Signals(number).name)

    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    before = {one: signal.signal(one, note) for one in (*STOP_SIGNALS, *more)}
    try:
        yield caught
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def end_at_ctrl_c(words: str) -> Iterator[None]:
    """Let Ctrl-C end the process with a line, whatever handles it elsewhere.

    Within asyncio the first one only cancels what is awaited next, and a wait that blocks goes on.

    Args:
        words: what the line says besides.

    Raises:
        SystemExit: Ctrl-C came.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        print(f"error: stopped by Ctrl-C; {words}", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGINT, before)
