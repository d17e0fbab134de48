"""Threads that work ahead of a loop by a bounded amount and keep the order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch_batches(iterator: Iterable[Item], depth: int = 2) -> Iterator[Item]:
    """Read ahead of the consumer in one background thread.

    The thread starts with the first item asked for. It ends with the last item, with the first
    error, or when the consumer stops early (the generator is closed), and the iterator is closed
    then too.

    Args:
        iterator: what to read; only the thread touches it.
        depth: items that are read before they are asked for, at least 1.

    Yields:
        The iterator's items, in order. Its exceptions are raised here, at their place.
    """
    items, end = iter(iterator), object()
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as reader:
            pending: deque[Future] = deque()
            try:
                pending.extend(reader.submit(next, items, end) for _ in range(depth))
                while (item := pending.popleft().result()) is not end:
                    pending.append(reader.submit(next, items, end))
                    yield item
            finally:
                _cancel(pending)
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()


def map_in_order(
    function: Callable[[Item], Result], items: Iterable[Item], *, num_threads: int, lookahead: int
) -> Iterator[Result]:
    """Apply a function in threads, a bounded number of items ahead of the consumer.

    Args:
        function: called with one item at a time, in any of the threads.
        items: taken one after another in the consumer's thread.
        num_threads: how many calls run at a time.
        lookahead: how many items may be under way or done before they are asked for.

    Yields:
        The results in the order of the items. An exception is raised at its item's place.
    """
    with ThreadPoolExecutor(num_threads, thread_name_prefix="images") as pool:
        pending: deque[Future] = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > lookahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            _cancel(pending)


def _cancel(pending: Iterable[Future]) -> None:
    """Take back what no thread has begun."""
    for future in pending:
        future.cancel()
