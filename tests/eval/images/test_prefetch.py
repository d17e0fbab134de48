import threading
import time

import pytest

from eval.images.prefetch import map_in_order, prefetch_batches


def num_threads():
    return sum(one.name.startswith(("prefetch", "images")) for one in threading.enumerate())


def test_items_come_in_order_and_the_thread_ends():
    assert list(prefetch_batches(iter(range(50)))) == list(range(50))
    assert list(prefetch_batches([], depth=3)) == []
    assert num_threads() == 0


def test_reading_is_ahead_but_not_further_than_asked():
    read = []

    def source():
        for index in range(20):
            read.append(index)
            yield index

    batches = prefetch_batches(source(), depth=3)
    assert read == []
    assert next(batches) == 0
    deadline = time.monotonic() + 10
    while len(read) < 4 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert read == [0, 1, 2, 3]
    batches.close()


def test_errors_come_at_their_place():
    def source():
        yield 1
        raise OSError("the disk is gone")

    batches = prefetch_batches(source())
    assert next(batches) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)
    assert num_threads() == 0


def test_stopping_early_closes_the_source_and_ends_the_thread():
    closed = []

    def source():
        try:
            while True:
                yield threading.current_thread().name
        finally:
            closed.append(True)

    batches = prefetch_batches(source())
    assert next(batches).startswith("prefetch")
    batches.close()
    assert closed == [True] and num_threads() == 0


def test_mapped_results_keep_the_order():
    def slow_for_some(item):
        time.sleep(0.003 * (item % 3 == 0))
        return item * item

    results = map_in_order(slow_for_some, range(40), num_threads=4, lookahead=6)
    assert list(results) == [item * item for item in range(40)]
    assert num_threads() == 0


def test_mapping_takes_a_bounded_number_of_items():
    taken = []

    def items():
        for index in range(30):
            taken.append(index)
            yield index

    results = map_in_order(str, items(), num_threads=2, lookahead=5)
    assert next(results) == "0" and len(taken) == 6
    assert next(results) == "1" and len(taken) == 7
    results.close()
    assert num_threads() == 0


def test_an_error_while_mapping_comes_at_its_place():
    results = map_in_order(lambda item: 1 // item, [1, 1, 0, 1], num_threads=2, lookahead=2)
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert num_threads() == 0
