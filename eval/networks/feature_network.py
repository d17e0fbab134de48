"""What a feature network is to everything that uses one."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

BACKENDS = ("torch", "tensorflow")
INCEPTION_NAME = "inception-2015-12-05"


@dataclass(frozen=True)
class FeatureNetwork:
    """A network that is ready to run, and what a protocol says of it.

    run takes uint8 images [n, h, w, 1 or 3] of any size and returns float32 pool [n, pool_dims],
    spatial [n, spatial_dims] and softmax [n, num_classes]. sha256 is that of the weights' file.
    cache is a folder where features are kept by the content of the images, shards one where those
    of the passes of an unfinished command are; None for nowhere.
    """

    name: str
    sha256: str
    pool_dims: int
    spatial_dims: int
    num_classes: int
    description: dict[str, Any]
    run: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
    cache: Path | None = None
    shards: Path | None = None

    @property
    def is_inception(self) -> bool:
        """Whether it is Inception's graph, with whatever weights."""
        return self.name.startswith("inception-")
