"""How many samples lie suspiciously close to one reference image."""

import numpy as np

from eval.images.checks import check_features, check_num_images
from eval.metrics.distance_bounds import make_point_sets
from eval.metrics.neighbours import find_nearest
from records.errors import UserError


def compute_memorised(
    reference: np.ndarray, samples: np.ndarray, *, device: str = "cpu"
) -> np.ndarray:
    """Tell which samples are closer to a reference image than any other reference image is.

    Sample x with nearest reference image r counts when |x - r| < |r - r'|, r' being the reference
    image nearest to r. Copies of training images count, but so do many honest images: for images
    drawn from the same distribution as the reference the condition says that x and r are each
    other's nearest neighbours, which for independent points has probability 2/3 in one dimension,
    0.62 in two, 0.59 in three, falling towards 1/2 in many, and somewhat less where few images are
    the nearest of many others. Held-out real images therefore give about 0.4 to 0.6, not 0 (digits:
    0.48). The ceiling row (real half against real half) shows the value of the data set at hand;
    only a share well above it tells of memorisation, and one below it of samples off the data.

    Args:
        reference: pool features [m, dims], m >= 2.
        samples: pool features [n, dims].
        device: of torch.

    Returns:
        bool [n]; the mean is the share.

    Raises:
        UserError: fewer than 2 reference images, other dimensions, NaN or infinity.
    """
    check_features(reference, "reference")
    check_features(samples, "samples")
    check_num_images(len(reference), "reference", 2, "memorisation compares with a second one")
    if reference.shape[1] != samples.shape[1]:
        raise UserError(
            f"memorisation: reference features have {reference.shape[1]} dimensions, "
            f"sample features {samples.shape[1]}; compute both with the same network"
        )
    sample_set, reference_set = make_point_sets([samples, reference], device)
    nearest, distances = find_nearest(sample_set, reference_set, 1)
    own_distances = find_nearest(reference_set, reference_set, 1)[1][:, 0]
    return distances[:, 0] < own_distances[nearest[:, 0]]
