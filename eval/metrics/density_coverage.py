"""Density and coverage of samples: manifolds of the reference alone, with five neighbours."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from eval.images.checks import check_features, check_num_images
from eval.metrics.intervals import Z
from eval.metrics.neighbours import compute_nearest, iterate_membership
from records.errors import UserError

NUM_NEIGHBOURS = 5
MIN_REFERENCE = NUM_NEIGHBOURS + 1


@dataclass(frozen=True)
class DensityCoverage:
    """What both numbers are made of.

    num_balls int64 [n] says in how many balls of reference images a sample lies; covered bool [m],
    whether any sample lies in a reference image's ball.
    """

    num_balls: np.ndarray
    covered: np.ndarray

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
    covered = np.zeros(len(reference), dtype=bool)
    for rows, _, inside in iterate_membership(samples, reference, radii[None], device=device):
        num_balls[rows] = inside.sum(axis=1)
        covered |= inside.any(axis=0)
    return DensityCoverage(num_balls, covered)
