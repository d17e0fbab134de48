"""Inception Score: how certain and how varied the network's classes are."""

import numpy as np

from eval.checks import check_features

SPLIT_SIZE = 5000


def compute_split_sums(softmax: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute what a split needs: probabilities and sum_y p log p of every image, in float64.

    Args:
        softmax: class probabilities [n, classes].

    Returns:
        Probabilities float64 [n, classes] and negative entropies float64 [n], 0 log 0 being 0.
    """
    check_features(softmax, "Inception Score")
    probabilities = softmax.astype(np.float64)
    return probabilities, _compute_plogp(probabilities).sum(axis=1)


def compute_score(mean_probabilities: np.ndarray, mean_negative_entropy: float) -> float:
    """Compute exp(E_x KL(p(y|x) || p(y))) of one split from its means."""
    return float(np.exp(mean_negative_entropy - _compute_plogp(mean_probabilities).sum()))


def compute_inception_score(softmax: np.ndarray, split_size: int = SPLIT_SIZE) -> float:
    """Compute the Inception Score as the authors do.

    Mean over consecutive splits of exp(mean_x KL(p(y|x) || p(y))), with p(y) the split's own mean
    (Salimans et al. 2016). A short last split has the weight of a full one.

    Args:
        softmax: class probabilities [n, classes], in the order in which the images were drawn.
        split_size: images per split.

    Returns:
        The score, between 1 and the number of classes.

    Raises:
        UserError: NaN or infinity among the probabilities.
    """
    probabilities, entropies = compute_split_sums(softmax)
    scores = [
        compute_score(
            probabilities[start : start + split_size].mean(axis=0),
            entropies[start : start + split_size].mean(),
        )
        for start in range(0, len(softmax), split_size)
    ]
    return float(np.mean(scores))


def _compute_plogp(probabilities: np.ndarray) -> np.ndarray:
    """Compute p log p with the limit 0 at p = 0."""
    return probabilities * np.log(np.where(probabilities > 0, probabilities, 1.0))
