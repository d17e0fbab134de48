"""Measure the Fréchet distance against what others do, for full-rank and singular covariances.

Run `python -m bench.frechet_distance --dims 2048 --threads 2`: against scipy.linalg.sqrtm, which
the authors and most others take, or with `--against eigenvalues` against those of the product of
both covariances, as torch-fidelity 0.4 takes them. The covariances are of random
features whose variances fall like those of an image network's, from 1 to about 1e-6; the singular
ones are of half as many images as dimensions.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

OURS_PER_ROUND = 4
CASES = {"full rank": 4.0, "near singular": 1.02, "singular": 0.5}


def make_gaussians(dims: int, images_per_dim: float) -> list[Any]:
    """Make mean and covariance of two sets of features in one random basis.

    Args:
        dims: dimensions of the features.
        images_per_dim: images of the first set over dims; the second always has 4 to 1.
    """
    import numpy as np

    from eval.metrics.fid import compute_moments

    rng = np.random.default_rng(0)
    index = np.arange(dims)
    spread = np.sqrt((index + 1.0) ** -1.2 * np.exp(-5.0 * index / dims))
    basis, _ = np.linalg.qr(rng.normal(size=(dims, dims)))
    moments: list[Any] = []
    for ratio, scale in ((images_per_dim, 1.1), (4.0, 1.0)):
        features = rng.normal(size=(int(ratio * dims), dims)) * (scale * spread)
        moments += compute_moments(features @ basis.T)
    return moments


def compute_by_sqrtm(mu1: Any, sigma1: Any, mu2: Any, sigma2: Any) -> float:
    """Compute the distance with a general square root of the product of the covariances."""
    import numpy as np
    from scipy.linalg import sqrtm

    root = sqrtm(sigma1 @ sigma2)
    return float(((mu1 - mu2) ** 2).sum() + np.trace(sigma1 + sigma2) - 2 * np.trace(root).real)


def compute_by_eigenvalues(mu1: Any, sigma1: Any, mu2: Any, sigma2: Any) -> float:
    """Compute the distance with the eigenvalues of the product of the covariances."""
    import numpy as np

    roots = np.sqrt(np.linalg.eigvals(sigma1 @ sigma2).astype(np.complex128)).real
    return float(((mu1 - mu2) ** 2).sum() + np.trace(sigma1 + sigma2) - 2 * roots.sum())


OTHERS = {"sqrtm": compute_by_sqrtm, "eigenvalues": compute_by_eigenvalues}


def measure(work: Callable[..., float], moments: list[Any]) -> tuple[float, float, float]:
    """Return the seconds by the clock, those of all cores together, and the result."""
    started, cores_started = time.perf_counter(), time.process_time()
    result = work(*moments)
    return time.perf_counter() - started, time.process_time() - cores_started, result


def run(dims: int, rounds: int, against: str) -> list[dict[str, Any]]:
    """Measure every case; return a row for each.

    Ours is so much shorter that it is measured several times before and after each other, so that a
    busy neighbour slows both.
    """
    from eval.metrics.fid import compute_frechet_distance

    compute_other = OTHERS[against]
    for work in (compute_frechet_distance, compute_other):
        work(*make_gaussians(64, 4.0))
    rows = []
    for name, ratio in CASES.items():
        moments = make_gaussians(dims, ratio)
        ours, theirs = [], []
        for _ in range(rounds):
            ours += [measure(compute_frechet_distance, moments) for _ in range(OURS_PER_ROUND)]
            theirs.append(measure(compute_other, moments))
            ours += [measure(compute_frechet_distance, moments) for _ in range(OURS_PER_ROUND)]
        seconds, other_seconds = (
            [statistics.median(column) for column in zip(*turns, strict=True)]
            for turns in (ours, theirs)
        )
        value, other = seconds[2], other_seconds[2]
        rows.append(
            {
                "case": name,
                "seconds": seconds[0],
                "other_seconds": other_seconds[0],
                "ratio": other_seconds[0] / seconds[0],
                "ratio_of_core_seconds": other_seconds[1] / seconds[1],
                "distance": value,
                "relative_difference": (value - other) / other,
            }
        )
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dims", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--against", choices=OTHERS, default="sqrtm")
    parser.add_argument("--json", help="write the figures here too")
    args = parser.parse_args()
    # Read when numpy and scipy load their linear algebra, so before they do.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(args.threads)
    rows = run(args.dims, args.rounds, args.against)
    head = f"{'ours s':>9}{'other s':>9}{'ratio':>7}{'of cores':>10}"
    print(f"{'covariances':16}{head}{'distance':>12}{'difference':>12}")
    for row in rows:
        print(
            f"{row['case']:16}{row['seconds']:9.2f}{row['other_seconds']:9.2f}{row['ratio']:7.1f}"
            f"{row['ratio_of_core_seconds']:10.1f}{row['distance']:12.6f}"
            f"{row['relative_difference']:12.1e}"
        )
    how = f"{args.threads} threads, {args.against} {args.rounds} times; medians"
    print(f"{args.dims} dimensions, {how}")
    if args.json:
        from records.provenance import environment

        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"rows": rows, "dims": args.dims, **environment()}, file, indent=1)


if __name__ == "__main__":
    main()
