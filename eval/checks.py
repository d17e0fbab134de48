"""What images and features must be before they are graded, and the messages that say so."""

import numpy as np

from records.errors import UserError


def check_images(images: np.ndarray, where: str) -> None:
    """Demand a batch of 8-bit images.

    Args:
        images: should be uint8 [n, h, w, 1 or 3] with n >= 1.
        where: the file (and array) they came from, for the message.

    Raises:
        UserError: another type, another number of dimensions or of channels, or no image.
    """
    got = f"{images.dtype} {list(images.shape)}"
    if images.dtype != np.uint8:
        raise UserError(
            f"{where}: images are {got}; uint8 [n, h, w, 3] with values 0 to 255 is needed; "
            "convert them as the sampler would have (clip to [0, 255], then truncate)"
        )
    if images.ndim != 4 or 0 in images.shape[1:3]:
        raise UserError(f"{where}: images are {got}; uint8 [n, h, w, 3] is needed")
    if images.shape[3] not in (1, 3):
        hint = "; move the channels last" if images.shape[1] in (1, 3) else ""
        raise UserError(
            f"{where}: images are {got}, so {images.shape[3]} channels; "
            f"1 (grey) or 3 (RGB) are needed in the last dimension{hint}"
        )
    if len(images) == 0:
        raise UserError(f"{where}: holds no image; at least one is needed")


def check_num_images(num_images: int, where: str, needed: int, why: str) -> None:
    """Demand a number of images.

    Raises:
        UserError: there are fewer; the message shows both counts and why so many are needed.
    """
    if num_images < needed:
        raise UserError(
            f"{where}: got {num_images} image{'s' * (num_images != 1)}; "
            f"at least {needed} are needed ({why})"
        )


def check_features(features: np.ndarray, what: str) -> None:
    """Demand finite features, one row per image.

    Raises:
        UserError: not a matrix of floating-point numbers, or values that are NaN or infinite.
    """
    if features.ndim != 2 or features.dtype.kind != "f":
        raise UserError(
            f"{what}: features are {features.dtype} {list(features.shape)}; "
            "floating-point numbers [n, dims] are needed"
        )
    bad = ~np.isfinite(features).all(axis=1)
    if bad.any():
        raise UserError(
            f"{what}: {int(bad.sum())} of {len(features)} rows of features hold NaN or infinity "
            f"(first: row {int(bad.argmax())}); check the weights of the feature network"
        )
