"""What images and features must be before they are graded, and the messages that say so."""

from collections.abc import Sequence

import numpy as np

from records.errors import UserError

# Values of the wrong type are looked at, to say what scale they seem to have; so many suffice.
NUM_VALUES_LOOKED_AT = 1 << 20


def check_images(images: np.ndarray, where: str) -> None:
    """Demand a batch of 8-bit images.

    Args:
        images: should be uint8 [n, h, w, 1 or 3] with n >= 1.
        where: the file (and array) they came from, for the message.

    Raises:
        UserError: another type, another number of dimensions or of channels, or no image.
    """
    check_image_array(images.dtype, images.shape, images, where)


def check_image_array(
    dtype: np.dtype, shape: Sequence[int], values: np.ndarray, where: str
) -> None:
    """Demand type and shape of 8-bit images, of an array that need not be in memory.

    Args:
        dtype: of the array.
        shape: of the array.
        values: the array, or a part of it from which the range of wrong values is told.
        where: the file (and array) they came from, for the message.

    Raises:
        UserError: another type, another number of dimensions or of channels, no image, or images
            of more pixels than any real one has.
    """
    got = f"{dtype} {list(shape)}"
    if dtype != np.uint8:
        raise UserError(
            f"{where}: images are {got}; uint8 [n, h, w, 3] with values 0 to 255 is needed; "
            f"{describe_values(values)}"
        )
    if len(shape) != 4 or 0 in shape[1:3]:
        raise UserError(f"{where}: images are {got}; uint8 [n, h, w, 3] is needed")
    if shape[3] not in (1, 3):
        hint = ""
        if shape[3] == 4:
            hint = "; the fourth is alpha: put the images on a background and save RGB alone"
        elif shape[1] in (1, 3):
            hint = "; move the channels last"
        raise UserError(
            f"{where}: images are {got}, so {shape[3]} channels; "
            f"1 (grey) or 3 (RGB) are needed in the last dimension{hint}"
        )
    if shape[0] == 0:
        raise UserError(f"{where}: holds no image; at least one is needed")
    check_num_pixels(shape[1], shape[2], where)


def describe_values(values: np.ndarray) -> str:
    """Say what range values have that should be 8-bit, and how to make them so."""
    if values.dtype.kind not in "fiub" or values.size == 0:
        return "save the pixels as the sampler makes them, before any other conversion"
    seen = values.flat[:NUM_VALUES_LOOKED_AT]
    if not np.isfinite(seen).all():
        return "NaN or infinity is among the values, so the sampler itself went wrong"
    low, high = seen.min(), seen.max()
    words = f"the values go from {float(low):.6g} to {float(high):.6g}"
    if values.dtype.kind in "iub":
        if low >= 0 and high <= 255 and values.dtype.kind != "b":
            return f"{words} and so fit: convert them with x.astype(np.uint8)"
        return f"{words}, which is not the range of pixels; find out what they are"
    if low >= 0 and high <= 1:
        convert = "0 to 1 it seems: convert them with np.clip(x * 255, 0, 255).astype(np.uint8)"
    elif low >= -1.01 and high <= 1.01:
        convert = (
            "-1 to 1 it seems: convert them with "
            "np.clip((x + 1) * 127.5, 0, 255).astype(np.uint8), as the authors do"
        )
    elif low >= 0 and high <= 255:
        convert = "0 to 255 it seems: convert them with np.clip(x, 0, 255).astype(np.uint8)"
    else:
        return f"{words}, which is not a usual range; find the sampler's scale, then convert them"
    return f"{words}, so {convert}"


def check_num_pixels(height: int, width: int, where: str) -> None:
    """Refuse images so large that they only serve to fill the memory (Pillow's limit).

    Raises:
        UserError: more pixels than Pillow lets pass.
    """
    from PIL import Image

    if Image.MAX_IMAGE_PIXELS is not None and height * width > Image.MAX_IMAGE_PIXELS:
        raise UserError(
            f"{where}: images of {height}x{width} px are beyond the limit of "
            f"{Image.MAX_IMAGE_PIXELS} pixels that guards against decompression bombs; "
            "give images of the size that was sampled"
        )


def check_labels(labels: np.ndarray, num_images: int, where: str) -> np.ndarray:
    """Demand one class number per image.

    Args:
        labels: should be whole numbers [num_images].
        num_images: how many images there are.
        where: the file (and array) they came from, for the message.

    Returns:
        int64 [num_images].

    Raises:
        UserError: another count than images, several numbers an image, or no whole numbers.
    """
    got = f"{labels.dtype} {list(labels.shape)}"
    if labels.shape[:1] != (num_images,):
        raise UserError(
            f"{where}: labels are {got} for {num_images} images; one label per image is needed: "
            "save both again, or leave the labels out"
        )
    if labels.ndim != 1:
        raise UserError(
            f"{where}: labels are {got}; one class number per image, int64 [{num_images}], is "
            "needed (of one-hot rows take the argmax)"
        )
    whole = labels.dtype.kind in "iu" or (
        labels.dtype.kind == "f" and np.isfinite(labels).all() and (labels == labels.round()).all()
    )
    if not whole:
        raise UserError(
            f"{where}: labels are {got}; whole numbers, int64 [{num_images}], are needed"
        )
    return labels.astype(np.int64)


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
