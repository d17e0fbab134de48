"""Reference batches in the authors' layout: images, and statistics for FID and sFID.

An .npz holds arr_0 (and arr_1), mu, sigma, mu_s, sigma_s, and two entries that the authors' tools
ignore: network_sha256, so that statistics of one network are never used with another, and
num_images, the count behind the statistics (eval/reference_statistics.py checks both).
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from eval.images.checks import check_num_images
from eval.images.image_set import ImageSet
from eval.images.open import holds_statistics_alone, open_images
from eval.metrics.fid import compute_moments
from eval.metrics.kid import SUBSET_SIZE
from eval.metrics.moments import Moments, compute_mu_sigma, extend_moments
from eval.metrics.precision_recall import MIN_IMAGES, WHY
from eval.metrics.reference import Reference
from eval.networks.feature_network import FeatureNetwork
from eval.networks.features import Features, compute_features, demand, iterate_features
from eval.reference_statistics import load_reference_statistics
from records.batches import open_archive, open_array, write_array
from records.errors import UserError
from records.events import EventLog
from records.files import atomic_write, sha256_file
from records.manifest import make_manifest, write_manifest
from records.metrics import METRICS


def make_reference(
    data_path: str | Path,
    network: FeatureNetwork,
    out: str | Path,
    *,
    num_images: int = 10_000,
    digest: str | None = None,
    seed: int = 0,
    batch_size: int = 64,
    allow_jpeg: bool = False,
    events: EventLog | None = None,
    progress: bool = False,
    warn: Callable[[str], None] | None = None,
) -> None:
    """Write the reference batch of a data set and its manifest.

    Args:
        data_path: any images that open_images reads.
        network: the feature network.
        out: the .npz to write.
        num_images: images stored for precision and recall, drawn at random without replacement and
            kept in their order; all when there are fewer. Statistics are over all images.
        digest: of the spec that asked for it, for the manifest.
        seed: of the draw.
        batch_size: images at a time.
        allow_jpeg: take JPEG files.
        events: where it is recorded what happens; None for nowhere.
        progress: show a progress bar.
        warn: is told of labels that cannot be stored.

    Raises:
        UserError: the data cannot be read, or there are fewer than 2 images.
    """
    image_set = open_images(data_path, allow_jpeg=allow_jpeg)
    if image_set.num_images < 2:
        raise UserError(
            f"{data_path}: got {image_set.num_images} image; the statistics of a reference need 2 "
            "or more"
        )
    if image_set.label_fault and warn is not None:
        warn(f"no labels are stored: {image_set.label_fault}")
    drawn = np.random.default_rng(seed).permutation(image_set.num_images)[:num_images]
    drawn.sort()
    name = Path(out).stem
    events = events or EventLog(None)
    with events.record(kind="reference", job="reference", name=name, digest=None, spec=None) as use:
        with atomic_write(out) as file, open_archive(file) as archive:
            moments = _write_images(archive, image_set, network, drawn, batch_size, progress)
            if image_set.labels is not None:
                write_array(archive, "arr_1", image_set.labels[drawn])
            for suffix, part in zip(("", "_s"), moments, strict=True):
                mu, sigma = compute_mu_sigma(part)
                write_array(archive, f"mu{suffix}", mu)
                write_array(archive, f"sigma{suffix}", sigma)
            write_array(archive, "network_sha256", np.array(network.sha256))
            write_array(archive, "num_images", np.array(image_set.num_images))
        manifest = make_manifest(
            kind="reference",
            name=name,
            digest=digest,
            inputs={"data": image_set.sha256, "network": network.sha256},
            seeds={"reference": seed},
            data=str(data_path),
            network=network.description,
            counts={"statistics": image_set.num_images, "precision_recall": len(drawn)},
        )
        write_manifest(out, manifest, use)


def _write_images(
    archive: Any,
    image_set: ImageSet,
    network: FeatureNetwork,
    drawn: np.ndarray,
    batch_size: int,
    progress: bool,
) -> tuple[Moments, Moments]:
    """Write the drawn images as they come by; return the pool and spatial moments of all."""
    pool: Moments | None = None
    spatial: Moments | None = None
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(drawn), *image_set.shape)}
    with open_array(archive, "arr_0") as member:
        np.lib.format.write_array_header_1_0(member, header)
        for rows, images, outputs in iterate_features(
            image_set, network, batch_size=batch_size, progress=progress
        ):
            first, last = np.searchsorted(drawn, (rows.start, rows.stop))
            member.write(images[drawn[first:last] - rows.start].tobytes())
            pool = extend_moments(pool, outputs["pool"])
            spatial = extend_moments(spatial, outputs["spatial"])
    assert pool is not None and spatial is not None
    return pool, spatial


def load_reference(
    path: str | Path,
    network: FeatureNetwork,
    *,
    metrics: Collection[str],
    image_size_px: tuple[int, int] | None = None,
    samples_path: str | Path = "",
    batch_size: int = 64,
    allow_jpeg: bool = False,
    progress: bool = False,
) -> Reference:
    """Load a reference batch, or images to serve as one, and compute what is not stored.

    Statistics in the file are used when this network made them, and suffice for FID and sFID; a
    file of images alone gets its statistics from those images.

    Args:
        path: the reference.
        network: the feature network.
        metrics: those to be computed; what none of them needs is left out.
        image_size_px: height and width of the samples, which the reference's must have too; None
            where that is looked at later.
        samples_path: where the samples are, for the message.
        batch_size: images at a time.
        allow_jpeg: take JPEG files.
        progress: show a progress bar.

    Raises:
        UserError: unreadable, damaged, of another size, with statistics of another network, or
            without what a metric needs.
    """
    needed = {need for metric in metrics if (need := METRICS[metric].reference)}
    if holds_statistics_alone(path):
        stored = load_reference_statistics(path, network)
        assert stored is not None, path
        reference = Reference(
            path=str(path),
            sha256=sha256_file(path),
            num_stored=None,
            num_images=stored[1],
            image_size_px=None,
            labels=None,
            **stored[0],
        )
        check_reference(reference, metrics)
        return reference
    image_set = open_images(path, allow_jpeg=allow_jpeg)
    if image_size_px is not None:
        check_sizes(samples_path, image_size_px, str(path), image_set.shape[:2])
    if "pool" in needed:
        check_num_images(image_set.num_images, str(path), MIN_IMAGES, WHY)
        if "kid_subsets" in metrics:
            why = "kid_subsets draws as many at a time"
            check_num_images(image_set.num_images, str(path), SUBSET_SIZE, why)
    stored = load_reference_statistics(path, network) if image_set.kind == ".npz file" else None
    if stored:
        moments, count = stored
        outputs = needed & {"pool"}
    else:
        count, moments = image_set.num_images, {}
        outputs = {{"mu": "pool", "mu_s": "spatial"}.get(name, name) for name in needed}
    reference = Reference(
        path=str(path),
        sha256=image_set.sha256,
        num_stored=image_set.num_images,
        num_images=count,
        image_size_px=image_set.shape[:2],
        labels=image_set.labels,
        **moments,
    )
    if stored:
        check_reference(reference, [one for one in metrics if METRICS[one].reference != "pool"])
    if outputs:
        features = compute_features(
            image_set, network, outputs=outputs, batch_size=batch_size, progress=progress
        )
        moments = moments or _compute_statistics(features, needed)
        reference = replace(reference, pool=features.pool, **moments)
    return reference


def check_sizes(
    path: str | Path, size_px: tuple[int, int], other_path: str, other_px: tuple[int, int]
) -> None:
    """Refuse samples of another size than the reference's images."""
    if size_px != other_px:
        raise UserError(
            f"{path}: images are {size_px[0]}x{size_px[1]} px, those of {other_path} "
            f"{other_px[0]}x{other_px[1]} px; both must have one size"
        )


