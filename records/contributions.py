"""What every image adds to a metric: batches compare in pairs without being graded again.

Rows of a table whose samples share label and noise by index are alike image by image: the error of
the difference of their metrics comes from the differences of what each image adds, and is several
times smaller than errors added as if the rows were independent. docs/statistics.md derives this.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from records.batches import read_arrays, write_arrays
from records.errors import UserError
from records.files import canonical_json

NUM_PAIRS = 4096


@dataclass(frozen=True)
class Contribution:
    """What images add to one metric of a batch.

    Attributes:
        each: influence of every sample, the metric being its mean to first order, float64 [n]; or,
            bool, whether a sample (precision) or reference image (recall) is in a manifold.
        pairs: second-order term of random pairs of samples, float64 [pairs], where there is one.
        halves: reference images in the manifolds of both halves of the samples, by random split,
            bool [splits, 2, m]; of recall alone.
    """

    each: np.ndarray
    pairs: np.ndarray | None = None
    halves: np.ndarray | None = None


def choose_pairs(num_images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Choose random pairs of different images; equal arguments give equal pairs."""
    rng = np.random.default_rng(seed)
    first = rng.integers(num_images, size=NUM_PAIRS)
    return first, (first + rng.integers(1, num_images, size=NUM_PAIRS)) % num_images


def find_contributions(metrics_path: str | Path) -> Path:
    """Return the file that is stored beside a metrics file."""
    return Path(metrics_path).with_suffix(".contributions.npz")


def write_contributions(
    path: str | Path, contributions: Mapping[str, Contribution], protocol: Mapping[str, Any]
) -> None:
    """Write contributions by metric: `fid`, `fid.pairs`, `recall.halves` (packed bits) and so on.

    Args:
        path: the .npz to write.
        contributions: by metric.
        protocol: of the metrics, to which `.about` (JSON as bytes) ties the file.
    """
    arrays = {".about": np.frombuffer(_identify(protocol).encode(), dtype=np.uint8)}
    for metric, one in contributions.items():
        arrays[metric] = one.each
        if one.pairs is not None:
            arrays[f"{metric}.pairs"] = one.pairs
        if one.halves is not None:
            arrays[f"{metric}.halves"] = np.packbits(one.halves, axis=-1)
    write_arrays(path, arrays)


def _identify(protocol: Mapping[str, Any]) -> str:
    """Say what decides contributions: both batches, the feature network, the seed of pairs.

    Those of a loss are decided by weights, images and the seed of noise.
    """
    if loss := protocol.get("loss"):
        return canonical_json({**loss["inputs"], **loss["seeds"]})
    parts = {role: protocol[role]["sha256"] for role in ("samples", "reference", "network")}
    return canonical_json({**parts, "seed": protocol["seed"]})


def read_contributions(path: str | Path, protocol: Mapping[str, Any]) -> dict[str, Contribution]:
    """Read contributions by metric; nothing in the file is ever unpickled.

    Args:
        path: the .npz.
        protocol: of the metrics beside it.

    Raises:
        UserError: no such file, damaged, or of other metrics.
    """
    try:
        found = read_arrays(path)
        if found[".about"].tobytes().decode() != _identify(protocol):
            raise ValueError("it belongs to other metrics")
        return {
            metric: Contribution(
                each,
                found.get(f"{metric}.pairs"),
                _unpack(found.get(f"{metric}.halves"), len(each)),
            )
            for metric, each in found.items()
            if "." not in metric
        }
    except (KeyError, OSError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be used ({error}); delete the metrics file beside it and grade again"
        ) from None


def _unpack(packed: np.ndarray | None, count: int) -> np.ndarray | None:
    return None if packed is None else np.unpackbits(packed, axis=-1, count=count).astype(bool)


