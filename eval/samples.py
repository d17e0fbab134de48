"""The side of a grading that is graded: samples, opened and chosen, and how they were made."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from eval.images.checks import check_num_images
from eval.images.image_set import ImageSet
from eval.images.open import open_images
from eval.inputs import IN_MEMORY, Gradable, ImageFeatures
from eval.metrics.extrapolation import MIN_IMAGES as MIN_FOR_EXTRAPOLATION
from eval.metrics.intervals import MIN_IMAGES as MIN_FOR_INTERVALS
from eval.metrics.kid import SUBSET_SIZE
from eval.metrics.precision_recall import MIN_IMAGES, WHY
from eval.metrics.reference import Reference
from eval.networks.feature_network import FeatureNetwork
from eval.networks.features import Features, compute_features
from records.errors import UserError
from records.manifest import manifest_path, read_protocol


@dataclass(frozen=True)
class Samples:
    """Samples that are to be graded.

    Attributes:
        path: where they are.
        batch: what is graded, in the order of the file.
        places: of each sample its row in batch, int64 [n], in the order that is graded.
        protocol: how they were made, which of them are graded, path and sha256.
    """

    path: str
    batch: ImageSet | ImageFeatures
    places: np.ndarray
    protocol: dict[str, Any]


def open_samples(
    samples: Gradable,
    *,
    num_images: int | None = None,
    shuffle: bool = False,
    seed: int = 0,
    allow_jpeg: bool = False,
) -> Samples:
    """Open samples, and choose which are graded.

    Args:
        samples: a path, a batch or features.
        num_images: how many are graded: the first, or random ones with shuffle; None for all.
        shuffle: grade them in a random order, which moves the Inception Score alone.
        seed: of the order.
        allow_jpeg: take JPEG files.

    Raises:
        UserError: unreadable, fewer than num_images, or what is beside them is another batch's
            manifest.
    """
    if isinstance(samples, ImageSet | ImageFeatures):
        batch, path = samples, samples.path
    else:
        batch, path = open_images(samples, allow_jpeg=allow_jpeg), str(samples)
    protocol = {} if batch.kind == IN_MEMORY else read_protocol(path) or {}
    if protocol.get("sha256") not in (None, batch.sha256):
        raise UserError(
            f"{manifest_path(path)}: tells how a batch with SHA-256 {protocol['sha256']} "
            f"was made; {path} has {batch.sha256}: delete it, or put the batch's own there"
        )
    protocol |= {"path": path, "sha256": batch.sha256}
    num = batch.num_images
    if num_images is not None and num_images > num:
        raise UserError(
            f"{path}: holds {num} images, --num-images (num_images) is {num_images}; "
            f"{num} or fewer are needed"
        )
    places = np.random.default_rng(seed).permutation(num) if shuffle else np.arange(num)
    places = places[:num_images]
    if shuffle or len(places) < num:
        protocol["graded"] = {
            "num_images": len(places),
            "of": num,
            "order": "random" if shuffle else "as stored",
            "seed": seed if shuffle else None,
        }
    if len(places) < num:
        rows = np.sort(places)
        batch, places = batch.take(rows), np.searchsorted(rows, places)
    return Samples(path, batch, places, protocol)


def check_counts(samples: Samples, metrics: Collection[str], *, intervals: bool) -> None:
    """Demand as many samples as the metrics need."""
    num, path = samples.batch.num_images, samples.path
    check_num_images(num, path, MIN_IMAGES, WHY)
    if intervals or "kid" in metrics:
        check_num_images(num, path, MIN_FOR_INTERVALS, "intervals and KID need them")
    if "kid_subsets" in metrics:
        check_num_images(num, path, SUBSET_SIZE, "kid_subsets draws as many at a time")
    if "fid_infinity" in metrics:
        check_num_images(num, path, MIN_FOR_EXTRAPOLATION, "quarters are compared")


def check_labels(images: ImageSet | ImageFeatures | Reference) -> None:
    """Demand labels, for values by class.

    Raises:
        UserError: there are none, or none that can be used.
    """
    labels = images.features.labels if isinstance(images, ImageFeatures) else images.labels
    if labels is None:
        fault = images.label_fault if isinstance(images, ImageSet) else None
        raise UserError(
            f"{images.path}: values by class need a label for each image; "
            f"{fault or 'it has none'}; leave --by-class (by_class) out"
        )


def compute_sample_features(
    samples: Samples,
    network: FeatureNetwork,
    *,
    outputs: Collection[str],
    batch_size: int,
    progress: bool,
) -> Features:
    """Compute the features of samples, in the order that is graded."""
    batch = samples.batch
    if isinstance(batch, ImageFeatures):
        features = batch.features
    else:
        features = compute_features(
            batch, network, outputs=outputs, batch_size=batch_size, progress=progress
        )
    in_order = (samples.places == np.arange(len(samples.places))).all()
    return features if in_order else features.take(samples.places)
