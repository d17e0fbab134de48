"""95 % intervals that contain their own estimate, without a second pass through the network.

What is covered is the expectation of the statistic over samples, at this number of samples and at
a fixed reference: sampling error only. The bias that FID has at a given number of samples is part
of the estimate and of what is covered, not of the interval's width; the training of the model and
of the feature network is taken as given.

A plain bootstrap is not used: its duplicates shrink nearest-neighbour radii and inflate
covariances, so that its intervals miss their own estimate. Instead:

* FID, sFID, Inception Score, KID: the variance is the sum of the first two terms of Hoeffding's
  decomposition (1948). The first comes from the influence of every sample, which is what a
  jackknife measures. At or near the reference's own distribution influence vanishes, the second
  term remains, and a jackknife counts it twice (Efron & Stein 1981: up to 1.4 times too wide). Both
  are computed in closed form, the double count is taken off, and as the influence grows with the
  distance the interval is that of Wilson (1927): the values that the estimate does not contradict.
* Precision, memorised share: Wilson's interval of the membership indicators.
* Recall: eval/metrics/recall_interval.py. Coverage: eval/metrics/density_coverage.py.

`tests/eval/test_coverage.py` measures coverage; docs/numerics.md has the table.
"""

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

import numpy as np

from eval.images.checks import check_num_images
from eval.metrics.fid import check_gaussians, compute_factor, compute_frechet_distance
from eval.metrics.inception_score import SPLIT_SIZE, compute_image_divergences, compute_split_scores
from eval.metrics.moments import Moments, compute_mu_sigma, make_moments
from records.contributions import Contribution, choose_pairs

MIN_IMAGES = 10
BLOCK_ROWS = 4096
EPSILON = float(np.finfo(np.float64).eps)
Z = NormalDist().inv_cdf(0.975)
WORDS = (
    "95 %, sampling error only, of the expectation at this number of samples and at a fixed "
    "reference: FID, sFID, KID and Inception Score from the first two orders of their variance "
    "over the samples; precision, memorised share by Wilson's interval over the samples; recall by "
    "Wilson's interval over the reference images plus the variance over the samples from random "
    "halves of them"
)


def make_estimate(
    value: float,
    first_order: float,
    second_order: float,
    *,
    slope: float = 0.0,
    freedom: int,
    low: float = -math.inf,
    high: float = math.inf,
) -> dict[str, Any]:
    """Make value, std_error and the 95 % interval of a statistic from two orders of its variance.

    The variance is V(value) = max(first_order - second_order, second_order): the variance of the
    influence contains the second order twice, and the second order alone is left where influence
    vanishes. The interval holds every x with (value - x)^2 <= q^2 V(x), V growing with slope, q
    being Student's quantile.

    Args:
        value: of the statistic.
        first_order: variance of the samples' influence over their number.
        second_order: variance of the statistic where influence vanishes.
        slope: by how much its variance grows with the statistic.
        freedom: degrees of freedom, the number of samples less one.
        low, high: between which the statistic lies.

    Returns:
        {"value", "std_error", "interval"}.
    """
    quantile = compute_quantile(freedom)
    half = quantile * math.sqrt(second_order)
    lower, upper = value - half, value + half
    centre = quantile**2 * slope / 2
    square = centre**2 + quantile**2 * (first_order - second_order)
    if square > 0:
        lower = min(lower, value + centre - math.sqrt(square))
        upper = max(upper, value + centre + math.sqrt(square))
    return {
        "value": value,
        "std_error": math.sqrt(max(first_order - second_order, second_order)),
        "interval": [min(max(lower, low), value), max(min(upper, high), value)],
    }


def compute_quantile(freedom: int) -> float:
    """Compute Student's quantile at 97.5 % by two terms of Cornish and Fisher's expansion.

    It is 2.0095 at 49 degrees of freedom, and 2.26 at 9.
    """
    return Z + (Z**3 + Z) / (4 * freedom) + (5 * Z**5 + 16 * Z**3 + 3 * Z) / (96 * freedom**2)


