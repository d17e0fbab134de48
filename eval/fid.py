"""Fréchet distance between Gaussians fitted to features: FID (pool) and sFID (spatial)."""

import numpy as np

from eval.checks import check_features
from records.errors import UserError

EPSILON = float(np.finfo(np.float64).eps)


def compute_moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute mean and covariance of features in float64.

    sigma = sum_i (f_i - mu)(f_i - mu)^T / (n - 1).

    Args:
        features: floating-point [n, dims], n >= 2.

    Returns:
        mu float64 [dims] and sigma float64 [dims, dims].

    Raises:
        UserError: fewer than 2 rows, or NaN or infinity among them.
    """
    check_features(features, "moments")
    if len(features) < 2:
        raise UserError(
            f"moments: got {len(features)} row of features; a covariance needs 2 or more"
        )
    mu = features.mean(axis=0, dtype=np.float64)
    centred = features - mu
    return mu, centred.T @ centred / (len(features) - 1)


def compute_frechet_distance(
    mu1: np.ndarray, sigma1: np.ndarray, mu2: np.ndarray, sigma2: np.ndarray
) -> float:
    """Compute the squared Fréchet distance between two Gaussians.

    |mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr (S1^(1/2) S2 S1^(1/2))^(1/2) (Dowson & Landau 1982; Heusel
    et al. 2017, FID). With S1 = A A^T and S2 = B B^T the last trace is the sum of the singular
    values of A^T B, which come from a symmetric eigenvalue problem; no general matrix square root
    is taken, and singular covariances are as good as others. Symmetric up to rounding.

    Args:
        mu1, mu2: means [dims].
        sigma1, sigma2: symmetric positive semi-definite covariances [dims, dims].

    Returns:
        The distance in squared feature units, >= 0 up to rounding.

    Raises:
        UserError: the shapes of the four do not belong together, or hold NaN or infinity.
    """
    arrays = [np.asarray(array, dtype=np.float64) for array in (mu1, sigma1, mu2, sigma2)]
    dims = arrays[0].size
    if [array.shape for array in arrays] != [(dims,), (dims, dims)] * 2:
        raise UserError(
            f"Fréchet distance: means and covariances are {[list(a.shape) for a in arrays]}; "
            "both pairs need the same number of dimensions; were they made by the same network?"
        )
    if not all(np.isfinite(array).all() for array in arrays):
        raise UserError("Fréchet distance: NaN or infinity in a mean or covariance; make it again")
    mu1, sigma1, mu2, sigma2 = arrays
    traces = np.trace(sigma1) + np.trace(sigma2)
    root_trace = _compute_nuclear_norm(_compute_factor(sigma1).T @ _compute_factor(sigma2), traces)
    difference = mu1 - mu2
    return float(difference @ difference + traces - 2 * root_trace)


def _compute_factor(sigma: np.ndarray) -> np.ndarray:
    """Factor sigma = A A^T: Cholesky, or eigenvectors without the null space if it is singular."""
    sigma = (sigma + sigma.T) / 2
    try:
        factor = np.linalg.cholesky(sigma)
        pivots = np.diagonal(factor) ** 2
        if pivots.min() > len(sigma) * EPSILON * pivots.max():
            return factor
    except np.linalg.LinAlgError:
        pass
    # Rounding gives a null space variances of 1e-16, whose roots (1e-8) would count: cut it off.
    values, vectors = np.linalg.eigh(sigma)
    kept = values > len(sigma) * EPSILON * max(values[-1], 0.0)
    return vectors[:, kept] * np.sqrt(values[kept])


def _compute_nuclear_norm(matrix: np.ndarray, scale: float) -> float:
    """Sum the singular values of a matrix, to about 1e-11 of scale.

    Singular values are roots of eigenvalues of M^T M. Squaring loses those below 1e-8 of the
    largest, so when what is lost could matter the subspace of the small ones is solved again by
    itself, where they are no longer small.
    """
    total = 0.0
    while matrix.size:
        if matrix.shape[0] < matrix.shape[1]:
            matrix = matrix.T
        gram = matrix.T @ matrix
        values = np.linalg.eigvalsh(gram).clip(min=0.0)
        noise = 4 * EPSILON * values[-1]
        lost = (noise / (np.sqrt(values) + np.sqrt(noise))).sum() if noise else 0.0
        if lost <= 1e-11 * scale:
            return total + float(np.sqrt(values).sum())
        values, vectors = np.linalg.eigh(gram)
        large = values > np.sqrt(EPSILON) * values[-1]
        total += float(np.sqrt(values[large]).sum())
        matrix = matrix @ vectors[:, ~large]
    return total
