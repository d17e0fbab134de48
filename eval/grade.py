"""Grade samples against a reference: features once, then metrics, intervals and the protocol."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eval.cautions import PUBLISHED_SAMPLES, Warn, judge_order, judge_samples, judge_sides
from eval.images.checks import check_num_images
from eval.images.image_set import ImageSet
from eval.images.open import open_images
from eval.inputs import Gradable, ImageFeatures, compute_image_features
from eval.metrics.inception_score import SPLIT_SIZE
from eval.metrics.intervals import MIN_IMAGES as MIN_FOR_INTERVALS
from eval.metrics.intervals import WORDS
from eval.metrics.precision_recall import MIN_IMAGES, NUM_NEIGHBOURS, WHY
from eval.metrics.reference import Reference
from eval.metrics.registry import compute_metrics
from eval.networks.feature_network import FeatureNetwork
from eval.networks.features import Features, compute_features, demand
from eval.reference import (
    check_reference,
    check_sizes,
    load_reference,
    make_reference_of_features,
)
from eval.result import GradingResult, make_metric
from eval.samples import check_counts, check_labels, compute_sample_features, open_samples
from records.errors import UserError
from records.events import EventLog
from records.metrics import METRICS, PAPER
from records.provenance import environment

RECIPE = 3


def grade(
    reference: Gradable | Reference,
    samples: Gradable,
    network: FeatureNetwork,
    *,
    name: str,
    digest: str | None = None,
    metrics: Collection[str] = PAPER,
    intervals: bool = False,
    seed: int = 0,
    batch_size: int = 64,
    device: str = "cpu",
    half_distances: bool = False,
    num_images: int | None = None,
    shuffle: bool = False,
    by_class: bool = False,
    allow_jpeg: bool = False,
    events: EventLog | None = None,
    progress: bool = False,
    warn: Warn | None = None,
) -> GradingResult:
    """Grade a batch of samples against a reference batch.

    Args:
        reference: a path that open_images takes, a batch from open_array, or features that were
            computed before; statistics that a reference .npz holds are used. Or what
            load_reference returned for the same network, metrics and more.
        samples: the same.
        network: the feature network.
        name: of the samples, for the result.
        digest: of the spec that asked for this, for the result.
        metrics: names from records.metrics.
        intervals: also compute standard errors and 95 % intervals.
        seed: of random orders, groups and subsets.
        batch_size: images at a time.
        device: where distances are computed.
        half_distances: precision and recall with the authors' float16 arithmetic, their exact
            values beside them.
        num_images: how many samples are graded: the first, or random ones with shuffle; None for
            all.
        shuffle: grade the samples in a random order, which moves the Inception Score alone.
        by_class: add precision of the samples, and recall of the reference images, of each class.
        allow_jpeg: take JPEG files.
        events: where it is recorded what happens; None for nowhere.
        progress: show progress bars.
        warn: is called with each sentence of the result's warnings as soon as it is known.

    Raises:
        UserError: an input is unreadable, not made of 8-bit images of one size, or has too few; or
            what is beside the samples is another batch's protocol; or features are of another
            network than the one given.
    """
    for one in (samples, reference):
        if isinstance(one, ImageFeatures):
            _check_network(one, network)
    opened = open_samples(
        samples, num_images=num_images, shuffle=shuffle, seed=seed, allow_jpeg=allow_jpeg
    )
    batch, path, protocol = opened.batch, opened.path, opened.protocol
    check_counts(opened, metrics, intervals=intervals)
    if by_class and "precision" in metrics:
        check_labels(batch)
    told = _Told(warn)
    told.tell(judge_sides(reference, samples))
    images = batch if isinstance(batch, ImageSet) and not shuffle else None
    told.tell(judge_samples(images, batch.num_images, network, metrics))
    about = {"digest": protocol.get("digest", batch.sha256), "spec": protocol.get("spec")}
    events = events or EventLog(None)
    with events.record(kind="row", job="evaluate", name=name, metrics_digest=digest, **about):
        if isinstance(reference, ImageSet | ImageFeatures | Reference):
            compared = _open_reference(reference, network, batch, path, batch_size, progress)
            check_reference(compared, metrics)
        else:
            compared = load_reference(
                reference,
                network,
                metrics=metrics,
                image_size_px=batch.shape[:2],
                samples_path=path,
                batch_size=batch_size,
                allow_jpeg=allow_jpeg,
                progress=progress,
            )
        if by_class and "recall" in metrics:
            check_labels(compared)
        features = compute_sample_features(
            opened,
            network,
            outputs={METRICS[metric].output for metric in metrics},
            batch_size=batch_size,
            progress=progress,
        )
        result = _make_result(
            compared,
            features,
            batch.network if isinstance(batch, ImageFeatures) else network,
            told,
            name=name,
            digest=digest,
            metrics=metrics,
            intervals=intervals,
            seed=seed,
            device=device,
            half_distances=half_distances,
            by_class=by_class,
            protocol=protocol,
        )
        _record_metrics(events, result)
    return result


class _Told:
    """Sentences for a result, each also told when it becomes known."""

    def __init__(self, warn: Warn | None):
        self.sentences: list[str] = []
        self._warn = warn

    def tell(self, sentences: Iterable[str]) -> None:
        """Keep sentences and tell them."""
        for sentence in sentences:
            self.sentences.append(sentence)
            if self._warn is not None:
                self._warn(sentence)


def _check_network(computed: ImageFeatures, network: FeatureNetwork) -> None:
    """Refuse features that another network computed."""
    if computed.network.sha256 != network.sha256:
        raise UserError(
            f"{computed.path}: its features are of network {computed.network.name} (SHA-256 "
            f"{computed.network.sha256}), the network given is {network.name} ({network.sha256}); "
            "compute the features of both sides with one network"
        )


def _open_reference(
    reference: ImageSet | ImageFeatures | Reference,
    network: FeatureNetwork,
    samples: ImageSet | ImageFeatures,
    path: str,
    batch_size: int,
    progress: bool,
) -> Reference:
    """Check the size of a reference that is no path, and compute its features if it has none."""
    size_px = reference.image_size_px if isinstance(reference, Reference) else reference.shape[:2]
    if size_px is not None:
        check_sizes(path, samples.shape[:2], reference.path, size_px)
    if isinstance(reference, ImageSet):
        reference = compute_image_features(
            reference, network, batch_size=batch_size, progress=progress
        )
    return reference.reference if isinstance(reference, ImageFeatures) else reference


def grade_ceiling(
    data_path: str | Path,
    network: FeatureNetwork,
    *,
    name: str,
    digest: str | None = None,
    metrics: Collection[str] = PAPER,
    num_images: int = PUBLISHED_SAMPLES,
    seed: int = 0,
    batch_size: int = 64,
    device: str = "cpu",
    half_distances: bool = False,
    allow_jpeg: bool = False,
    events: EventLog | None = None,
    progress: bool = False,
    warn: Warn | None = None,
) -> GradingResult:
    """Grade a random half of the real images against the other: what a perfect model would score.

    A floor for FID at these counts, and a ceiling for the rest. Of a large data set each half is
    drawn no larger than a published batch of samples: more images would say what no row of a table
    is graded with, and the features and distances of millions would not fit in memory.

    Args:
        data_path: real images.
        network: the feature network.
        name: of the row, real-<task>.
        digest: of the spec that asked for this, for the result.
        metrics: names from records.metrics.
        num_images: of each half at most; images that are drawn for neither half are left alone.
        seed: of the halves, random groups and subsets.
        batch_size: images at a time.
        device: where distances are computed.
        half_distances: see grade.
        allow_jpeg: take JPEG files.
        events: where it is recorded what happens; None for nowhere.
        progress: show a progress bar.
        warn: see grade.

    Raises:
        UserError: the data cannot be read or are too few.
    """
    image_set = open_images(data_path, allow_jpeg=allow_jpeg)
    drawn = np.random.default_rng(seed).permutation(image_set.num_images)[: 2 * num_images]
    half = len(drawn) // 2
    check_num_images(half, f"{data_path}: one half", MIN_IMAGES, WHY)
    check_num_images(half, f"{data_path}: one half", MIN_FOR_INTERVALS, "intervals need them")
    rows = np.sort(drawn)
    told = _Told(warn)
    told.tell(judge_samples(None, half, network, metrics))
    events = events or EventLog(None)
    about = {"name": name, "digest": digest or image_set.sha256, "spec": None}
    with events.record(kind="row", job="evaluate", metrics_digest=digest, **about):
        features = compute_features(
            image_set.take(rows), network, batch_size=batch_size, progress=progress
        )
        halves = [drawn[:half], drawn[half:]]
        if half <= SPLIT_SIZE:  # else the Inception Score needs the random order
            halves = [np.sort(part) for part in halves]
        samples, others = (features.take(np.searchsorted(rows, part)) for part in halves)
        reference = make_reference_of_features(others, path=str(data_path), sha256=image_set.sha256)
        rest = "the other half" if len(rows) == image_set.num_images else "as many others"
        result = _make_result(
            reference,
            samples,
            network,
            told,
            name=name,
            digest=digest,
            metrics=metrics,
            intervals=True,
            seed=seed,
            device=device,
            half_distances=half_distances,
            by_class=False,
            protocol={"sha256": image_set.sha256, "source": f"real images, {rest} of the data set"},
        )
        _record_metrics(events, result)
    return result


def _record_metrics(events: EventLog, result: GradingResult) -> None:
    """Record every metric and the ends of its interval, under names of its own."""
    values = {}
    for name, metric in result.metrics.items():
        values[name] = metric.value
        if metric.interval:
            values[f"{name}_low"], values[f"{name}_high"] = metric.interval
    events.write("metrics", num_samples=result.counts["samples"], **values)


def _make_result(
    reference: Reference,
    samples: Features,
    network: FeatureNetwork,
    told: _Told,
    *,
    name: str,
    digest: str | None,
    metrics: Collection[str],
    intervals: bool,
    seed: int,
    device: str,
    half_distances: bool,
    by_class: bool,
    protocol: Mapping[str, Any],
) -> GradingResult:
    """Compute the metrics and put counts and protocol around them."""
    values, contributions = compute_metrics(
        reference,
        samples,
        metrics=metrics,
        intervals=intervals,
        seed=seed,
        device=device,
        half_distances=half_distances,
        by_class=by_class,
    )
    if "is" in metrics:
        told.tell(judge_order(demand(samples.softmax)))
    return GradingResult(
        name=name,
        digest=digest,
        metrics={metric: make_metric(content) for metric, content in values.items()},
        contributions=contributions,
        warnings=tuple(told.sentences),
        counts={
            "samples": samples.num_images,
            "reference": reference.num_images,
            "reference_precision_recall": reference.num_stored,
        },
        protocol={
            "recipe": RECIPE,
            "reference": {"path": reference.path, "sha256": reference.sha256},
            "samples": protocol,
            "network": network.description,
            "k": NUM_NEIGHBOURS,
            "distances": "float16" if half_distances else "exact",
            "inception_split_size": SPLIT_SIZE,
            "interval": WORDS if intervals else None,
            "seed": seed,
            "backend": network.description["backend"],
            "precision": network.description["precision"],
            **environment(),
        },
    )