def estimate_frechet_distance(
    features: np.ndarray,
    mu: np.ndarray,
    sigma: np.ndarray,
    *,
    seed: int = 0,
    moments: Moments | None = None,
    contribution: Contribution | None = None,
) -> dict[str, Any]:
    """Estimate the Fréchet distance of samples to a fixed Gaussian, with its interval.

    Args:
        features: samples' features [n, dims], n >= 10.
        mu, sigma: of the reference.
        seed: of the random pairs of samples that the second order is averaged over.
        moments: of the features, where they are at hand.
        contribution: of the samples (`compute_frechet_contribution`), where it is at hand.

    Returns:
        {"value", "std_error", "interval"}.

    Raises:
        UserError: fewer than 10 samples, other dimensions, NaN or infinity.
    """
    check_num_images(len(features), "intervals", MIN_IMAGES, "a variance of fewer says nothing")
    moments = moments or make_moments(features)
    value = compute_frechet_distance(*compute_mu_sigma(moments), mu, sigma)
    one = contribution or compute_frechet_contribution(features, moments, mu, sigma, seed=seed)
    first_order, second_order = sum_orders(one)
    return make_estimate(
        value,
        first_order,
        second_order,
        slope=first_order / value if value else 0.0,
        freedom=len(features) - 1,
        low=0.0,
    )


def sum_orders(contribution: Contribution) -> tuple[float, float]:
    """Return both orders of a variance: that of the influence over n, and 2 E h^2 / n^2."""
    assert contribution.pairs is not None
    num_images = len(contribution.each)
    return (
        float(contribution.each.var(ddof=1)) / num_images,
        2 * float(np.mean(contribution.pairs**2)) / num_images**2,
    )


def compute_frechet_contribution(
    features: np.ndarray, moments: Moments, mu: np.ndarray, sigma: np.ndarray, *, seed: int
) -> Contribution:
    """Compute what every sample, and random pairs of them, add to the Fréchet distance.

    With reference covariance A A^T, V diag(s^2) V^T = A^T S A and z = diag(s)^(-1/2) V^T A^T x of a
    centred sample x, its derivative is 2 (m - mu) x + |x|^2 - |z|^2 less the mean, as the optimal
    map between the Gaussians is A V diag(1/s) V^T A^T. The second order is h(x, x') = z z' + 1/2
    sum_ij (z_i z_j - s_i 1_ij) (z'_i z'_j - s_i 1_ij) / (s_i + s_j). The influence of a sample is
    what leaving it out takes away, n - 1 times: the derivative less h(x, x) / (n - 1). (With 500
    samples of 112 dimensions the derivative alone makes standard errors up to 5 % too small.)

    Args:
        features: samples' features [n, dims].
        moments: of the features.
        mu, sigma: of the reference.
        seed: of the random pairs of samples that E h^2 is averaged over.

    Returns:
        The influence of every sample, and h of the pairs.
    """
    num_images = len(features)
    sample_mu, sample_sigma, mu, sigma = check_gaussians(*compute_mu_sigma(moments), mu, sigma)
    factor = compute_factor(sigma)
    squares, vectors = np.linalg.eigh(factor.T @ (sample_sigma @ factor))
    kept = squares > len(squares) * EPSILON * squares.max(initial=0.0)
    scales = np.sqrt(squares[kept])
    to_z = factor @ (vectors[:, kept] / np.sqrt(scales))
    influence = np.empty(num_images)
    single, sums = to_z.astype(np.float32), _invert_sums(scales).astype(np.float32)
    for start in range(0, num_images, BLOCK_ROWS):
        x = features[start : start + BLOCK_ROWS] - sample_mu
        z = x.astype(np.float32) @ single
        squared = z**2
        lengths = squared.sum(axis=1, dtype=np.float64)
        curved = np.einsum("ij,ij->i", squared @ sums, squared, dtype=np.float64)
        influence[start : start + len(x)] = (
            2 * (x @ (sample_mu - mu))
            + np.einsum("ij,ij->i", x, x)
            - lengths
            - (lengths + curved) / (2 * (num_images - 1))
        )
    products = _compute_pair_products(features, sample_mu, to_z, scales, seed)
    return Contribution(influence, products)


def _compute_pair_products(
    features: np.ndarray, mean: np.ndarray, to_z: np.ndarray, scales: np.ndarray, seed: int
) -> np.ndarray:
    """Compute h of random pairs of different samples, float64 [pairs]."""
    pairs = choose_pairs(len(features), seed)
    z, other_z = ((features[chosen] - mean) @ to_z for chosen in pairs)
    both = z * other_z
    squares = (z**2).sum(axis=1) + (other_z**2).sum(axis=1)
    curved = ((both @ _invert_sums(scales)) * both).sum(axis=1)
    return both.sum(axis=1) + (curved - squares / 2 + scales.sum() / 2) / 2


