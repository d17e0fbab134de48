"""What a feature network is to everything that uses one, and which kind a file holds."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from records.errors import UserError

BACKENDS = ("torch", "tensorflow")
INCEPTION_NAME = "inception-2015-12-05"


@dataclass(frozen=True)
class FeatureNetwork:
    """A network that is ready to run, and what a protocol says of it.

    run takes uint8 images [n, h, w, 1 or 3] of any size and returns float32 pool [n, pool_dims],
    spatial [n, spatial_dims] and softmax [n, num_classes]. sha256 is that of the weights' file.
    """

    name: str
    sha256: str
    pool_dims: int
    spatial_dims: int
    num_classes: int
    description: dict[str, Any]
    run: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]


def load_network(
    path: str | Path | None,
    *,
    backend: str = "torch",
    device: str = "cpu",
    any_weights: bool = False,
) -> FeatureNetwork:
    """Load the feature network that a file holds.

    Args:
        path: a small network (.safetensors), or Inception's frozen graph (any other ending); None
            for Inception from where it is kept, downloaded when it is absent.
        backend: what runs Inception, torch or tensorflow.
        device: where torch runs it, such as cpu or cuda:0.
        any_weights: take a frozen graph with other weights than the published ones.

    Raises:
        UserError: no such file, not such a network, or a backend or device that it cannot run on.
    """
    if path is not None and Path(path).suffix == ".safetensors":
        if backend != "torch":
            raise UserError(
                f"{path}: a small feature network runs with torch; got backend {backend}; "
                "leave it out"
            )
        from eval.small_network import load_small_network

        return load_small_network(path, device=device)
    from eval.inception import load_inception
    from eval.weights import find_inception

    return load_inception(
        find_inception(path, verify=not any_weights), backend=backend, device=device
    )
