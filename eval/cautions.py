"""What is said of gradings whose values may be misread: counts, orders, splits, sides, networks."""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np

from eval.images.image_set import ImageSet
from eval.images.npz_stream import describe_npz
from eval.images.open import holds_statistics_alone, list_statistics
from eval.inputs import Gradable
from eval.metrics.fid import make_count_warning
from eval.metrics.inception_score import (
    SPLIT_SIZE,
    compute_inception_score,
    compute_shuffled_scores,
    compute_split_scores,
)
from eval.metrics.reference import Reference
from eval.networks.feature_network import INCEPTION_NAME, FeatureNetwork

PUBLISHED_SAMPLES = 50_000
NUM_ORDERS = 8
# Random orders of 50,000 samples of Inception differ by less than 0.1 %.
ORDER_SHARE = 0.01

Warn = Callable[[str], None]


def judge_sides(reference: Gradable | Reference, samples: Gradable) -> Iterator[str]:
    """Say what files tell of a reference: that it is the other one, or that its origin is open."""
    if isinstance(reference, Reference):
        reference = reference.path
    if not isinstance(reference, str | Path):
        return
    held = list_statistics(reference)
    if not held and isinstance(samples, str | Path) and (others := list_statistics(samples)):
        yield (
            f"{samples}: holds statistics ({', '.join(others)}), which only a reference has use "
            f"for, and {reference} has none; are they the wrong way round? REFERENCE comes before "
            "SAMPLES in the command, after it in adm_eval.grade"
        )
    if (
        held
        and holds_statistics_alone(reference)
        and "network_sha256" not in describe_npz(reference)
    ):
        yield (
            f"{reference}: its statistics name no network and are taken for those of the published "
            "Inception; those of another port of it give FIDs that compare with nothing"
        )


def judge_samples(
    batch: ImageSet | None, num_samples: int, network: FeatureNetwork, metrics: Collection[str]
) -> Iterator[str]:
    """Say what is known of samples before they go through the network.

    Args:
        batch: the samples; None for features that were computed before.
        num_samples: how many are graded.
        network: the feature network.
        metrics: those that are asked for.
    """
    if batch is not None and batch.label_fault:
        yield f"labels are left aside, no metric reads them: {batch.label_fault}"
    if "is" in metrics and num_samples > SPLIT_SIZE:
        if batch is not None and batch.comes_by_class:
            what = "folder" if batch.labels is None else "class"
            yield (
                f"{batch.path}: the samples come {what} by {what}, so each split of "
                f"{SPLIT_SIZE:,} that the Inception Score is a mean of sees a few classes alone, "
                "which lowers it; give --shuffle (shuffle=True)"
            )
        if left := num_samples % SPLIT_SIZE:
            whole = num_samples - left
            yield (
                f"the last split of the Inception Score has {left:,} samples and the weight of "
                f"one of {SPLIT_SIZE:,}; give --num-images {whole} (num_images={whole}) for whole "
                "splits"
            )
    if network.is_inception and network.name != INCEPTION_NAME:
        yield (
            f"the features are of {network.name} (SHA-256 {network.sha256}), not of the published "
            "Inception: no published value compares"
        )
    if network.name == INCEPTION_NAME and {"fid", "sfid"} & set(metrics):
        warning = make_count_warning(num_samples, PUBLISHED_SAMPLES)
        if warning is not None:
            yield f"the published values are of {PUBLISHED_SAMPLES:,} samples. {warning}"


def judge_order(softmax: np.ndarray) -> Iterator[str]:
    """Say what the order of samples does to the Inception Score, as their classes tell.

    Args:
        softmax: class probabilities [n, classes], in the order that is graded.
    """
    num = len(softmax)
    if num <= SPLIT_SIZE:
        return
    score = compute_inception_score(softmax)
    shuffled = compute_shuffled_scores(softmax, num_orders=NUM_ORDERS)
    usual = float(shuffled.mean())
    if usual - score > max(ORDER_SHARE * usual, 5 * float(shuffled.std(ddof=1))):
        yield (
            f"the Inception Score is {score:.6g} in this order and {usual:.6g} in a random one: "
            "like images are next to each other; give --shuffle (shuffle=True)"
        )
    if num % SPLIT_SIZE:
        whole = float(np.mean(compute_split_scores(softmax)[:-1]))
        if abs(whole - score) > ORDER_SHARE * whole:
            yield (
                f"the Inception Score is {score:.6g} with its short last split, and {whole:.6g} "
                "without it"
            )
