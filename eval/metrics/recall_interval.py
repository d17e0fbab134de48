"""Recall's 95 % interval: spread over the reference images, and over the samples from halves.

Recall has two sources of spread. Over the reference images it is that of a share of independent
images, at fixed samples. Over the samples it comes from differences between random halves of them:
a jackknife's is 1.3 to 1.7 times too large in standard error, as it counts interactions of
neighbours more than once.
"""

from typing import Any

import numpy as np

from eval.images.checks import check_num_images
from eval.metrics.intervals import MIN_IMAGES, estimate_share, widen
from eval.metrics.neighbours import compute_nearest, compute_pair_distances, iterate_membership
from eval.metrics.precision_recall import NUM_NEIGHBOURS, compute_precision_recall
from records.contributions import Contribution

NUM_SPLITS = 20
MAX_SAMPLES = 20_000


def estimate_recall(
    reference: np.ndarray,
    samples: np.ndarray,
    *,
    contribution: Contribution | None = None,
    k: int = NUM_NEIGHBOURS,
    seed: int = 0,
    num_splits: int = NUM_SPLITS,
    device: str = "cpu",
) -> dict[str, Any]:
    """Estimate recall with an interval that counts both the reference images and the samples.

    The spread over the reference images is that of Wilson's interval. The variance over the samples
    is a quarter of the mean squared difference in recall between two random halves: two halves
    differ by twice the variance of one, which is twice that of all. What the finite number of
    reference images adds to the difference is taken off first. It is added to both half-widths in
    quadrature.

    Args:
        reference, samples: features [m, dims] and [n, dims], n >= 10.
        contribution: of the samples (`compute_recall_contribution`), where it is at hand.
        k: neighbours.
        seed: of the splits.
        num_splits: random splits into halves.
        device: where distances are computed.

    Returns:
        {"value", "std_error", "interval"}.

    Raises:
        UserError: fewer than 10 samples.
    """
    check_num_images(len(samples), "intervals", MIN_IMAGES, "recall is computed of halves too")
    if contribution is None:
        manifolds = compute_precision_recall(reference, samples, k, device=device)
        contribution = compute_recall_contribution(
            reference,
            samples,
            members=manifolds.reference_in_samples,
            k=k,
            seed=seed,
            num_splits=num_splits,
            device=device,
        )
    assert contribution.halves is not None
    estimate = estimate_share(contribution.each)
    halves = contribution.halves.mean(axis=-1)
    unlike = (contribution.halves[:, 0] != contribution.halves[:, 1]).mean(axis=-1)
    squares = (halves[:, 0] - halves[:, 1]) ** 2
    by_reference = (unlike - squares) / (len(reference) - 1)
    variance = max(float(np.mean(squares - by_reference)), 0.0) / 4
    return widen(estimate, variance)


def compute_recall_contribution(
    reference: np.ndarray,
    samples: np.ndarray,
    *,
    members: np.ndarray,
    k: int = NUM_NEIGHBOURS,
    seed: int = 0,
    num_splits: int = NUM_SPLITS,
    device: str = "cpu",
) -> Contribution:
    """Compute which reference images the manifolds of all samples, and of halves of them, hold.

    Of more than 20,000 samples, a random 20,000 are split, and their spread is taken as it is: it
    falls more slowly than as 1 / n, as a few outliers' large balls make most of it, and with so
    many samples it is the smaller part of the two.

    Args:
        reference, samples: features [m, dims] and [n, dims].
        members: reference images in the manifold of all samples, bool [m].
        k: neighbours.
        seed: of the splits.
        num_splits: random splits into halves.
        device: where distances are computed.
    """
    chosen = samples
    if len(samples) > MAX_SAMPLES:
        drawn = np.random.default_rng(seed).permutation(len(samples))[:MAX_SAMPLES]
        chosen = samples[np.sort(drawn)]
    halves = compute_manifolds_of_halves(
        reference, chosen, k=k, seed=seed, num_splits=num_splits, device=device
    )
    return Contribution(members, halves=halves)


def compute_manifolds_of_halves(
    reference: np.ndarray,
    samples: np.ndarray,
    *,
    k: int,
    seed: int,
    num_splits: int,
    device: str = "cpu",
) -> np.ndarray:
    """Find reference images in the manifolds of random halves, in one pass over distances.

    A half keeps the centres and widens the radii, each to the k-th nearest sample of its own half.
    So the pass lists the pairs within the widest radius that any split gives a sample; each split
    looks at these few alone.

    Returns:
        bool [num_splits, 2, m]: the halves of every split.
    """
    rng = np.random.default_rng(seed)
    dealt = np.arange(len(samples)) % 2 == 0
    in_first = np.stack([rng.permutation(dealt) for _ in range(num_splits)])
    radii = _compute_radii_of_halves(samples, in_first, k, device)
    widest = radii.max(axis=0, keepdims=True)
    found = np.zeros((num_splits, 2, len(reference)), dtype=bool)
    for block, _, inside in iterate_membership(reference, samples, widest, device=device):
        rows, columns = np.nonzero(inside)
        distances = compute_pair_distances(
            reference, samples, rows + block.start, columns, device=device
        )
        for number, first in enumerate(in_first):
            reached = distances <= radii[number, columns]
            for half, side in enumerate((first, ~first)):
                found[number, half, rows[reached & side[columns]] + block.start] = True
    return found


def _compute_radii_of_halves(
    samples: np.ndarray, in_first: np.ndarray, k: int, device: str
) -> np.ndarray:
    """Compute the squared radii of all samples inside the halves of every split.

    Args:
        samples: features [n, dims].
        in_first: bool [splits, n], which half a sample is in.
        k: neighbours.
        device: where distances are computed.

    Returns:
        float64 [splits, n].
    """
    num_listed = min(len(samples) - 1, 8 * k)
    indices, distances = compute_nearest(samples, samples, num_listed, same_set=True, device=device)
    radii = []
    for first in in_first:
        together = first[indices] == first[:, None]
        kth = (np.cumsum(together, axis=1) == k).argmax(axis=1)
        radius = distances[np.arange(len(samples)), kth]
        # Rare: fewer than k of the listed neighbours are in the same half, so look at all of it.
        for sample in np.flatnonzero(together.sum(axis=1) < k):
            half = np.flatnonzero(first == first[sample])
            own = np.full(len(half), sample)
            every = compute_pair_distances(samples, samples, own, half, device=device)
            radius[sample] = np.sort(every)[k]  # [0] is the sample itself
        radii.append(radius)
    return np.stack(radii)
