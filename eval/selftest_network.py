"""Checks of the feature network: its file, its outputs, its backends, and the known result."""

import importlib.util
from pathlib import Path

import numpy as np

from eval.networks.feature_network import BACKENDS, FeatureNetwork
from eval.networks.load import load_network
from eval.networks.weights import (
    INCEPTION_SHA256,
    INCEPTION_URL,
    PUBLISHED_BASE,
    get_cache_folder,
    locate_inception,
)
from eval.selftest_metrics import check_pair_is_equal, demand

REFERENCE_URL = PUBLISHED_BASE + "ref_batches/imagenet/256/VIRTUAL_imagenet256_labeled.npz"
SAMPLES_URL = PUBLISHED_BASE + "ref_batches/imagenet/256/admnet_guided_upsampled_imagenet256.npz"
# Printed in the authors' README for these samples against this reference; then how far a result
# may be away. Their distances are float16, and recall feels most how a device rounds those.
KNOWN = {
    "is": (215.8370361328125, 1e-2),
    "fid": (3.9425574129223264, 1e-3),
    "sfid": (6.140433703346162, 1e-3),
    "precision": (0.8265, 1e-3),
    "recall": (0.5309, 3e-3),
}
# Of the largest output: batch sizes and backends only move roundings.
OUTPUT_TOLERANCE = 1e-4
OUTPUT_NAMES = ("pool", "spatial", "softmax")


class NotCheckedError(Exception):
    """Something that a check needs is not here, and how to get it."""


def load_checked_network(
    weights: str | Path | None, *, backend: str, device: str, any_weights: bool
) -> FeatureNetwork:
    """Load the feature network, to be run by a backend, if it is here; nothing is downloaded.

    Raises:
        NotCheckedError: nobody named one, and none is kept.
        UserError: it cannot be loaded, or has another hash than the published one.
    """
    path, is_named = locate_inception(weights)
    if not is_named and not path.exists():
        raise NotCheckedError(
            f"{path} is not there; any grading with Inception downloads it, or get {INCEPTION_URL} "
            "and put it there, or give --weights"
        )
    return load_network(weights, backend=backend, device=device, any_weights=any_weights)


def judge_hash(network: FeatureNetwork) -> str:
    """Say which network it is; other weights than the published ones are only tolerated."""
    if network.is_inception and network.sha256 != INCEPTION_SHA256:
        raise NotCheckedError(
            f"its SHA-256 is {network.sha256}, that of the published graph {INCEPTION_SHA256}; "
            "taken because of --any-weights"
        )
    known = " (as published)" if network.sha256 == INCEPTION_SHA256 else ""
    return f"{network.name}, SHA-256 {network.sha256}{known}"


def _make_test_images() -> np.ndarray:
    """Make a few images that differ: waves of their own direction and colour, with some noise."""
    height, width = np.mgrid[0:48, 0:48] / 48
    noise = np.random.default_rng(0)
    images = []
    for index in range(8):
        phase = 2 * np.pi * (index + 1) * (height * np.cos(index) + width * np.sin(index))
        image = 127 + 100 * np.stack([np.sin(phase + index * c) for c in range(3)], axis=-1)
        images.append(image + noise.normal(scale=2.0 + index, size=image.shape))
    return np.clip(np.stack(images), 0, 255).astype(np.uint8)


def _compare_outputs(got: tuple[np.ndarray, ...], needed: tuple[np.ndarray, ...]) -> str:
    """Demand equal outputs up to rounding, and say how far the worst is off."""
    off = {
        name: float(np.abs(a - b).max() / np.abs(b).max())
        for name, a, b in zip(OUTPUT_NAMES, got, needed, strict=True)
    }
    return demand(off, dict.fromkeys(off, (0.0, OUTPUT_TOLERANCE)), digits=2)


def check_batch_sizes(network: FeatureNetwork) -> str:
    """Demand that an image's features do not depend on its neighbours in the batch."""
    images = _make_test_images()
    at_once = network.run(images)
    said = []
    for size in (1, 3):
        starts = range(0, len(images), size)
        parts = [network.run(images[start : start + size]) for start in starts]
        joined = tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        said.append(f"batches of {size} against {len(images)}: {_compare_outputs(joined, at_once)}")
    return "largest differences, of the largest output: " + "; ".join(said)


def check_images(network: FeatureNetwork, device: str) -> str:
    """Send images through the network and compare their features with themselves."""
    pool, spatial, softmax = network.run(_make_test_images())
    sums = softmax.sum(axis=1, dtype=np.float64)
    demand(
        {"sum of softmax": float(sums[np.abs(sums - 1).argmax()])}, {"sum of softmax": (1, 1e-4)}
    )
    return check_pair_is_equal([pool, spatial], [pool, spatial], device)


def check_backends(network: FeatureNetwork, weights: str | Path | None) -> str:
    """Compare both ways to run Inception's frozen graph."""
    if not network.is_inception:
        raise NotCheckedError(f"{network.name} runs with torch alone")
    if importlib.util.find_spec("tensorflow") is None:
        raise NotCheckedError("tensorflow is not installed; it is needed for this comparison alone")
    images = _make_test_images()
    (backend,) = set(BACKENDS) - {network.description["backend"]}
    other = load_network(weights, backend=backend, any_weights=True)
    off = _compare_outputs(network.run(images), other.run(images))
    return "largest differences, of the largest output: " + off


def check_known_result(
    network: FeatureNetwork,
    reference: str | Path | None,
    samples: str | Path | None,
    device: str,
    batch_size: int,
) -> str:
    """Grade the authors' own samples and compare with what they print."""
    if network.sha256 != INCEPTION_SHA256:
        raise NotCheckedError(
            f"the result is known for the published Inception, not {network.name}"
        )
    paths = []
    for option, given, url in (
        ("--reference", reference, REFERENCE_URL),
        ("--samples", samples, SAMPLES_URL),
    ):
        kept = get_cache_folder() / url.rpartition("/")[2]
        if given is None and not kept.exists():
            raise NotCheckedError(
                f"{kept} is not there; get {url}, put it there or give {option} PATH"
            )
        paths.append(given or kept)
    from eval.grade import grade

    result = grade(
        paths[0],
        paths[1],
        network,
        name="known result",
        metrics=tuple(KNOWN),
        batch_size=batch_size,
        device=device,
        half_distances=True,
        progress=True,
    )
    return demand({name: result.values[name] for name in KNOWN}, KNOWN, digits=7)
