"""Whether a stored mean and covariance can be those of features."""

from collections.abc import Iterator

import numpy as np

# Features are float32; no mean is beyond them, and no covariance beyond their squares.
LARGEST_FEATURE = float(np.finfo(np.float32).max)
# Covariances that were summed in float32 are so far off, whatever type they are stored in.
ROUNDING = 1e-6


def judge_mean(mean: np.ndarray, name: str) -> Iterator[str]:
    """Say why finite numbers are no mean of features.

    Args:
        mean: [dims].
        name: for the sentence.
    """
    largest = float(np.abs(mean).max(initial=0))
    if largest > LARGEST_FEATURE:
        yield f"{name} reaches {largest:.3g}; features are float32, at most {LARGEST_FEATURE:.3g}"


def judge_covariance(covariance: np.ndarray, name: str) -> Iterator[str]:
    """Say why a matrix of finite numbers is not a covariance of features.

    Args:
        covariance: floating-point [dims, dims], dims >= 1.
        name: for the sentence.
    """
    matrix = covariance.astype(np.float64)
    largest = float(np.abs(matrix).max())
    if largest > LARGEST_FEATURE**2:
        yield f"{name} reaches {largest:.3g}; features are float32, their squares at most 1.2e+77"
        return
    tolerance = max(ROUNDING, len(matrix) * float(np.finfo(covariance.dtype).eps))
    difference = float(np.abs(matrix - matrix.T).max())
    if difference > tolerance * largest:
        yield f"{name} is not symmetric (by up to {difference:.3g}); a covariance is"
        return
    shift = tolerance * max(largest, float(np.finfo(np.float64).tiny))
    try:
        # Several times faster than eigenvalues, which only tell more where this fails.
        np.linalg.cholesky(matrix + shift * np.eye(len(matrix)))
    except np.linalg.LinAlgError:
        least = float(np.linalg.eigvalsh(matrix)[0])
        if least < -tolerance * largest:
            yield f"{name} has an eigenvalue of {least:.3g}; those of a covariance are not negative"
