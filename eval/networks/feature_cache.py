"""Features kept on disk, under what they are of: the images' content and the network that ran.

A file holds one output of a pass, float32 [n, dims], in an .npz, whose checksum is looked at when
it is read. Whatever is damaged or of another number of images counts as absent.
"""

import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from eval.images.damaged_files import DAMAGE
from eval.images.image_set import ImageSet
from eval.networks.feature_network import FeatureNetwork
from records.errors import UserError
from records.files import atomic_write, digest


def read_cached(
    image_set: ImageSet, network: FeatureNetwork, outputs: Iterable[str]
) -> dict[str, np.ndarray] | None:
    """Read outputs of images from the network's cache; None where one is absent, or no cache."""
    found: dict[str, np.ndarray] = {}
    if network.cache is None:
        return None
    for name in outputs:
        array = None
        with suppress(*DAMAGE):
            path = _locate(image_set, network, network.cache, name)
            # Opened here, since numpy leaves damaged files open.
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
                array = stored["features"]
        if array is None or array.dtype != np.float32 or len(array) != image_set.num_images:
            return None
        found[name] = array
    return found


def keep_features(
    image_set: ImageSet, network: FeatureNetwork, features: Mapping[str, np.ndarray]
) -> None:
    """Put outputs into the network's cache, if it has one; a full disk only costs the cache."""
    if network.cache is None:
        return
    for name, array in features.items():
        path = _locate(image_set, network, network.cache, name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as file:
                np.savez(file, features=array)
        except (OSError, UserError) as error:
            print(f"warning: features are not kept: {error}", file=sys.stderr, flush=True)
            return


def identify_features(image_set: ImageSet, network: FeatureNetwork) -> str:
    """Return a name of a network's features of images, by the content of both."""
    rows = None if image_set.rows is None else digest(image_set.rows.tolist())
    return digest({"images": image_set.sha256, "rows": rows, "network": network.description})[:32]


def _locate(image_set: ImageSet, network: FeatureNetwork, cache: Path, output: str) -> Path:
    """Say where an output of images is kept."""
    return cache / f"{identify_features(image_set, network)}-{output}.npz"
