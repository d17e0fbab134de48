"""Precision and recall of samples by nearest-neighbour manifolds."""

from dataclasses import dataclass

import numpy as np

from eval.checks import check_features, check_num_images
from eval.neighbours import compute_nearest, iterate_membership
from records.errors import UserError

NUM_NEIGHBOURS = 3


@dataclass(frozen=True)
class PrecisionRecall:
    """Both numbers and what they are made of; radii are squared distances.

    precision is the mean of sample_in_reference bool [n], recall of reference_in_samples bool [m].
    """

    precision: float
    recall: float
    sample_in_reference: np.ndarray
    reference_in_samples: np.ndarray
    radii_of_reference: np.ndarray
    radii_of_samples: np.ndarray


def compute_radii(features: np.ndarray, k: int = NUM_NEIGHBOURS) -> np.ndarray:
    """Compute the squared distance of every point to its k-th nearest other point, float64 [n]."""
    return compute_nearest(features, features, k, same_set=True)[1][:, -1]


def compute_membership(queries: np.ndarray, points: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Tell which queries lie within the radius of at least one point, bool [n]."""
    covered = np.empty(len(queries), dtype=bool)
    for rows, _, inside in iterate_membership(queries, points, radii[None]):
        covered[rows] = inside.any(axis=1)
    return covered


def compute_precision_recall(
    reference: np.ndarray, samples: np.ndarray, k: int = NUM_NEIGHBOURS
) -> PrecisionRecall:
    """Compute improved precision and recall (Kynkäänniemi et al. 2019, equations 1 and 2).

    A manifold is the union of balls around its points, each reaching to the point's k-th nearest
    other point of the same set. Precision is the share of samples in the reference manifold, recall
    the share of reference points in the sample manifold; a point on the surface is inside. Equal
    to a float64 brute force.

    Args:
        reference: features [m, dims], m > k.
        samples: features [n, dims], n > k.
        k: neighbours.

    Raises:
        UserError: k points or fewer on a side, other dimensions, NaN or infinity.
    """
    for features, what in ((reference, "reference"), (samples, "samples")):
        check_features(features, what)
        check_num_images(len(features), what, k + 1, f"precision and recall look at {k} neighbours")
    if reference.shape[1] != samples.shape[1]:
        raise UserError(
            f"precision and recall: reference features have {reference.shape[1]} dimensions, "
            f"sample features {samples.shape[1]}; compute both with the same network"
        )
    radii_of_reference = compute_radii(reference, k)
    radii_of_samples = compute_radii(samples, k)
    sample_in_reference = compute_membership(samples, reference, radii_of_reference)
    reference_in_samples = compute_membership(reference, samples, radii_of_samples)
    return PrecisionRecall(
        precision=float(sample_in_reference.mean()),
        recall=float(reference_in_samples.mean()),
        sample_in_reference=sample_in_reference,
        reference_in_samples=reference_in_samples,
        radii_of_reference=radii_of_reference,
        radii_of_samples=radii_of_samples,
    )
