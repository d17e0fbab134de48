"""Images to features: pool (FID, precision, recall), spatial (sFID), softmax (Inception Score)."""

from dataclasses import dataclass

import numpy as np
import torch

from eval.checks import check_features, check_images
from eval.network import FeatureNetwork, compute_outputs, prepare_images


@dataclass(frozen=True)
class Features:
    """Outputs of a feature network, float32: pool [n, d], spatial [n, e], softmax [n, classes]."""

    pool: np.ndarray
    spatial: np.ndarray
    softmax: np.ndarray

    def __len__(self) -> int:
        return len(self.pool)

    def take(self, indices: np.ndarray) -> "Features":
        """Return the features of some of the images."""
        return Features(self.pool[indices], self.spatial[indices], self.softmax[indices])


@torch.inference_mode()
def compute_features(
    images: np.ndarray, network: FeatureNetwork, *, batch_size: int = 64, where: str = "images"
) -> Features:
    """Run the feature network over all images.

    Args:
        images: uint8 [n, h, w, 1 or 3].
        network: from load_network.
        batch_size: images at a time; changes nothing but the last bits.
        where: the file they came from, for messages.

    Raises:
        UserError: not such images, or NaN or infinity among the features.
    """
    check_images(images, where)
    num = len(images)
    outputs: list[np.ndarray] = []
    for start in range(0, num, batch_size):
        x = prepare_images(images[start : start + batch_size], network.image_size_px)
        pool, spatial, logits = compute_outputs(network.parameters, x)
        parts = (pool, spatial, logits.softmax(dim=1))
        if not outputs:
            outputs = [np.empty((num, part.shape[1]), dtype=np.float32) for part in parts]
        for output, part in zip(outputs, parts, strict=True):
            output[start : start + batch_size] = part.numpy()
    for output in outputs:
        check_features(output, where)
    return Features(*outputs)
