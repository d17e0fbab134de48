"""Grade samples against a reference: features once, then metrics, intervals and the protocol."""

from pathlib import Path
from typing import Any

import numpy as np

from eval.checks import check_num_images
from eval.features import Features, compute_features
from eval.fid import compute_frechet_distance, compute_moments
from eval.images import load_dataset, load_images
from eval.inception_score import SPLIT_SIZE, compute_inception_score
from eval.intervals import (
    WORDS,
    estimate_frechet_distance,
    estimate_inception_score,
    estimate_recall,
    estimate_share,
    make_groups,
)
from eval.memorisation import compute_memorised
from eval.network import FeatureNetwork
from eval.precision_recall import NUM_NEIGHBOURS, compute_precision_recall
from eval.reference import Reference, load_reference, make_reference_of_features
from records.batches import read_protocol
from records.errors import UserError
from records.files import sha256_file
from records.provenance import environment

FORMAT = 1
RECIPE = 1
MIN_IMAGES = NUM_NEIGHBOURS + 1
WHY = f"precision and recall look at {NUM_NEIGHBOURS} neighbours"


def compute_metrics(
    reference: Reference, samples: Features, *, intervals: bool = True, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Compute all metrics of samples.

    Args:
        reference: statistics and pool features of the reference.
        samples: features of the samples.
        intervals: add standard errors and 95 % intervals (null otherwise).
        seed: of the jackknife's groups and recall's halves; moves intervals, not values.

    Returns:
        {"fid", "sfid", "is", "precision", "recall", "memorised"}, each with value, std_error and
        interval.
    """
    memorised = compute_memorised(reference.pool, samples.pool)
    manifolds = compute_precision_recall(reference.pool, samples.pool)
    pool, spatial = (reference.mu, reference.sigma), (reference.mu_s, reference.sigma_s)
    if intervals:
        groups = make_groups(len(samples), seed)
        return {
            "fid": estimate_frechet_distance(samples.pool, *pool, groups),
            "sfid": estimate_frechet_distance(samples.spatial, *spatial, groups),
            "is": estimate_inception_score(samples.softmax, groups),
            "precision": estimate_share(manifolds.sample_in_reference),
            "recall": estimate_recall(reference.pool, samples.pool, seed=seed),
            "memorised": estimate_share(memorised),
        }
    values = {
        "fid": compute_frechet_distance(*compute_moments(samples.pool), *pool),
        "sfid": compute_frechet_distance(*compute_moments(samples.spatial), *spatial),
        "is": compute_inception_score(samples.softmax),
        "precision": manifolds.precision,
        "recall": manifolds.recall,
        "memorised": float(memorised.mean()),
    }
    return {
        name: {"value": value, "std_error": None, "interval": None}
        for name, value in values.items()
    }


def grade(
    reference_path: str | Path,
    samples_path: str | Path,
    network: FeatureNetwork,
    *,
    name: str,
    digest: str | None = None,
    intervals: bool = False,
    seed: int = 0,
    batch_size: int = 64,
) -> dict[str, Any]:
    """Grade a batch of samples against a reference batch.

    Args:
        reference_path: .npz from make_reference, any .npz of images, or a zip of PNGs.
        samples_path: .npz with arr_0 uint8 [n, h, w, 3], or a zip of PNGs.
        network: the feature network.
        name: of the samples, for the result.
        digest: of the spec that asked for this, for the result.
        intervals: also compute standard errors and 95 % intervals.
        seed: of the intervals' random groups.
        batch_size: images at a time.

    Returns:
        The metrics as a JSON object: format, name, digest, metrics, counts, protocol.

    Raises:
        UserError: an input is unreadable, not made of 8-bit images of one size, or has too few.
    """
    images, _ = load_images(samples_path)
    check_num_images(len(images), str(samples_path), MIN_IMAGES, WHY)
    reference, size = load_reference(reference_path, network, batch_size=batch_size)
    check_num_images(len(reference.pool), str(reference_path), MIN_IMAGES, WHY)
    if size != images.shape[1:3]:
        raise UserError(
            f"{samples_path}: images are {images.shape[1]}x{images.shape[2]} px, those of "
            f"{reference_path} {size[0]}x{size[1]} px; both must have one size"
        )
    samples = compute_features(images, network, batch_size=batch_size, where=str(samples_path))
    protocol = read_protocol(samples_path) or {}
    return _make_result(
        reference,
        samples,
        network,
        name=name,
        digest=digest,
        intervals=intervals,
        seed=seed,
        protocol={**protocol, "sha256": sha256_file(samples_path)},
    )


def grade_ceiling(
    data_path: str | Path,
    network: FeatureNetwork,
    *,
    name: str,
    digest: str | None = None,
    seed: int = 0,
    batch_size: int = 64,
) -> dict[str, Any]:
    """Grade a random half of the real images against the other: what a perfect model would score.

    A floor for FID at these counts, which are half of the data set's, and a ceiling for the rest.

    Args:
        data_path: zip of PNGs.
        network: the feature network.
        name: of the row, real-<task>.
        digest: of the spec that asked for this, for the result.
        seed: of the halves and of the intervals' random groups.
        batch_size: images at a time.

    Raises:
        UserError: the data cannot be read or are too few.
    """
    images, _ = load_dataset(data_path)
    features = compute_features(images, network, batch_size=batch_size, where=str(data_path))
    shuffled = np.random.default_rng(seed).permutation(len(images))
    half = len(images) // 2
    sha256 = sha256_file(data_path)
    check_num_images(half, f"{data_path}: one half", MIN_IMAGES, WHY)
    reference = make_reference_of_features(
        features.take(np.sort(shuffled[half:])), path=str(data_path), sha256=sha256
    )
    return _make_result(
        reference,
        features.take(np.sort(shuffled[:half])),
        network,
        name=name,
        digest=digest,
        intervals=True,
        seed=seed,
        protocol={"sha256": sha256, "source": "real images, the other half of the data set"},
    )


def _make_result(
    reference: Reference,
    samples: Features,
    network: FeatureNetwork,
    *,
    name: str,
    digest: str | None,
    intervals: bool,
    seed: int,
    protocol: dict[str, Any],
) -> dict[str, Any]:
    """Compute the metrics and put counts and protocol around them."""
    return {
        "format": FORMAT,
        "name": name,
        "digest": digest,
        "metrics": compute_metrics(reference, samples, intervals=intervals, seed=seed),
        "counts": {
            "samples": len(samples),
            "reference": reference.num_images,
            "reference_precision_recall": len(reference.pool),
        },
        "protocol": {
            "recipe": RECIPE,
            "reference": {"path": reference.path, "sha256": reference.sha256},
            "samples": protocol,
            "network": network.describe(),
            "k": NUM_NEIGHBOURS,
            "inception_split_size": SPLIT_SIZE,
            "interval": WORDS if intervals else None,
            "seed": seed,
            "backend": "torch",
            "precision": "float32",
            **environment(),
        },
    }
