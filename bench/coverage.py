"""Measure how often paired intervals of real rows hold the true difference.

Run `python -m bench.coverage REFERENCE LEFT RIGHT --weights NETWORK` with two large batches whose
samples share label and noise by index. Each draw takes the same random indices out of both and
compares them as a page compares two rows; the truth is the mean over all draws. Recall is compared
with a part of the reference images, another one each time, as its interval speaks of others too.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from eval.images.open import open_images
from eval.metrics.reference import Reference
from eval.metrics.registry import compute_metrics
from eval.networks.features import Features, compute_features, demand
from eval.networks.load import load_network
from eval.pairs import compare_values
from eval.reference import load_reference

NAMES = ("fid", "sfid", "is", "precision", "recall")


def compare_batches(
    references: Mapping[str, Reference], left: Features, right: Features
) -> dict[str, tuple[float, float, float]]:
    """Compare two batches as a page does: ratios as differences of logarithms, and shares.

    Args:
        references: by metric.
        left: features of one batch.
        right: those of the other; image i has the label and the noise of the first's image i.

    Returns:
        By metric, the effect and both ends of its interval.
    """
    compared = {}
    for metric, reference in references.items():
        both = [compute_metrics(reference, one, metrics=[metric]) for one in (left, right)]
        effect, ends = compare_values(
            metric,
            [results[metric]["value"] for results, _ in both],
            [contributions[metric] for _, contributions in both],
            [results[metric]["std_error"] for results, _ in both],
            num_samples=left.num_images,
            paired=True,
        )
        compared[metric] = (effect, *ends)
    return compared


def compute_coverage(
    compared: Sequence[tuple[float, float, float]], *, part_drawn: float = 0.0
) -> float:
    """Compute the share of 95 % intervals that hold the mean effect of all draws.

    Args:
        compared: effect and both ends of the interval of each draw.
        part_drawn: the share of all images that one draw takes, 0 to 1. Draws without replacement
            spread less by sqrt(1 - part_drawn), which is put right.

    Returns:
        The share, 0 to 1.
    """
    effects, low, high = np.array(compared).T
    truth = effects + (effects.mean() - effects) / (1 - part_drawn) ** 0.5
    return float(np.mean((low <= truth) & (truth <= high)))


def measure_coverage(
    reference: Reference,
    left: Features,
    right: Features,
    *,
    num_images: int,
    num_reference: int,
    num_draws: int,
    seed: int,
) -> dict[str, dict[str, float]]:
    """Measure coverage, and what pairing makes of the standard error, for each metric.

    Args:
        reference: statistics and pool features.
        left: features of one large batch.
        right: those of the other.
        num_images: samples in a draw.
        num_reference: reference images in a draw, for recall.
        num_draws: how many draws.
        seed: of the draws.

    Returns:
        By metric: the mean effect, the mean half-width of its interval, and the coverage.
    """
    rng = np.random.default_rng(seed)
    pool = demand(reference.pool)
    draws: dict[str, list[tuple[float, float, float]]] = {metric: [] for metric in NAMES}
    for _ in range(num_draws):
        rows = np.sort(rng.choice(left.num_images, num_images, replace=False))
        part = replace(reference, pool=pool[rng.choice(len(pool), num_reference, replace=False)])
        references = {name: part if name == "recall" else reference for name in NAMES}
        for name, one in compare_batches(references, left.take(rows), right.take(rows)).items():
            draws[name].append(one)
    found: dict[str, dict[str, float]] = {}
    for name, compared in draws.items():
        effect, low, high = np.mean(compared, axis=0)
        coverage = compute_coverage(compared, part_drawn=num_images / left.num_images)
        found[name] = {"effect": effect, "half_width": (high - low) / 2, "coverage": coverage}
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reference", help="reference batch (.npz)")
    parser.add_argument(
        "batches", nargs=2, metavar="SAMPLES", help="batches that share their noise"
    )
    parser.add_argument("--weights", required=True, help="the feature network")
    parser.add_argument("--num-images", type=int, default=500, help="samples in a draw (500)")
    parser.add_argument("--num-reference", type=int, default=300, help="reference images (300)")
    parser.add_argument("--num-draws", type=int, default=200, help="draws (200)")
    parser.add_argument("--seed", type=int, default=0, help="of the draws (0)")
    args = parser.parse_args()
    network = load_network(args.weights)
    reference = load_reference(args.reference, network, metrics=NAMES)
    left, right = (
        compute_features(open_images(path), network, batch_size=250) for path in args.batches
    )
    settings: dict[str, Any] = {
        name: getattr(args, name) for name in ("num_images", "num_reference", "num_draws", "seed")
    }
    found = measure_coverage(reference, left, right, **settings)
    print(f"{'metric':12}{'effect':>10}{'half-width':>12}{'coverage':>10}")
    for name, one in found.items():
        print(f"{name:12}{one['effect']:>10.4f}{one['half_width']:>12.4f}{one['coverage']:>10.3f}")


if __name__ == "__main__":
    main()
