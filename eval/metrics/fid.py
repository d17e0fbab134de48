"""Fréchet distance between Gaussians fitted to features: FID (pool) and sFID (spatial)."""

import numpy as np

from eval.metrics.moments import compute_mu_sigma, make_moments
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
    return compute_mu_sigma(make_moments(features))


def compute_frechet_distance(
    mu1: np.ndarray, sigma1: np.ndarray, mu2: np.ndarray, sigma2: np.ndarray
) -> float:
    """Compute the squared Fréchet distance between two Gaussians.

    |mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr (S1^(1/2) S2 S1^(1/2))^(1/2) (Dowson & Landau 1982; Heusel
    et al. 2017, FID). With S1 = A A^T and S2 = B B^T the last trace is the sum of the roots of the
    eigenvalues of A^T B B^T A, which is symmetric; no general matrix square root is taken. Singular
    covariances are as good as others and faster. Symmetric up to rounding; rounding below 0 is
    returned as 0.

    Args:
        mu1, mu2: means [dims].
        sigma1, sigma2: symmetric positive semi-definite covariances [dims, dims].

    Returns:
        The distance in squared feature units, >= 0.

    Raises:
        UserError: the shapes of the four do not belong together, or hold NaN or infinity.
    """
    mu1, sigma1, mu2, sigma2 = check_gaussians(mu1, sigma1, mu2, sigma2)
    traces = np.trace(sigma1) + np.trace(sigma2)
    difference = mu1 - mu2
    distance = difference @ difference + traces - 2 * _compute_root_trace(sigma1, sigma2)
    return max(0.0, float(distance))


def check_gaussians(*arrays: np.ndarray) -> list[np.ndarray]:
    """Demand two means and covariances of one size; return them as float64, exactly symmetric.

    Args:
        arrays: mu1, sigma1, mu2, sigma2.

    Raises:
        UserError: the shapes of the four do not belong together, or hold NaN or infinity.
    """
    parts = [np.asarray(array, dtype=np.float64) for array in arrays]
    dims = parts[0].size
    if [part.shape for part in parts] != [(dims,), (dims, dims)] * 2:
        raise UserError(
            f"Fréchet distance: means and covariances are {[list(part.shape) for part in parts]}; "
            "both pairs need the same number of dimensions; were they made by the same network?"
        )
    if not all(np.isfinite(part).all() for part in parts):
        raise UserError("Fréchet distance: NaN or infinity in a mean or covariance; make it again")
    return [part if part.ndim == 1 else (part + part.T) / 2 for part in parts]


def compute_factor(sigma: np.ndarray) -> np.ndarray:
    """Factor a covariance as A A^T by Cholesky with pivoting, which finds its rank as well.

    Rounding gives a null space variances of 1e-16, whose roots (1e-8) would count. So what is left
    is cut off once no pivot exceeds dims * 2e-16 of the largest variance.

    Args:
        sigma: symmetric positive semi-definite float64 [dims, dims].

    Returns:
        A, float64 [dims, rank].
    """
    from scipy.linalg.lapack import dpstrf  # pyright: ignore[reportAttributeAccessIssue]  # made at run time

    least = len(sigma) * EPSILON * max(float(np.diagonal(sigma).max()), 0.0)
    # Both triangles are alike; the transpose has the order that LAPACK works in.
    packed, pivots, rank, _ = dpstrf(sigma.T, tol=least, lower=1)
    factor = np.zeros((len(sigma), rank))
    factor[pivots - 1] = np.tril(packed)[:, :rank]
    return factor


def make_count_warning(first: int | None, second: int | None) -> str | None:
    """Make the sentence that goes with FIDs (or sFIDs) of different numbers of samples.

    The bias of FID falls about as 1/N, so that more samples alone lower it.

    Args:
        first, second: numbers of samples; None where a result does not say.

    Returns:
        The warning, or None when both counts are known and equal.
    """
    if first == second and first is not None:
        return None
    counts = " and ".join(
        "an unknown number of" if n is None else f"{n:,}" for n in (first, second)
    )
    return (
        f"FID and sFID of {counts} samples do not compare: their bias falls with the number of "
        "samples; use equal numbers, or the extrapolation to infinite samples (fid_infinity)"
    )


def _compute_root_trace(sigma1: np.ndarray, sigma2: np.ndarray) -> float:
    """Compute tr (S1^(1/2) S2 S1^(1/2))^(1/2).

    Roots of eigenvalues would lose what is below 1e-8 of the largest root. They do not here: the
    columns of a pivoted factor come in order of size, so the matrix is graded from its top left
    corner downwards, and on such matrices the reduction to tridiagonal form and the QL iteration
    keep small eigenvalues. (Covariances with roots down to 1e-14 of the largest, in unrelated
    bases: within 4e-11 of the traces of the singular values of A^T B.)
    """
    from scipy.linalg import eigh

    small, large = sorted(map(compute_factor, (sigma1, sigma2)), key=lambda factor: factor.shape[1])
    product = small.T @ large
    if not product.size:
        return 0.0
    # Twice as fast as numpy's with two threads.
    values = eigh(product @ product.T, eigvals_only=True, driver="evd", overwrite_a=True)
    return float(np.sqrt(values.clip(min=0.0)).sum())
