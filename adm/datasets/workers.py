"""Conversion of images in parallel processes, in order, a bounded number ahead of the writer.

Each process has a pipe of its own, so that its end is noticed even in the middle of an answer.
(`concurrent.futures` shares one pipe, which a process that is killed while it answers blocks.) They
are children of this process, so that their CPU time counts in that of the job.
"""

import multiprocessing
import signal
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

from adm.datasets.conversion import Converted, convert_image
from adm.datasets.formats import READERS
from adm.datasets.own_images import Reader, UnusableImage
from records.errors import UserError

CHUNK_IMAGES = 8
# A process has its next chunk at hand when it ends one; finished ones may wait for an earlier one.
CHUNKS_AT_HAND = 2
CHUNKS_AHEAD = 4


class Work(NamedTuple):
    """What a process needs to know once: where the images are and what becomes of them."""

    kind: str
    path: str
    image_size_px: int | None
    crop: str
    image_channels: int = 3


class WorkerDied(UserError):
    """A process that converts images was ended from outside."""


@dataclass
class _Worker:
    """A process, the pipe to it, and how many chunks it has at hand."""

    process: BaseProcess
    connection: Connection
    num_chunks: int = 0


def convert_in_order(
    places: Iterable[list[Any]], work: Work, *, num_workers: int
) -> Generator[Converted | str, None, None]:
    """Read and convert images; what comes out does not depend on the number of processes.

    Args:
        places: where each image is, for the reader of their format; taken as needed.
        work: the images and the form.
        num_workers: processes; 1 converts in this one.

    Yields:
        For each place in order the converted image, or the words why there is none.

    Raises:
        WorkerDied: a process was ended from outside.
    """
    if num_workers == 1:
        reader = READERS[work.kind](Path(work.path))
        for place in places:
            yield convert_place(place, work, reader)
        return
    workers: list[_Worker] = []
    try:
        yield from _convert(_split(places, CHUNK_IMAGES), work, workers, num_workers)
    except (EOFError, ConnectionError):
        raise WorkerDied(
            "a process that converts images was ended from outside, as a system does that runs "
            "out of memory; run the command again, which continues from here, with fewer --workers"
        ) from None
    finally:
        for worker in workers:
            worker.process.terminate()
            worker.connection.close()
        for worker in workers:
            worker.process.join()


def convert_place(place: list[Any], work: Work, reader: Reader) -> Converted | str:
    """Read and convert one image, or say why that cannot be done."""
    try:
        return convert_image(
            reader(place),
            image_size_px=work.image_size_px,
            crop=work.crop,
            image_channels=work.image_channels,
        )
    except UnusableImage as error:
        return str(error)


def _convert(
    chunks: Iterator[list[Any]], work: Work, workers: list[_Worker], num_workers: int
) -> Iterator[Converted | str]:
    """Hand out chunks to whoever is free, and give back the results in order."""
    finished: dict[int, list[Converted | str]] = {}
    num_sent, num_given, more = 0, 0, True
    while more or num_given < num_sent:
        while more and num_sent - num_given < CHUNKS_AHEAD * num_workers:
            worker = _find_free(workers, work, num_workers)
            if worker is None:
                break
            chunk = next(chunks, None)
            more = chunk is not None
            if more:
                worker.connection.send((num_sent, chunk))
                worker.num_chunks += 1
                num_sent += 1
        if num_given in finished:
            yield from finished.pop(num_given)
            num_given += 1
        elif num_given < num_sent:
            ready = wait([one.connection for one in workers])
            for worker in workers:
                if worker.connection in ready:
                    number, results = _receive(worker.connection)
                    if isinstance(results, Exception):
                        raise results
                    finished[number] = results
                    worker.num_chunks -= 1


def _receive(connection: Connection) -> Any:
    """Receive an answer, or EOFError when the process ended, in the middle of one too."""
    try:
        return connection.recv()
    except OSError as error:
        raise EOFError from error


def _find_free(workers: list[_Worker], work: Work, num_workers: int) -> _Worker | None:
    """Return the process with the least to do, a new one while there may be more, or None."""
    free = min(workers, key=lambda one: one.num_chunks, default=None)
    if len(workers) < num_workers and (free is None or free.num_chunks > 0):
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=_serve, args=(there, work), daemon=True)
        with _signals_for_all_held_back():
            process.start()
        there.close()
        free = _Worker(process, here)
        workers.append(free)
    return free if free is not None and free.num_chunks < CHUNKS_AT_HAND else None


@contextmanager
def _signals_for_all_held_back() -> Iterator[None]:
    """Start processes to which Ctrl-C and a batch system's warning, which go to all, do nothing."""
    resource_tracker.ensure_running()  # it lets SIGINT through when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGUSR1))
    try:
        yield  # a process begins with the mask of the one that starts it
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _split(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Cut a stream into lists."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _serve(connection: Connection, work: Work) -> None:
    """Convert the chunks that come through a pipe until its other end is gone."""
    try:
        reader = READERS[work.kind](Path(work.path))
        while True:
            number, places = connection.recv()
            connection.send((number, [convert_place(place, work, reader) for place in places]))
    except (EOFError, ConnectionError):
        return
    except Exception as error:
        connection.send((0, error))
