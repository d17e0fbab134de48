"""Mean and scatter of features in float64, batch by batch, and merged across shards and workers."""

from dataclasses import dataclass

import numpy as np

from eval.images.checks import check_features
from records.errors import UserError

BLOCK_ROWS = 4096


@dataclass(frozen=True)
class Moments:
    """What a Gaussian needs to know of num_images rows of features.

    mean float64 [dims]; scatter float64 [dims, dims] is the sum of (f - mean)(f - mean)^T.
    """

    num_images: int
    mean: np.ndarray
    scatter: np.ndarray


def make_moments(features: np.ndarray) -> Moments:
    """Make the moments of an array of features, block by block.

    Args:
        features: floating-point [n, dims], n >= 1.

    Returns:
        The moments; a single row has scatter 0.

    Raises:
        UserError: no row, not floating-point numbers, or NaN or infinity among them.
    """
    return extend_moments(None, features)


def extend_moments(moments: Moments | None, features: np.ndarray) -> Moments:
    """Add a batch to moments, whose arrays are overwritten: use only what is returned.

    The batch's own moments are merged as in merge_moments, with the step between the two means as
    one row more in the batch's symmetric product; so a batch costs one product and no other pass
    over [dims, dims].

    Args:
        moments: so far; None to begin.
        features: floating-point [n, dims], n >= 1.

    Raises:
        UserError: no row, other dimensions than before, or NaN or infinity.
    """
    check_features(features, "moments")
    if not len(features):
        raise UserError("moments: got 0 rows of features; one or more are needed")
    dims = features.shape[1]
    if moments is None:
        moments = Moments(0, np.zeros(dims), np.zeros((dims, dims)))
    _check_dims(len(moments.mean), dims)
    num_images, mean, scatter = moments.num_images, moments.mean, moments.scatter
    for start in range(0, len(features), BLOCK_ROWS):
        block = features[start : start + BLOCK_ROWS]
        total = num_images + len(block)
        block_mean = block.mean(axis=0, dtype=np.float64)
        rows = np.empty((len(block) + 1, dims))
        np.subtract(block, block_mean, out=rows[:-1])
        # What rounding has left in the mean, which is not small beside a small spread.
        left = rows[:-1].mean(axis=0)
        rows[:-1] -= left
        step = block_mean + left - mean
        rows[-1] = np.sqrt(num_images * len(block) / total) * step
        _add_gram(rows, scatter)
        mean = mean + len(block) / total * step
        num_images = total
    return Moments(num_images, mean, scatter)


def merge_moments(first: Moments, second: Moments) -> Moments:
    """Merge the moments of two disjoint sets of images into those of both.

    mean = m1 + n2 / (n1 + n2) d, scatter = S1 + S2 + n1 n2 / (n1 + n2) d d^T with d = m2 - m1
    (Chan, Golub & LeVeque 1983). Neither argument is changed.

    Raises:
        UserError: other dimensions.
    """
    _check_dims(len(first.mean), len(second.mean))
    total = first.num_images + second.num_images
    step = second.mean - first.mean
    scatter = np.outer(step, first.num_images * second.num_images / total * step)
    scatter += first.scatter
    scatter += second.scatter
    return Moments(total, first.mean + second.num_images / total * step, scatter)


def compute_mu_sigma(moments: Moments) -> tuple[np.ndarray, np.ndarray]:
    """Compute mean float64 [dims] and covariance float64 [dims, dims], scatter / (n - 1).

    Raises:
        UserError: fewer than 2 images.
    """
    if moments.num_images < 2:
        raise UserError(
            f"moments: got {moments.num_images} row of features; a covariance needs 2 or more"
        )
    sigma = moments.scatter + moments.scatter.T
    sigma *= 0.5 / (moments.num_images - 1)
    return moments.mean, sigma


def _add_gram(rows: np.ndarray, scatter: np.ndarray) -> None:
    """Add rows^T rows to a symmetric matrix in place."""
    from scipy.linalg.blas import dgemm  # pyright: ignore[reportAttributeAccessIssue]  # made at run time

    if len(rows) >= len(scatter) // 4:
        scatter += rows.T @ rows
        return
    # A small batch: the product and the sum in one pass over the matrix. The transposes are in the
    # order that BLAS works in, and share memory with the arrays.
    dgemm(1.0, rows.T, rows.T, beta=1.0, c=scatter.T, trans_b=True, overwrite_c=True)


def _check_dims(first: int, second: int) -> None:
    """Demand features of one network."""
    if first != second:
        raise UserError(
            f"moments: features have {first} and {second} dimensions; "
            "only those of one network's same output can be merged"
        )
