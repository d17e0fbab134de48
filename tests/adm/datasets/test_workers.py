import os
import resource
import signal
import time

import psutil
import pytest

from adm.datasets import workers
from adm.datasets.conversion import Converted
from adm.datasets.workers import Work, WorkerDied, convert_in_order
from records.errors import UserError
from tests.adm.datasets.small_sources import make_jpeg, write_flat


def make_work(tmp_path, num_images=60):
    images = {f"{one:03d}.jpg": make_jpeg(seed=one) for one in range(num_images)}
    write_flat(tmp_path / "x", {"a": images})
    places = [[name, 0, 0] for name in [*images, "gone.jpg"]]
    return places, Work("folder", str(tmp_path / "x"), 16, "centre")


def test_order_and_content_do_not_depend_on_the_number_of_processes(tmp_path):
    places, work = make_work(tmp_path)
    alone = list(convert_in_order(places, work, num_workers=1))
    assert len(alone) == 61
    assert all(isinstance(one, Converted) for one in alone[:60])
    assert alone[60] == "cannot be read (No such file or directory)"
    assert list(convert_in_order(places, work, num_workers=3)) == alone


def test_only_a_bounded_number_is_taken_ahead(tmp_path):
    places, work = make_work(tmp_path, 2)
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield places[0]

    results = convert_in_order(endless(), work, num_workers=2)
    next(results)
    bound = workers.CHUNK_IMAGES * workers.CHUNKS_AHEAD * 2
    assert len(taken) <= bound
    for _ in range(3 * workers.CHUNK_IMAGES):
        next(results)
    assert len(taken) <= bound + 4 * workers.CHUNK_IMAGES
    results.close()


def find_converting(before):
    """The processes that convert, once all of them run."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        started = set(psutil.Process().children()) - before
        converting = [one for one in started if "spawn_main" in " ".join(one.cmdline())]
        if len(converting) == 2:
            return converting
        time.sleep(0.01)
    raise AssertionError("the processes did not start")


@pytest.mark.parametrize("which", [0, 1])
def test_a_process_that_is_ended_from_outside(tmp_path, which):
    """The error comes at once, and the other process is ended too."""
    places, work = make_work(tmp_path)
    before = set(psutil.Process().children(recursive=True))
    results = convert_in_order(iter(lambda: places[0], None), work, num_workers=2)
    next(results)
    converting = find_converting(before)
    os.kill(converting[which].pid, signal.SIGKILL)
    with pytest.raises(WorkerDied, match=r"ended from outside, .* memory; run the command again"):
        for _ in results:
            pass
    assert psutil.wait_procs(converting, timeout=20)[1] == []


def test_ctrl_c_and_a_batch_systems_warning_do_nothing_to_a_process_that_converts(tmp_path):
    places, work = make_work(tmp_path)
    before = set(psutil.Process().children())
    results = convert_in_order(places * 20, work, num_workers=2)
    first = next(results)
    for one in find_converting(before):  # the second may still be starting
        one.send_signal(signal.SIGINT)
        one.send_signal(signal.SIGUSR1)
    assert [first, *results] == list(convert_in_order(places * 20, work, num_workers=1))


def test_the_cpu_time_of_the_processes_counts_in_that_of_the_job(tmp_path):
    places, work = make_work(tmp_path)
    started = time.process_time()
    list(convert_in_order(places * 5, work, num_workers=1))
    alone = time.process_time() - started
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    list(convert_in_order(places * 5, work, num_workers=2))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime - before.ru_utime > 0.5 * alone > 0


def test_a_source_that_cannot_be_opened_in_a_process(tmp_path):
    work = Work("lmdb", str(tmp_path / "gone_lmdb"), 16, "centre")
    with pytest.raises(UserError, match=r"gone_lmdb: no such file; give the folder of data\.mdb"):
        list(convert_in_order([["a"]] * 3, work, num_workers=2))
