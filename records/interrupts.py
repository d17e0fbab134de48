"""Signals that ask a run to stop: it saves its state first."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from records.errors import UserError

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
