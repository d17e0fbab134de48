"""Statistics in a reference: possible at all, and made with the network that is given."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from eval.images.damaged_files import PICKLED
from eval.images.npz_stream import StoredArray, describe_npz
from eval.images.open import STATISTICS, load_statistics
from eval.metrics.gaussians import judge_covariance, judge_mean
from eval.networks.feature_network import FeatureNetwork
from eval.networks.weights import INCEPTION_SHA256
from records.errors import UserError

AGAIN = "make it again with `python -m eval reference`, or leave only the images in it"
MIN_IMAGES = 2
# What is told about statistics: kinds of numpy's types, and words for them.
ABOUT_KINDS = {
    "num_images": ("iu", "a single whole number"),
    "network_sha256": ("U", "a single text of 64 characters"),
}
MAX_TEXT_BYTES = 4 * 64


def load_reference_statistics(
    path: str | Path, network: FeatureNetwork
) -> tuple[dict[str, np.ndarray], int | None] | None:
    """Load the statistics of a reference batch, if it holds any.

    Types and shapes are told from headers, before any value is read.

    Args:
        path: the .npz.
        network: the feature network that the samples will go through.

    Returns:
        mu and sigma, mu_s and sigma_s by name, those that are stored, and the number of images that
        they are of (None where the file does not say); None for a file without statistics.

    Raises:
        UserError: a mean lacks its covariance or the other way round, or they are damaged, of other
            dimensions or of another network, or cannot be those of features.
            A file that names no network is the authors', made with the published Inception.
    """
    stored = describe_npz(path)
    if not any(name in stored for name in STATISTICS):
        return None
    _check_headers(stored, network, path)
    arrays = load_statistics(path)
    _check_network(arrays, network, path)
    for fault in _find_faults(arrays):
        raise UserError(f"{path}: {fault}; {AGAIN}")
    count = int(arrays["num_images"]) if "num_images" in arrays else None
    if count is not None and count < MIN_IMAGES:
        raise UserError(f"{path}: num_images is {count}; {MIN_IMAGES} or more are needed; {AGAIN}")
    return {name: arrays[name] for name in STATISTICS if name in arrays}, count


def _find_faults(arrays: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Say why statistics of the right types and shapes cannot be those of features."""
    for name in STATISTICS:
        if name not in arrays:
            continue
        bad = int((~np.isfinite(arrays[name])).sum())
        if bad:
            yield f"{name} holds NaN or infinity in {bad} of {arrays[name].size} places"
        judge = judge_mean if arrays[name].ndim == 1 else judge_covariance
        yield from judge(arrays[name], name)


def _check_headers(
    stored: Mapping[str, StoredArray], network: FeatureNetwork, path: str | Path
) -> None:
    """Demand means with their covariances, floating-point numbers of this network's dimensions."""
    pool, spatial = network.pool_dims, network.spatial_dims
    shapes = ((pool,), (pool, pool), (spatial,), (spatial, spatial))
    partners = dict(zip(STATISTICS, ("sigma", "mu", "sigma_s", "mu_s"), strict=True))
    for name, needed in zip(STATISTICS, shapes, strict=True):
        if name not in stored:
            if partners[name] in stored:
                raise UserError(f"{path}: holds {partners[name]} but lacks {name}; {AGAIN}")
            continue
        if stored[name].shape != needed:
            raise UserError(
                f"{path}: {name} is {_describe(stored[name])}; network {network.name} needs "
                f"{list(needed)}; these statistics were made with another network"
            )
        _check_type(stored[name], "f", f"{path}: {name}", "floating-point numbers are needed")
    for name, (kinds, needed) in ABOUT_KINDS.items():
        if name in stored:
            one = stored[name]
            _check_type(one, kinds, f"{path}: {name}", f"{needed} is needed")
            if one.shape != () or one.dtype.itemsize > MAX_TEXT_BYTES:
                raise UserError(f"{path}: {name} is {_describe(one)}; {needed} is needed; {AGAIN}")


def _check_type(array: StoredArray, kinds: str, where: str, words: str) -> None:
    """Demand one of some kinds of numpy's types."""
    if array.dtype.hasobject:
        raise UserError(f"{where}: {PICKLED}")
    if array.dtype.kind not in kinds:
        raise UserError(f"{where} is {_describe(array)}; {words}; {AGAIN}")


def _describe(array: StoredArray) -> str:
    """Write type and shape."""
    return f"{array.dtype} {list(array.shape)}"


def _check_network(
    arrays: Mapping[str, np.ndarray], network: FeatureNetwork, path: str | Path
) -> None:
    """Demand that this network made the statistics."""
    made_with = str(arrays.get("network_sha256", INCEPTION_SHA256))
    if made_with != network.sha256:
        told = "" if "network_sha256" in arrays else " (the published Inception: it names no other)"
        raise UserError(
            f"{path}: its statistics were made with {made_with}{told}, the network given is "
            f"{network.sha256} ({network.name}); give the same weights, or {AGAIN}"
        )
