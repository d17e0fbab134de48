"""FID extrapolated to infinite samples, where its bias has gone."""

from typing import Any

import numpy as np

from eval.images.checks import check_num_images
from eval.metrics.fid import compute_frechet_distance
from eval.metrics.intervals import compute_frechet_contribution, make_estimate, sum_orders
from eval.metrics.moments import compute_mu_sigma, make_moments, merge_moments

MIN_IMAGES = 40


def estimate_extrapolated_distance(
    features: np.ndarray, mu: np.ndarray, sigma: np.ndarray, *, seed: int = 0
) -> dict[str, Any]:
    """Estimate the Fréchet distance at infinitely many samples, with its interval.

    The bias of the distance is b / N to first order (Chong & Forsyth 2020). The samples are dealt
    at random into quarters, quarters joined to halves and halves to all: 7 distances at 3 counts,
    averaged at each count. The value is the intercept of their straight line over 1/N. As every
    count uses every sample once, what subsets add to the variance is of second order alone.

    Args:
        features: samples' features [n, dims], n >= 40; trustworthy from about n = 8 dims on, as
            with fewer in a quarter the bias is not b / N.
        mu, sigma: of the reference, which is taken as exact: its own bias is not removed.
        seed: of the dealing.

    Returns:
        {"value", "std_error", "interval", "points"}, points being [N, mean distance] of each
        count, largest first. The value of samples of the reference's own distribution is about 0,
        of either sign.

    Raises:
        UserError: fewer than 40 samples, other dimensions, NaN or infinity.
    """
    num_images = len(features)
    check_num_images(num_images, "FID at infinite samples", MIN_IMAGES, "quarters are compared")
    dealt = np.random.default_rng(seed).permutation(num_images)
    quarters = [make_moments(features[np.sort(part)]) for part in np.array_split(dealt, 4)]
    halves = [merge_moments(*quarters[:2]), merge_moments(*quarters[2:])]
    every = merge_moments(*halves)
    levels = [[every], halves, quarters]
    distances = np.array(
        [
            np.mean(
                [compute_frechet_distance(*compute_mu_sigma(part), mu, sigma) for part in level]
            )
            for level in levels
        ]
    )
    inverse = np.array([np.mean([1 / part.num_images for part in level]) for level in levels])
    deviation = inverse - inverse.mean()
    weights = 1 / 3 - inverse.mean() * deviation / (deviation**2).sum()
    value = float(weights @ distances)
    # How much a pair of samples counts for that is together in all of them alone, in a half, in a
    # quarter: that many times its part in the distance of all.
    counted = np.cumsum(weights * (1, 2, 4))
    excess = float(counted**2 @ (1 / 2, 1 / 4, 1 / 4))
    contribution = compute_frechet_contribution(features, every, mu, sigma, seed=seed)
    first_order, second_order = sum_orders(contribution)
    estimate = make_estimate(
        value,
        first_order + (2 * excess - 2) * second_order,
        excess * second_order,
        slope=first_order / distances[0] if distances[0] else 0.0,
        freedom=num_images - 1,
    )
    counts = [num_images / len(level) for level in levels]
    return {
        **estimate,
        "points": [list(pair) for pair in zip(counts, map(float, distances), strict=True)],
    }
