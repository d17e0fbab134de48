"""Density and coverage of samples: manifolds of the reference alone, with five neighbours."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from eval.images.checks import check_features, check_num_images
from eval.metrics.intervals import Z, estimate_share, widen
from eval.metrics.neighbours import compute_nearest, iterate_membership
from records.errors import UserError

NUM_NEIGHBOURS = 5
MIN_REFERENCE = NUM_NEIGHBOURS + 1


@dataclass(frozen=True)
class DensityCoverage:
    """What both numbers are made of.

    num_balls int64 [n] says in how many balls of reference images a sample lies; num_inside int64
    [m], how many samples lie in a reference image's ball; which uint64 [m] is equal for balls that
    hold the same samples.
    """

    num_balls: np.ndarray
    num_inside: np.ndarray
    which: np.ndarray

    @property
    def covered(self) -> np.ndarray:
        """Whether any sample lies in a reference image's ball, bool [m]."""
        return self.num_inside > 0

    def estimate_coverage(self) -> dict[str, Any]:
        """Return the share of balls that hold a sample, with its interval.

        Over the reference images it is that of a share, as recall's. Over the samples two balls j
        and k have the covariance P(no sample in either) - P(none in j) P(none in k), which is
        exp(-u) (1 - exp(-v)) where u and v samples are expected in their union and intersection
        (Poisson). The series of 1 - exp(-v) has the terms -(-v)^r / r!, and exp(-u) v^r / r! is the
        probability that both balls hold the same r samples and no others. So the variance over the
        samples is the mean over pairs of balls that hold the same, with + for odd r and - for even,
        less what a fixed number n of samples takes off: P(one in j) P(one in k) / n.
        """
        covered, num = self.covered, len(self.num_inside)
        _, index, sizes = np.unique(self.which[covered], return_index=True, return_counts=True)
        signs = np.where(self.num_inside[covered][index] % 2 == 1, 1.0, -1.0)
        single = int((self.num_inside == 1).sum())
        pairs = float((signs * sizes * (sizes - 1)).sum())
        pairs -= single * (single - 1) / len(self.num_balls)
        return widen(estimate_share(covered), max(pairs, 0.0) / (num * (num - 1)))

    def estimate_density(self) -> dict[str, Any]:
        """Return the mean number of balls over k, with the interval of a mean over samples."""
        shares = self.num_balls / NUM_NEIGHBOURS
        value = float(shares.mean())
        error = float(shares.std(ddof=1)) / math.sqrt(len(shares)) if len(shares) > 1 else 0.0
        interval = [max(0.0, value - Z * error), value + Z * error]
        return {"value": value, "std_error": error, "interval": interval}


def compute_density_coverage(
    reference: np.ndarray, samples: np.ndarray, *, device: str = "cpu"
) -> DensityCoverage:
    """Compute what density and coverage are made of (Naeem et al. 2020, equations 4 and 5).

    The ball of a reference image reaches to its k-th nearest other reference image, k = 5; a point
    on the surface is inside, as in precision. Density is the mean over samples of the number of
    balls that hold it, over k, and may exceed 1; coverage is the share of balls that hold a sample.

    Args:
        reference: features [m, dims], m > 5.
        samples: features [n, dims].
        device: of torch.

    Raises:
        UserError: 5 reference images or fewer, other dimensions, NaN or infinity.
    """
    for features, what in ((reference, "reference"), (samples, "samples")):
        check_features(features, f"density and coverage: {what}")
    why = f"density and coverage look at {NUM_NEIGHBOURS} neighbours"
    check_num_images(len(reference), "density and coverage: reference", MIN_REFERENCE, why)
    if reference.shape[1] != samples.shape[1]:
        raise UserError(
            f"density and coverage: reference features have {reference.shape[1]} dimensions, "
            f"sample features {samples.shape[1]}; compute both with the same network"
        )
    _, distances = compute_nearest(
        reference, reference, NUM_NEIGHBOURS, same_set=True, device=device
    )
    radii = distances[:, -1]
    num_balls = np.zeros(len(samples), dtype=np.int64)
    num_inside = np.zeros(len(reference), dtype=np.int64)
    # The sum of random 64-bit numbers of its samples tells a set from all others.
    codes = np.random.default_rng(0).integers(2**64, size=len(samples), dtype=np.uint64)
    which = np.zeros(len(reference), dtype=np.uint64)
    for rows, _, inside in iterate_membership(samples, reference, radii[None], device=device):
        num_balls[rows] = inside.sum(axis=1)
        num_inside += inside.sum(axis=0)
        held, balls = np.nonzero(inside)
        np.add.at(which, balls, codes[rows][held])
    return DensityCoverage(num_balls, num_inside, which)
