"""Reference batches in the authors' layout: images, and statistics for FID and sFID.

An .npz holds arr_0 (and arr_1), mu, sigma, mu_s, sigma_s, and two entries that the authors' tools
ignore: network_sha256, so that statistics of one network are never used with another, and
num_images, the count behind the statistics.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.checks import check_images
from eval.features import Features, compute_features
from eval.fid import compute_moments
from eval.images import load_arrays, load_dataset, load_images
from eval.network import FeatureNetwork
from records.errors import UserError
from records.files import atomic_write, sha256_file, write_json
from records.provenance import environment

FORMAT = 1
STATISTICS = ("mu", "sigma", "mu_s", "sigma_s")


@dataclass(frozen=True)
class Reference:
    """What samples are compared with.

    pool float32 [m, d] are features of the images for precision and recall; the moments are those
    of num_images images (None where the file does not say).
    """

    path: str
    sha256: str
    pool: np.ndarray
    mu: np.ndarray
    sigma: np.ndarray
    mu_s: np.ndarray
    sigma_s: np.ndarray
    num_images: int | None


def make_reference(
    data_path: str | Path,
    network: FeatureNetwork,
    out: str | Path,
    *,
    num_images: int = 10_000,
    seed: int = 0,
    batch_size: int = 64,
) -> None:
    """Write the reference batch of a data set, and beside it (.json) what it was made of.

    Args:
        data_path: zip of PNGs.
        network: the feature network.
        out: the .npz to write.
        num_images: images stored for precision and recall, drawn at random without replacement and
            kept in their order; all when there are fewer. Statistics are over all images.
        seed: of the draw.
        batch_size: images at a time.

    Raises:
        UserError: the data cannot be read, or there are fewer than 2 images.
    """
    images, labels = load_dataset(data_path)
    features = compute_features(images, network, batch_size=batch_size, where=str(data_path))
    drawn = np.random.default_rng(seed).permutation(len(images))[:num_images]
    drawn.sort()
    arrays = {"arr_0": images[drawn]}
    if labels is not None:
        arrays["arr_1"] = labels[drawn]
    arrays["mu"], arrays["sigma"] = compute_moments(features.pool)
    arrays["mu_s"], arrays["sigma_s"] = compute_moments(features.spatial)
    arrays["network_sha256"] = np.array(network.sha256)
    arrays["num_images"] = np.array(len(images))
    with atomic_write(out) as file:
        np.savez(file, **arrays)
    write_json(
        Path(out).with_suffix(".json"),
        {
            "format": FORMAT,
            "sha256": sha256_file(out),
            "data": {"path": str(data_path), "sha256": sha256_file(data_path)},
            "network": network.describe(),
            "counts": {"statistics": len(images), "precision_recall": len(drawn)},
            "seed": seed,
            **environment(),
        },
    )


def load_reference(
    path: str | Path, network: FeatureNetwork, *, batch_size: int = 64
) -> tuple[Reference, tuple[int, ...]]:
    """Load a reference batch, or images to serve as one, and compute what is not stored.

    Statistics in the file are used when this network made them; a file of images alone gets its
    statistics from those images.

    Returns:
        The reference and the shape [h, w] of its images.

    Raises:
        UserError: unreadable, incomplete, or with statistics of another network.
    """
    arrays: dict[str, np.ndarray] = {}
    if Path(path).suffix == ".zip":
        images, _ = load_images(path)
    else:
        arrays = load_arrays(path, ("arr_0",))
        images = arrays["arr_0"]
        check_images(images, f"{path}: arr_0")
    stored = {name: arrays[name] for name in STATISTICS if name in arrays}
    if stored:
        _check_statistics(arrays, network, path)
    features = compute_features(images, network, batch_size=batch_size, where=str(path))
    count = int(arrays["num_images"]) if "num_images" in arrays and stored else None
    reference = make_reference_of_features(features, path=str(path), sha256=sha256_file(path))
    if stored:
        reference = Reference(
            path=reference.path,
            sha256=reference.sha256,
            pool=features.pool,
            num_images=count,
            **stored,
        )
    return reference, images.shape[1:3]


def make_reference_of_features(features: Features, *, path: str, sha256: str) -> Reference:
    """Make a reference whose statistics and images are the same ones."""
    mu, sigma = compute_moments(features.pool)
    mu_s, sigma_s = compute_moments(features.spatial)
    return Reference(path, sha256, features.pool, mu, sigma, mu_s, sigma_s, len(features))


def _check_statistics(
    arrays: dict[str, np.ndarray], network: FeatureNetwork, path: str | Path
) -> None:
    """Demand complete statistics, of this network's dimensions and made with this network."""
    dims = {"mu": network.pool_dims, "mu_s": network.spatial_dims}
    for name in STATISTICS:
        if name not in arrays:
            raise UserError(
                f"{path}: holds statistics but lacks {name}; make it again with "
                "`python -m eval reference`, or leave only the images in it"
            )
        needed = (dims["mu_s" if name.endswith("_s") else "mu"],)
        needed *= 2 if name.startswith("sigma") else 1
        if arrays[name].shape != needed:
            raise UserError(
                f"{path}: {name} is {list(arrays[name].shape)}; network {network.name} needs "
                f"{list(needed)}; these statistics were made with another network"
            )
    made_with = (
        str(arrays["network_sha256"]) if "network_sha256" in arrays else "an unnamed network"
    )
    if made_with != network.sha256:
        raise UserError(
            f"{path}: its statistics were made with {made_with}, the network given is "
            f"{network.sha256} ({network.name}); give the same weights or make the reference again"
        )