def compute_joint_variance(parts: Sequence[tuple[float, Contribution]]) -> float:
    """Compute the sampling variance of a sum of metrics whose batches are paired by index.

    With a = the slopes, the sum is sum_r a_r M_r, and what image i adds to it d_i = sum_r a_r
    psi_r,i. Of smooth metrics (FID, sFID, Inception Score) the variance is max(v_1 - v_2, v_2)
    with v_1 = var(d) / n and v_2 = 2 mean(h^2) / n^2 of pairs, h = sum_r a_r h_r: the first order
    counts the second twice. Of precision it is that of Agresti & Min (2005), who add one image
    whose membership differs. Recall adds to that of its reference images half the mean square by
    which random halves differ, less what the finite number of reference images makes of it: the
    variance of one half, taken as it is, since on real rows that of a difference of alike batches
    falls slowly with more samples, or not at all. A single batch's falls as 1 / n: a quarter.

    Args:
        parts: pairs of slope and contribution, all of one metric, number of images and seed.

    Returns:
        The variance; docs/statistics.md shows its coverage.
    """
    each = np.sum([slope * one.each for slope, one in parts], axis=0)
    first = parts[0][1]
    if first.pairs is not None:
        products = np.sum([slope * one.pairs for slope, one in parts if one.pairs is not None], 0)
        straight = float(np.var(each, ddof=1)) / len(each)
        curved = 2 * float(np.mean(np.square(products))) / len(each) ** 2
        return max(straight - curved, curved)
    if first.each.dtype != bool:
        return float(np.var(each, ddof=1)) / len(each)
    num = len(each) + 2
    squares = float(np.square(each).sum()) + max(slope**2 for slope, _ in parts)
    variance = (squares - float(np.sum(each)) ** 2 / num) / num**2
    if first.halves is not None:
        pairs = [(slope, one.halves) for slope, one in parts if one.halves is not None]
        unlike = np.sum([slope * (both[:, 0] * 1.0 - both[:, 1]) for slope, both in pairs], axis=0)
        squared = np.square(np.mean(unlike, axis=-1))
        by_reference = (np.mean(np.square(unlike), axis=-1) - squared) / (len(each) - 1)
        counted = 2 if len(parts) > 1 else 4
        variance += max(float(np.mean(squared - by_reference)), 0.0) / counted
    return variance


def compute_sum_variance(
    slopes: Sequence[float],
    parts: Sequence[Contribution | None],
    errors: Sequence[float | None],
    *,
    paired: bool,
) -> tuple[float | None, bool]:
    """Compute the sampling variance of a sum of one metric of several batches, and how.

    Args:
        slopes: derivatives of the sum by the metric's values.
        parts: what the images of each batch add; None where that was not stored.
        errors: standard error of each value; None where it is not known.
        paired: whether sample i of all batches has the same label and noise (`identify_noise`).

    Returns:
        The variance, with errors added in quadrature where batches cannot be paired, None where
        one is not known; and whether batches were paired.
    """
    stored = [one for one in parts if one is not None]
    if paired and len(stored) == len(parts) and can_pair(stored):
        return compute_joint_variance(list(zip(slopes, stored, strict=True))), True
    known = [error for error in errors if error is not None]
    if len(known) < len(errors):
        return None, False
    return sum((a * e) ** 2 for a, e in zip(slopes, known, strict=True)), False


def identify_noise(samples: Mapping[str, Any]) -> str | None:
    """Say what decides label and noise of sample i of a batch, as far as that is told.

    Args:
        samples: the protocol of a batch: its manifest, and which of its samples were graded.

    Returns:
        What is equal of batches that pair by index. None where nothing tells, or where a random
        order was graded, in which no index is the batch's.
    """
    spec, seeds = samples.get("spec"), samples.get("seeds")
    if is_shuffled(samples):
        return None
    if isinstance(spec, Mapping):
        seed, labels = spec.get("seed"), spec.get("label_policy")
    else:  # drawn by a name: every label is listed
        seed = seeds.get("sampling") if isinstance(seeds, Mapping) else None
        labels = samples.get("labels")
    if seed is None:
        return None
    return canonical_json({"seed": seed, "labels": labels, "range": samples.get("range")})


def is_shuffled(samples: Mapping[str, Any]) -> bool:
    """Tell by a batch's protocol whether a random order of it was graded."""
    graded = samples.get("graded")
    return isinstance(graded, Mapping) and graded.get("order") == "random"


def can_pair(contributions: Sequence[Contribution]) -> bool:
    """Tell whether contributions to one metric are of as many images, so that indices match."""
    return len({(len(one.each), one.pairs is None) for one in contributions}) == 1
