"""Kernel Inception Distance: an unbiased distance between two sets of features."""

from typing import TYPE_CHECKING, Any

import numpy as np

from eval.images.checks import check_features, check_num_images
from eval.metrics.intervals import MIN_IMAGES, make_estimate
from records.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

BLOCK_ROWS = 2048
NUM_SUBSETS = 100
SUBSET_SIZE = 1000
SUBSET_SEED = 2020


def compute_kid(reference: np.ndarray, samples: np.ndarray, *, device: str = "cpu") -> float:
    """Compute the unbiased squared MMD with the kernel (x y / dims + 1)^3, over all pairs.

    mean_(i != j) k(x_i, x_j) + mean_(i != j) k(y_i, y_j) - 2 mean_ij k(x_i, y_j) (Gretton et al.
    2012, equation 3; kernel of Binkowski et al. 2018). No random subsets are taken.

    Args:
        reference: features [m, dims], m >= 2.
        samples: features [n, dims], n >= 10.
        device: where kernels are computed.

    Returns:
        The distance; negative about as often as positive between equal distributions.

    Raises:
        UserError: too few rows, other dimensions, NaN or infinity.
    """
    return estimate_kid(reference, samples, device=device)["value"]


def compute_kid_of_subsets(
    reference: np.ndarray, samples: np.ndarray, *, device: str = "cpu"
) -> np.ndarray:
    """Compute KID of random subsets, as others publish its mean (Binkowski et al. 2018).

    100 times, 1,000 of each side are drawn without replacement, the samples first, by
    numpy.random.RandomState(2020): the draws of torch-fidelity with its settings, whose first input
    are the samples. The mean has the expectation of KID over all pairs, and more noise.

    Args:
        reference: features [m, dims], m >= 1000.
        samples: features [n, dims], n >= 1000.
        device: where kernels are computed.

    Returns:
        float64 [100].

    Raises:
        UserError: fewer rows, other dimensions, NaN or infinity.
    """
    _check(reference, samples, SUBSET_SIZE, SUBSET_SIZE)
    rng = np.random.RandomState(SUBSET_SEED)
    values = []
    for _ in range(NUM_SUBSETS):
        some, others = (
            _put(part[rng.choice(len(part), SUBSET_SIZE, replace=False)], device)
            for part in (samples, reference)
        )
        pairs = SUBSET_SIZE * (SUBSET_SIZE - 1)
        within = (
            float((_sum_kernel(rows, rows) - _compute_own_kernel(rows)).sum()) / pairs
            for rows in (some, others)
        )
        values.append(sum(within) - 2 * float(_sum_kernel(some, others).mean()) / SUBSET_SIZE)
    return np.array(values)


def estimate_kid(
    reference: np.ndarray, samples: np.ndarray, *, device: str = "cpu"
) -> dict[str, Any]:
    """Estimate KID with its interval, at a fixed reference.

    At a fixed reference the distance is a U-statistic of the samples with kernel h(x, x') =
    k(x, x') - g(x) - g(x') + c, g(x) being the mean of k(x, y) and c that of k(y, y'). Its
    variance is estimated without bias, by U^2 less the mean of h(x_1, x_2) h(x_3, x_4) over four
    different samples, and is at least that of its degenerate part, 2 var h / (n (n - 1)).

    Args:
        reference: features [m, dims], m >= 2.
        samples: features [n, dims], n >= 10.
        device: where kernels are computed: products in the features' precision, sums in float64.

    Returns:
        {"value", "std_error", "interval"}.

    Raises:
        UserError: too few rows, other dimensions, NaN or infinity.
    """
    import torch

    _check(reference, samples, 2, MIN_IMAGES)
    x, y = (_put(part, device) for part in (samples, reference))
    num = len(x)
    between = torch.cat([_sum_kernel(rows, y) for rows in x.split(BLOCK_ROWS)]) / len(y)
    within = sum(
        float(_sum_kernel(rows, y).sum() - _compute_own_kernel(rows).sum())
        for rows in y.split(BLOCK_ROWS)
    ) / (len(y) * (len(y) - 1))
    row_sums, square_sum = _sum_centred_kernel(x, between, within)
    total, row_square_sum = float(row_sums.sum()), float((row_sums**2).sum())
    value = total / (num * (num - 1))
    fours = (total**2 - 4 * row_square_sum + 2 * square_sum) / (
        num * (num - 1) * (num - 2) * (num - 3)
    )
    second_order = 2 * max(square_sum / (num * (num - 1)) - fours, 0.0) / (num * (num - 1))
    first_order = max(value**2 - fours, 0.0) + second_order
    own = float((_compute_own_kernel(x) - 2 * between + within).mean())
    biased = value + own / num
    return make_estimate(
        value,
        first_order,
        second_order,
        slope=first_order / biased if biased > 0 else 0.0,
        freedom=num - 1,
    )


def _check(
    reference: np.ndarray, samples: np.ndarray, num_reference: int, num_samples: int
) -> None:
    """Demand finite features of one network, and as many as are needed."""
    sides = ((reference, "reference", num_reference), (samples, "samples", num_samples))
    for features, what, needed in sides:
        check_features(features, f"KID: {what}")
        check_num_images(len(features), f"KID: {what}", needed, "KID is a mean over pairs")
    if reference.shape[1] != samples.shape[1]:
        raise UserError(
            f"KID: reference features have {reference.shape[1]} dimensions, sample features "
            f"{samples.shape[1]}; compute both with the same network"
        )


def _put(features: np.ndarray, device: str) -> "Tensor":
    """Put features on a device."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(features)).to(device)


def _compute_kernel(rows: "Tensor", columns: "Tensor") -> "Tensor":
    """Compute (x y / dims + 1)^3 of all pairs, float64 [rows, columns]."""
    return (rows @ columns.T).double().div_(rows.shape[1]).add_(1).pow_(3)


def _compute_own_kernel(rows: "Tensor") -> "Tensor":
    """Compute the kernel of every row with itself, float64 [rows]."""
    import torch

    squares = [(part.double() ** 2).sum(dim=1) for part in rows.split(BLOCK_ROWS)]
    return torch.cat(squares).div_(rows.shape[1]).add_(1).pow_(3)


def _sum_kernel(rows: "Tensor", points: "Tensor") -> "Tensor":
    """Sum the kernel of every row with all points, float64 [rows]."""
    start = rows.new_zeros(len(rows)).double()
    return sum((_compute_kernel(rows, part).sum(dim=1) for part in points.split(BLOCK_ROWS)), start)


def _sum_centred_kernel(x: "Tensor", between: "Tensor", within: float) -> tuple["Tensor", float]:
    """Sum h over the others of every sample, and h^2 over all pairs of different samples.

    Args:
        x: samples [n, dims].
        between: g of every sample, float64 [n].
        within: c.

    Returns:
        float64 [n] and a number.
    """
    row_sums = between.new_zeros(len(x))
    square_sum = 0.0
    for start in range(0, len(x), BLOCK_ROWS):
        rows = slice(start, min(start + BLOCK_ROWS, len(x)))
        for first in range(start, len(x), BLOCK_ROWS):
            columns = slice(first, min(first + BLOCK_ROWS, len(x)))
            kernel = _compute_kernel(x[rows], x[columns])
            kernel -= between[rows, None]
            kernel -= between[columns] - within
            if first == start:
                kernel.fill_diagonal_(0.0)
            row_sums[rows] += kernel.sum(dim=1)
            if first > start:
                row_sums[columns] += kernel.sum(dim=0)
            square_sum += float(kernel.pow_(2).sum()) * (1 if first == start else 2)
    return row_sums, square_sum