def check_reference(reference: Reference, metrics: Collection[str]) -> None:
    """Demand of a reference what metrics need.

    Raises:
        UserError: it holds other statistics, or no images.
    """
    lacking = {
        name: METRICS[name].reference
        for name in METRICS
        if name in metrics
        and METRICS[name].reference is not None
        and getattr(reference, str(METRICS[name].reference)) is None
    }
    if lacking:
        has = [name for name in METRICS if name in metrics and name not in lacking]
        words = {"pool": "images", "mu": "mu and sigma", "mu_s": "mu_s and sigma_s"}
        needed = " and ".join(dict.fromkeys(words[str(need)] for need in lacking.values()))
        raise UserError(
            f"{reference.path}: holds statistics without {needed}, which {', '.join(lacking)} "
            f"need; give --metrics {','.join(has) or 'of what it holds'}, or a reference made with "
            "`python -m eval reference`"
        )


def make_reference_of_features(features: Features, *, path: str, sha256: str) -> Reference:
    """Make a reference whose statistics and images are the same ones."""
    return Reference(
        path=path,
        sha256=sha256,
        num_stored=features.num_images,
        num_images=features.num_images,
        pool=features.pool,
        image_size_px=None,
        labels=features.labels,
        **_compute_statistics(features, {"mu", "mu_s"}),
    )


def _compute_statistics(features: Features, needed: Collection[str]) -> dict[str, np.ndarray]:
    """Compute mu and sigma of pool, and mu_s and sigma_s of spatial features, where needed."""
    moments = {}
    if "mu" in needed:
        moments["mu"], moments["sigma"] = compute_moments(demand(features.pool))
    if "mu_s" in needed:
        moments["mu_s"], moments["sigma_s"] = compute_moments(demand(features.spatial))
    return moments
