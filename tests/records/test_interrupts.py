"""Ctrl-C ends a wait with a line, within asyncio too."""

import asyncio
import os
import signal
import time

import pytest

from records.interrupts import end_at_ctrl_c


def wait():
    """Wait as a planning Snakemake does, and press Ctrl-C meanwhile."""
    with end_at_ctrl_c("nothing was lost"):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(30)


async def plan():
    wait()


@pytest.mark.parametrize("begin", [wait, lambda: asyncio.run(plan())])
def test_ctrl_c_ends_a_wait_at_once(begin, capsys):
    handler, began = signal.getsignal(signal.SIGINT), time.monotonic()
    with pytest.raises(SystemExit) as caught:
        begin()
    assert caught.value.code == 130 and time.monotonic() - began < 10
    assert capsys.readouterr().err == "error: stopped by Ctrl-C; nothing was lost\n"
    assert signal.getsignal(signal.SIGINT) == handler


def test_a_background_process_goes_on_ignoring_it():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with end_at_ctrl_c("nothing was lost"):
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
