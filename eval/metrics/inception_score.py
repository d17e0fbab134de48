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


def compute_shuffled_scores(
    softmax: np.ndarray, *, num_orders: int, seed: int = 0, split_size: int = SPLIT_SIZE
) -> np.ndarray:
    """Compute what the score of the same images would be in random orders, which is cheap.

    A split's score needs the mean of p(y|x) alone beside the images' own sums of p log p.

    Args:
        softmax: class probabilities [n, classes].
        num_orders: how many.
        seed: of the orders.
        split_size: images per split.

    Returns:
        float64 [num_orders].
    """
    num, rng = len(softmax), np.random.default_rng(seed)
    own = np.empty(num)
    for start in range(0, num, split_size):
        part = softmax[start : start + split_size].astype(np.float64)
        own[start : start + split_size] = (part * _compute_log(part)).sum(axis=1)
    splits = np.arange(num) // split_size
    sizes = np.bincount(splits)
    scores = []
    for _ in range(num_orders):
        dealt = rng.permutation(splits)
        members = np.zeros((len(sizes), num), softmax.dtype)
        members[dealt, np.arange(num)] = 1
        means = (members @ softmax / sizes[:, None]).astype(np.float64)
        entropies = -(means * _compute_log(means)).sum(axis=1)
        scores.append(np.exp(np.bincount(dealt, own) / sizes + entropies).mean())
    return np.array(scores)


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
