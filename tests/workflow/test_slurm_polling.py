"""When a run on SLURM looks at its jobs; what it makes of the answers is in tests/cluster."""

import asyncio
from types import SimpleNamespace

import pytest

from workflow import slurm_polling
from workflow.slurm_polling import PatientExecutor


@pytest.fixture
def executor():
    """An executor as Snakemake's thread may find it: before `__post_init__` has set anything."""
    found = object.__new__(PatientExecutor)
    settings = SimpleNamespace(init_seconds_before_status_checks=10, status_command="squeue")
    found.workflow = SimpleNamespace(executor_settings=settings)
    return found


def test_a_look_before_the_executor_is_whole_ends_no_thread(executor):
    async def look():
        return [job async for job in executor.check_active_jobs([])]

    assert asyncio.run(look()) == []
    assert executor.next_seconds_between_status_checks == 10


def test_looks_come_late_by_a_tenth_of_what_was_waited(executor, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(slurm_polling.time, "monotonic", lambda: clock[0])
    executor._watched, executor._changed_at = set(), clock[0]

    def pace(seconds, numbers, has_changed=False):
        clock[0] += seconds
        executor._pace(numbers, has_changed)
        return executor.next_seconds_between_status_checks

    assert pace(500, {"1"}) == 10  # submitted since the last look
    assert pace(50, {"1"}) == 10
    assert pace(150, {"1"}) == 20
    assert pace(200, {"1"}) == 40
    assert pace(2000, {"1"}) == 60  # at the most
    assert pace(1, {"1", "2"}, has_changed=True) == 10
    assert pace(300, {"2"}) == 30  # one fewer is no news: the look before has told of it
    assert pace(0, {"2", "3"}) == 10