def _invert_sums(scales: np.ndarray) -> np.ndarray:
    """Return 1 / (s_i + s_j)."""
    return 1 / np.add.outer(scales, scales)


def estimate_inception_score(softmax: np.ndarray, split_size: int = SPLIT_SIZE) -> dict[str, Any]:
    """Estimate the Inception Score with its interval.

    The influence of an image on its split's score is the score times the image's own divergence
    KL(p(y|x) || p(y)), less the mean. The second order is h(x, x') = -1/2 sum_y (p(y|x) - p(y))
    (p(y|x') - p(y)) / p(y), with E h^2 = 1/4 |C|^2, C being the covariance of p(y|x) p(y)^(-1/2).

    Args:
        softmax: class probabilities [n, classes], n >= 10.
        split_size: images per split, as in the score itself.

    Returns:
        {"value", "std_error", "interval"}.

    Raises:
        UserError: fewer than 10 images, NaN or infinity among the probabilities.
    """
    check_num_images(len(softmax), "intervals", MIN_IMAGES, "a variance of fewer says nothing")
    scores = compute_split_scores(softmax, split_size)
    orders = np.zeros(2)
    for number, score in enumerate(scores):
        part = softmax[number * split_size : (number + 1) * split_size].astype(np.float64)
        mean = part.mean(axis=0)
        scaled = (part - mean) / np.sqrt(np.where(mean > 0, mean, 1.0))
        curved = float(((scaled.T @ scaled / len(part)) ** 2).sum()) / (2 * len(part) ** 2)
        straight = float(compute_image_divergences(part).var()) / max(len(part) - 1, 1)
        orders += (score / len(scores)) ** 2 * np.array([straight, curved])
    value, most = float(np.mean(scores)), float(softmax.shape[1])
    first_order, second_order = map(float, orders)
    return make_estimate(
        value,
        first_order,
        second_order,
        # Influence vanishes as the score comes near its largest value.
        slope=-first_order / (most - value) if value < most else 0.0,
        freedom=len(softmax) - 1,
        low=1.0,
        high=most,
    )


def compute_inception_contribution(
    softmax: np.ndarray, *, seed: int, split_size: int = SPLIT_SIZE
) -> Contribution:
    """Compute what every image, and random pairs of them, add to the Inception Score.

    Args:
        softmax: class probabilities [n, classes].
        seed: of the pairs. Pairs of different splits add nothing.
        split_size: images per split, as in the score itself.
    """
    scores = compute_split_scores(softmax, split_size)
    num_images, num_splits = len(softmax), len(scores)
    split = np.arange(num_images) // split_size
    # By how much an image counts for its split's score, and that for the mean of all splits.
    weight = scores[split] * num_images / np.bincount(split)[split] / num_splits
    influence, scaled = np.empty(num_images), np.empty(softmax.shape)
    for number in range(num_splits):
        part = softmax[split == number].astype(np.float64)
        mean = part.mean(axis=0)
        divergences = compute_image_divergences(part)
        influence[split == number] = divergences - divergences.mean()
        scaled[split == number] = (part - mean) / np.sqrt(np.where(mean > 0, mean, 1.0))
    first, second = choose_pairs(num_images, seed)
    products = -np.einsum("ij,ij->i", scaled[first], scaled[second]) / 2
    counted = np.where(split[first] == split[second], num_splits, 0.0)
    return Contribution(weight * influence, products * weight[first] * counted)


def widen(estimate: Mapping[str, Any], variance: float) -> dict[str, Any]:
    """Add another variance to that of an estimated share, in quadrature to both half-widths."""
    value, (lower, upper) = estimate["value"], estimate["interval"]
    return {
        "value": value,
        "std_error": math.sqrt(estimate["std_error"] ** 2 + variance),
        "interval": [
            max(0.0, value - math.sqrt((value - lower) ** 2 + Z**2 * variance)),
            min(1.0, value + math.sqrt((upper - value) ** 2 + Z**2 * variance)),
        ],
    }


def estimate_share(members: np.ndarray) -> dict[str, Any]:
    """Estimate a share of independent images with Wilson's interval.

    Args:
        members: bool [n]: precision's or memorisation's indicators.
    """
    num, share = len(members), float(members.mean())
    centre = (share + Z**2 / (2 * num)) / (1 + Z**2 / num)
    half = Z / (1 + Z**2 / num) * math.sqrt(share * (1 - share) / num + Z**2 / (4 * num**2))
    return {
        "value": share,
        "std_error": math.sqrt(share * (1 - share) / num),
        "interval": [max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))],
    }
