"""Inception Score: how certain and how varied the network's classes are."""

import numpy as np

from eval.images.checks import check_features

SPLIT_SIZE = 5000


def compute_inception_score(softmax: np.ndarray, split_size: int = SPLIT_SIZE) -> float:
    """Compute the Inception Score as the authors do: the mean over consecutive splits.

    Args:
        softmax: class probabilities [n, classes], in the order in which the images were drawn.
        split_size: images per split. A short last split has the weight of a full one.

    Returns:
        The score, between 1 and the number of classes.

    Raises:
        UserError: NaN or infinity among the probabilities.
    """
    return float(np.mean(compute_split_scores(softmax, split_size)))


def compute_split_scores(softmax: np.ndarray, split_size: int = SPLIT_SIZE) -> np.ndarray:
    """Compute the score of every split of consecutive images.

    exp(mean_x KL(p(y|x) || p(y))), with p(y) the split's own mean (Salimans et al. 2016).

    Args:
        softmax: class probabilities [n, classes], in the order in which the images were drawn.
        split_size: images per split; the last one may have fewer.

    Returns:
        float64 [splits].

    Raises:
        UserError: NaN or infinity among the probabilities.
    """
    check_features(softmax, "Inception Score")
    starts = range(0, len(softmax), split_size)
    return np.array(
        [
            np.exp(compute_image_divergences(softmax[start : start + split_size]).mean())
            for start in starts
        ]
    )


def compute_image_divergences(softmax: np.ndarray) -> np.ndarray:
    """Compute KL(p(y|x) || p(y)) of every image of one split, p(y) being their mean.

    Args:
        softmax: class probabilities [n, classes].

    Returns:
        float64 [n], in nats, 0 log 0 being 0.
    """
    probabilities = softmax.astype(np.float64)
    mean = probabilities.mean(axis=0)
    negative_entropies = (probabilities * _compute_log(probabilities)).sum(axis=1)
    return negative_entropies - probabilities @ _compute_log(mean)


def _compute_log(probabilities: np.ndarray) -> np.ndarray:
    """Compute log p, with 0 at p = 0, where it is multiplied by 0."""
    return np.log(np.where(probabilities > 0, probabilities, 1.0))
