"""What can be graded besides files: images in memory, and features that were computed before."""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from eval.images.checks import check_images, check_labels, check_num_images
from eval.images.image_set import ImageSet, describe_shape
from eval.images.open import open_images
from eval.metrics.precision_recall import MIN_IMAGES, WHY
from eval.metrics.reference import Reference
from eval.networks.feature_network import FeatureNetwork
from eval.networks.features import Features, compute_features
from eval.reference import make_reference_of_features
from eval.reference_statistics import load_reference_statistics
from records.errors import UserError

IN_MEMORY = "array"
Images = str | Path | ArrayLike | tuple[ArrayLike, ArrayLike]


@dataclass(frozen=True, repr=False, eq=False)
class ImageFeatures:
    """Features of a batch of images: samples, or reference, of any number of gradings.

    Attributes:
        kind: what held the images, in words; IN_MEMORY where no file did.
        shape: height, width and channels of the images.
        features: pool [n, d], spatial [n, e] and softmax [n, classes], float32.
        reference: what samples are compared with: the statistics that are stored with the images,
            else those of the features.
        network: what computed the features; features of another are never graded with them.
    """

    kind: str
    shape: tuple[int, int, int]
    features: Features
    reference: Reference
    network: FeatureNetwork

    @property
    def path(self) -> str:
        """Where the images came from."""
        return self.reference.path

    @property
    def sha256(self) -> str:
        """The SHA-256 of the images' file."""
        return self.reference.sha256

    @property
    def num_images(self) -> int:
        """How many images there are."""
        return self.features.num_images

    def take(self, rows: np.ndarray) -> "ImageFeatures":
        """Return the features of some of the images; as a reference they stay what they are."""
        return replace(self, features=self.features.take(rows))

    def __repr__(self) -> str:
        """Show what they are of, not the numbers."""
        return (
            f"ImageFeatures({self.path}: {self.num_images:,} images of "
            f"{describe_shape(self.shape)}, by {self.network.name})"
        )


# What eval.grade.grade takes on either side.
Gradable = str | Path | ImageSet | ImageFeatures


def open_array(images: ArrayLike | tuple[ArrayLike, ArrayLike]) -> ImageSet:
    """Open images in memory as a batch.

    Args:
        images: uint8 [n, h, w, 1 or 3], or a pair of these and labels, whole numbers [n].

    Returns:
        The batch. Its sha256 is that of the .npy file which numpy.save writes of the images.

    Raises:
        UserError: something else than 8-bit images, or another number of labels than of images.
    """
    labels = None
    if isinstance(images, tuple):
        if len(images) != 2:
            raise UserError(
                f"got a tuple of {len(images)}; a pair (images, labels) or an array is needed"
            )
        images, labels = images
    try:
        array = np.asarray(images)
        labels = None if labels is None else np.asarray(labels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{type(images).__name__}: cannot be read as an array ({error}); give uint8 "
            "[n, h, w, 3] in the CPU's memory, or the path of a file or folder"
        ) from None
    where = f"array {list(array.shape)}"
    check_images(array, where)
    array = np.ascontiguousarray(array)

    def iterate_batches(batch_size: int) -> Iterator[np.ndarray]:
        for start in range(0, len(array), batch_size):
            yield array[start : start + batch_size]

    return ImageSet(
        path=where,
        sha256=_hash_as_npy(array),
        num_images=len(array),
        shape=array.shape[1:],
        labels=None if labels is None else check_labels(labels, len(array), where),
        iterate_batches=iterate_batches,
        kind=IN_MEMORY,
    )


def _hash_as_npy(array: np.ndarray) -> str:
    """Compute the SHA-256 of the .npy file of an array in C order."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    hashed = hashlib.sha256(header.getvalue())
    hashed.update(array.data)
    return hashed.hexdigest()


def compute_image_features(
    images: str | Path | ImageSet,
    network: FeatureNetwork,
    *,
    batch_size: int = 64,
    allow_jpeg: bool = False,
    progress: bool = False,
) -> ImageFeatures:
    """Run the feature network over images once, for any number of gradings.

    Args:
        images: a path that open_images takes, or a batch from open_array.
        network: the feature network.
        batch_size: images at a time.
        allow_jpeg: take JPEG files.
        progress: show a progress bar.

    Returns:
        The features. An .npz with statistics serves as reference with these, as in the command.

    Raises:
        UserError: the images cannot be read or are too few, or their statistics were made with
            another network.
    """
    if isinstance(images, ImageSet):
        image_set, path = images, images.path
    else:
        image_set, path = open_images(images, allow_jpeg=allow_jpeg), str(images)
    stored = load_reference_statistics(path, network) if image_set.kind == ".npz file" else None
    check_num_images(image_set.num_images, path, MIN_IMAGES, WHY)
    features = compute_features(image_set, network, batch_size=batch_size, progress=progress)
    if stored is None:
        reference = make_reference_of_features(features, path=path, sha256=image_set.sha256)
    else:
        moments, count = stored
        reference = Reference(
            path=path,
            sha256=image_set.sha256,
            num_stored=image_set.num_images,
            num_images=count,
            pool=features.pool,
            image_size_px=image_set.shape[:2],
            labels=features.labels,
            **moments,
        )
    return ImageFeatures(image_set.kind, image_set.shape, features, reference, network)
