"""What a training run shows of itself: averages between two events, and the progress bar."""

import math
import sys
import time
from typing import Any

from torch import Tensor
from tqdm import tqdm

from adm.training.step import StepResult


class Meter:
    """Average losses and speed since they were last read."""

    def __init__(self, batch_size: int) -> None:
        """Start to count.

        Args:
            batch_size: images of each step.
        """
        self.batch_size = batch_size
        self._clear()

    def _clear(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._num_taken, self._num_skipped = 0, 0
        self._since = time.monotonic()

    def add(self, result: StepResult) -> None:
        """Count a step; one that was left out counts for the speed only."""
        if not result.taken:
            self._num_skipped += 1
            return
        self._num_taken += 1
        for name, value in {**result.sums, "grad_norm": result.grad_norm}.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value

    def read(self) -> dict[str, Any]:
        """Return the averages and start again.

        Returns:
            Mean per image of every loss; mean `grad_norm`; for a classifier `accuracy_by_quarter`
            (share read right in each quarter of the timesteps, from the least noise to the most;
            None where no image fell); `images_per_second`; `skipped` steps. Values that are not
            finite or not known are None.
        """
        sums: dict[str, Any] = {name: value.tolist() for name, value in self._sums.items()}
        num_steps = max(self._num_taken, 1)
        seconds = time.monotonic() - self._since
        num_images = (self._num_taken + self._num_skipped) * self.batch_size
        values: dict[str, Any] = {"loss": None, "grad_norm": None}
        values["skipped"] = self._num_skipped
        values["images_per_second"] = round(num_images / max(seconds, 1e-9), 2)
        if "seen" in sums:
            values["accuracy_by_quarter"] = [
                right / seen if seen else None
                for right, seen in zip(sums.pop("correct"), sums.pop("seen"), strict=True)
            ]
        for name, value in sums.items():
            mean = value / num_steps / (1 if name == "grad_norm" else self.batch_size)
            values[name] = mean if math.isfinite(mean) else None
        self._clear()
        return values


def make_progress_bar(
    name: str, *, done: int, iterations: int, batch_size: int, shown: bool = True
) -> Any:
    """Make a bar on stderr of images, images per second and the time left.

    On a terminal it moves twice a second; in a log file it writes once a minute.

    Args:
        name: name of the model.
        done: iterations behind the run.
        iterations: iterations at its end.
        batch_size: images of each.
        shown: whether anything is written.
    """
    return tqdm(
        desc=name,
        disable=not shown,
        total=iterations * batch_size,
        initial=done * batch_size,
        unit=" images",
        unit_scale=True,
        mininterval=0.5 if sys.stderr.isatty() else 60.0,
        dynamic_ncols=True,
    )
