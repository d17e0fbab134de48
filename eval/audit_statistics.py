"""Say what the statistics of a reference are, and whether they can be those of real features."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from eval.images.open import STATISTICS
from eval.metrics.gaussians import judge_covariance, judge_mean

INCEPTION_DIMS = {"mu": 2048, "mu_s": 2023}


def describe_statistics(
    stored: Mapping[str, np.ndarray], *, num_stored: int
) -> tuple[dict[str, Any], list[str]]:
    """Describe the statistics of an .npz.

    Args:
        stored: from load_statistics.
        num_stored: how many images the file holds.

    Returns:
        A JSON object (names; dims by name of the mean; num_images and network_sha256, None where
        the file does not tell), and sentences about what is odd.
    """
    names = [name for name in STATISTICS if name in stored]
    count = stored.get("num_images")
    about = {
        "names": names,
        "dims": {name: stored[name].size for name in INCEPTION_DIMS if name in stored},
        "num_images": int(count) if count is not None and count.dtype.kind in "iu" else None,
        "network_sha256": str(stored["network_sha256"]) if "network_sha256" in stored else None,
    }
    return about, list(_judge(stored, about, num_stored)) if names else []


def _judge(
    stored: Mapping[str, np.ndarray], about: dict[str, Any], num_stored: int
) -> Iterator[str]:
    """Say what is odd about statistics."""
    missing = [name for name in STATISTICS if name not in stored]
    if missing:
        yield (
            f"statistics are incomplete: {', '.join(missing)} missing; FID needs mu and sigma, "
            "sFID mu_s and sigma_s"
        )
    usable = []
    for name in about["names"]:
        if stored[name].dtype.kind != "f" or not np.isfinite(stored[name]).all():
            yield f"{name} holds NaN, infinity or no floating-point numbers; make the file again"
        else:
            usable.append(name)
    for mean, covariance, metric in (("mu", "sigma", "FID"), ("mu_s", "sigma_s", "sFID")):
        if mean in about["dims"] and about["dims"][mean] != INCEPTION_DIMS[mean]:
            yield (
                f"{mean} has {about['dims'][mean]} dimensions, those of Inception have "
                f"{INCEPTION_DIMS[mean]}: {metric} with it is not comparable with published values"
            )
        if mean in usable:
            yield from judge_mean(stored[mean], mean)
        if covariance in usable:
            yield from _judge_covariance(
                stored[covariance], about["dims"].get(mean), mean, covariance
            )
    count = about["num_images"]
    if count is None and "num_images" in stored:
        array = stored["num_images"]
        yield f"num_images is {array.dtype.str} {list(array.shape)}, not a whole number"
    if count is not None and count < num_stored:
        yield f"statistics are of {count} images, fewer than the {num_stored} in the file"
    if count is not None and count <= max(about["dims"].values(), default=0):
        yield (
            f"statistics of {count} images in {max(about['dims'].values())} dimensions: the "
            "covariance is singular, so FID against it is far from its limit"
        )


def _judge_covariance(
    covariance: np.ndarray, dims: int | None, mean: str, name: str
) -> Iterator[str]:
    """Say why a matrix is not a covariance."""
    if covariance.ndim != 2 or len(set(covariance.shape)) != 1 or covariance.size == 0:
        yield f"{name} is {list(covariance.shape)}; a covariance is a square matrix"
        return
    if dims is not None and dims != len(covariance):
        yield f"{name} is {list(covariance.shape)}, but {mean} has {dims} dimensions"
    found = list(judge_covariance(covariance, name))
    yield from found
    if not found and not covariance.any():
        yield f"{name} is zero: all its features were equal"
