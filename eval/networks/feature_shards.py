"""Features of the images that a pass has finished, so that a killed one costs its last shard alone.

A shard is one .npz with what the pass keeps of some images in a row, named after the images, the
network and the first image. Shards stay when the pass is over, since what is computed of them takes
long too: whoever has written that down removes them.
"""

import sys
from contextlib import suppress
from pathlib import Path

import numpy as np

from eval.images.damaged_files import DAMAGE
from eval.images.image_set import ImageSet
from eval.networks.feature_cache import identify_features
from eval.networks.feature_network import FeatureNetwork
from records.errors import UserError
from records.files import atomic_write

SHARD_IMAGES = 5_000  # 100 MB of Inception's features


class FeatureShards:
    """The shards of one pass over images; none where the network has no folder for them.

    Attributes:
        num_done: images whose features were found, from the first on.
    """

    def __init__(
        self, image_set: ImageSet, network: FeatureNetwork, kept: dict[str, np.ndarray]
    ) -> None:
        """Find the finished shards and put their features into place.

        Args:
            image_set: the images.
            network: what runs over them; its `shards` is the folder.
            kept: by output, float32 [num_images, dims]; is filled as far as shards reach.
        """
        self._folder, self._kept, self.num_done = network.shards, kept, 0
        self._num_images = image_set.num_images
        self._prefix = f"{identify_features(image_set, network)}-{'-'.join(kept)}-from-"
        while self._folder is not None and self._read(self._folder):
            pass

    def keep(self, stop: int) -> None:
        """Write a shard up to an image once it is worth it; a full disk costs the shard alone."""
        if stop - self.num_done >= SHARD_IMAGES:
            self._write(stop)

    def finish(self) -> None:
        """Write the rest of a pass that has shards; a short pass has none."""
        if 0 < self.num_done < self._num_images:
            self._write(self._num_images)

    def _write(self, stop: int) -> None:
        if self._folder is None:
            return
        rows = slice(self.num_done, stop)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(self._folder / f"{self._prefix}{self.num_done}.npz") as file:
                np.savez(file, allow_pickle=False, **{k: v[rows] for k, v in self._kept.items()})
        except (OSError, UserError) as error:
            print(f"warning: features are not kept: {error}", file=sys.stderr, flush=True)
            self._folder = None
        self.num_done = stop

    def _read(self, folder: Path) -> bool:
        """Read the next shard; a damaged one counts as absent."""
        path = folder / f"{self._prefix}{self.num_done}.npz"
        with (
            suppress(*DAMAGE),
            open(path, "rb") as file,
            np.load(file, allow_pickle=False) as found,
        ):
            arrays = {name: found[name] for name in self._kept}
            rows = slice(self.num_done, self.num_done + len(next(iter(arrays.values()))))
            for name, array in arrays.items():
                if array.dtype != np.float32 or array.shape != self._kept[name][rows].shape:
                    return False
            for name, array in arrays.items():
                self._kept[name][rows] = array
            self.num_done = rows.stop
            return rows.stop > rows.start
        return False


def drop_shards(network: FeatureNetwork) -> None:
    """Remove all shards of a network's folder, and the folder if it is empty then."""
    if network.shards is None or not network.shards.is_dir():
        return
    for path in network.shards.glob("*-from-*.npz"):
        path.unlink(missing_ok=True)
    with suppress(OSError):
        network.shards.rmdir()
