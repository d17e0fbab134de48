"""Precision and recall of samples by nearest-neighbour manifolds."""

from dataclasses import dataclass

import numpy as np

from eval.images.checks import check_features, check_num_images
from eval.metrics.distance_bounds import make_point_sets
from eval.metrics.half_distances import compute_half_coverage, compute_half_radii
from eval.metrics.neighbours import find_covered, find_nearest
from records.errors import UserError

NUM_NEIGHBOURS = 3
MIN_IMAGES = NUM_NEIGHBOURS + 1
WHY = f"precision and recall look at {NUM_NEIGHBOURS} neighbours"


@dataclass(frozen=True)
class PrecisionRecall:
    """Both numbers and what they are made of; radii are squared distances.

    precision is the mean of sample_in_reference bool [n], recall of reference_in_samples bool [m];
    radii are float64 [m] and [n].
    """

    precision: float
    recall: float
    sample_in_reference: np.ndarray
    reference_in_samples: np.ndarray
    radii_of_reference: np.ndarray
    radii_of_samples: np.ndarray


def compute_precision_recall(
    reference: np.ndarray,
    samples: np.ndarray,
    k: int = NUM_NEIGHBOURS,
    *,
    device: str = "cpu",
    half_distances: bool = False,
) -> PrecisionRecall:
    """Compute improved precision and recall (Kynkäänniemi et al. 2019, equations 1 and 2).

    A manifold is the union of balls around its points, each reaching to the point's k-th nearest
    other point of the same set. Precision is the share of samples in the reference manifold, recall
    the share of reference points in the sample manifold; a point on the surface is inside. Equal
    to a float64 brute force, unless half distances are asked for.

    Args:
        reference: features [m, dims], m > k.
        samples: features [n, dims], n > k.
        k: neighbours.
        device: of torch.
        half_distances: repeat the authors' float16 arithmetic (half_distances.py) instead.

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
    if half_distances:
        radii = [compute_half_radii(part, k, device=device) for part in (reference, samples)]
        covered = compute_half_coverage(reference, samples, *radii, device=device)
    else:
        sets = make_point_sets([reference, samples], device)
        radii = [find_nearest(points, points, k)[1][:, -1] for points in sets]
        covered = find_covered(*sets, first_radii=radii[0], second_radii=radii[1])
    reference_in_samples, sample_in_reference = covered
    return PrecisionRecall(
        precision=float(sample_in_reference.mean()),
        recall=float(reference_in_samples.mean()),
        sample_in_reference=sample_in_reference,
        reference_in_samples=reference_in_samples,
        radii_of_reference=radii[0],
        radii_of_samples=radii[1],
    )


def compute_class_shares(members: np.ndarray, labels: np.ndarray) -> dict[str, dict[str, float]]:
    """Compute the share of every class's images that lie in the manifold of all of the other side.

    Args:
        members: bool [n], precision's or recall's.
        labels: class of each, int64 [n].

    Returns:
        By class, as text for JSON: value, and num_images that it is of.
    """
    classes, places = np.unique(labels, return_inverse=True)
    counts, inside = np.bincount(places), np.bincount(places, weights=members)
    return {
        str(one): {"value": float(share), "num_images": int(count)}
        for one, share, count in zip(classes, inside / counts, counts, strict=True)
    }
