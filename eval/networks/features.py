"""Images to features: pool (FID, precision, recall), spatial (sFID), softmax (Inception Score)."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from eval.images.checks import check_features
from eval.images.image_set import ImageSet
from eval.images.prefetch import prefetch_batches
from eval.networks.feature_cache import keep_features, read_cached
from eval.networks.feature_network import FeatureNetwork
from eval.networks.feature_shards import FeatureShards
from eval.networks.progress import show_progress
from records.errors import UserError

OUTPUTS = ("pool", "spatial", "softmax")


@dataclass(frozen=True)
class Features:
    """Outputs of a feature network, float32: pool [n, d], spatial [n, e], softmax [n, classes].

    None in the place of outputs that nobody asked for. labels int64 [n] are those of the images,
    None where they have none.
    """

    num_images: int
    pool: np.ndarray | None = None
    spatial: np.ndarray | None = None
    softmax: np.ndarray | None = None
    labels: np.ndarray | None = None

    def take(self, indices: np.ndarray) -> "Features":
        """Return the features of some of the images."""
        parts = {name: getattr(self, name) for name in (*OUTPUTS, "labels")}
        taken = {name: part[indices] for name, part in parts.items() if part is not None}
        return Features(len(indices), **taken)


def demand(array: np.ndarray | None) -> np.ndarray:
    """Return an array that a metric needs; only a mistake in `eval` can have left it out."""
    assert array is not None, "not among what eval.metrics.registry says is needed"
    return array


def compute_features(
    image_set: ImageSet,
    network: FeatureNetwork,
    *,
    outputs: Collection[str] = OUTPUTS,
    batch_size: int = 64,
    progress: bool = False,
) -> Features:
    """Run the feature network over all images and keep what is asked for.

    Where the network has a cache, features that are there are read instead; where it has a folder
    for shards, a pass that was killed goes on after its last one, and one that is over is read.

    Args:
        image_set: from open_images.
        network: from load_network.
        outputs: of OUTPUTS, those to keep.
        batch_size: images at a time; changes nothing but the last bits.
        progress: show a progress bar, or a line a minute where standard error is no terminal.

    Raises:
        UserError: an image cannot be read, or NaN or infinity among the features.
    """
    kept = {
        name: np.empty((image_set.num_images, dims), dtype=np.float32)
        for name, dims in (
            ("pool", network.pool_dims),
            ("spatial", network.spatial_dims),
            ("softmax", network.num_classes),
        )
        if name in outputs
    }
    cached = read_cached(image_set, network, kept)
    if cached is not None:
        return Features(image_set.num_images, labels=image_set.labels, **cached)
    shards = FeatureShards(image_set, network, kept)
    start, rest = shards.num_done, image_set
    if start:
        rest = image_set.take(np.arange(start, image_set.num_images))
    for rows, _, batch in iterate_features(rest, network, batch_size=batch_size, progress=progress):
        for name, array in kept.items():
            array[start + rows.start : start + rows.stop] = batch[name]
        shards.keep(start + rows.stop)
    shards.finish()
    keep_features(image_set, network, kept)
    return Features(image_set.num_images, labels=image_set.labels, **kept)


def iterate_features(
    image_set: ImageSet, network: FeatureNetwork, *, batch_size: int, progress: bool = False
) -> Iterator[tuple[slice, np.ndarray, dict[str, np.ndarray]]]:
    """Run the feature network batch by batch; the next batches are read meanwhile.

    Yields:
        The rows of a batch, its images uint8 [n, h, w, c], and its outputs by name.

    Raises:
        UserError: an image cannot be read, or NaN or infinity among the features.
    """
    start = 0
    with show_progress(image_set.num_images, image_set.path, shown=progress) as advance:
        for images in prefetch_batches(image_set.iterate_batches(batch_size)):
            outputs: dict[str, np.ndarray] = dict(zip(OUTPUTS, network.run(images), strict=True))
            for name, output in outputs.items():
                check_features(output, f"{image_set.path}: {name} of images from {start}")
            yield slice(start, start + len(images)), images, outputs
            start += len(images)
            advance(len(images))
    if start != image_set.num_images:
        raise UserError(
            f"{image_set.path}: {start} images came out of it, {image_set.num_images} were "
            "announced; it changed meanwhile or is damaged; make or fetch it again"
        )
