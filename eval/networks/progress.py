"""How far a pass over images is: a bar in a terminal, a line a minute in a log file."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

SECONDS_PER_LINE = 60.0


@contextmanager
def show_progress(total: int, path: str, *, shown: bool) -> Iterator[Callable[[int], object]]:
    """Yield a function that is told how many more images are done.

    Args:
        total: images.
        path: where they are.
        shown: show anything at all.
    """
    if shown and sys.stderr.isatty():
        with tqdm(total=total, desc=path, unit="images") as bar:
            yield bar.update
        return
    start = said = time.monotonic()
    done = 0

    def advance(num_images: int) -> None:
        nonlocal done, said
        done, now = done + num_images, time.monotonic()
        if shown and done < total and now - said >= SECONDS_PER_LINE:
            said, rate = now, done / (now - start)
            minutes = (total - done) / rate / 60
            print(
                f"{path}: {done:,} of {total:,} images, {rate:.3g} images/s, "
                f"{minutes:.0f} minutes left",
                file=sys.stderr,
                flush=True,
            )

    yield advance
