"""Measure precision and recall against the plain blockwise way, in one run, and the memory taken.

Run `python -m bench.precision_recall`, about a minute, or with --full for 50,000 x 10,000 x 2048.
CPU seconds suffer less than seconds where others use the machine too.
The baseline takes blocks of rows against all columns with numpy in float32, `a @ b.T` and norms,
`np.partition` for the radii of both sets and two comparisons per block for both memberships.
Measured: features like those of a network (not negative, correlated, in clusters) and, with
--features independent, the hardest ones, independent Gaussians, for which only symmetry helps.
"""

import argparse
import json
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import torch
from threadpoolctl import threadpool_limits

from eval.metrics import neighbours
from eval.metrics.precision_recall import NUM_NEIGHBOURS, compute_precision_recall
from records.provenance import environment

FULL = (50_000, 10_000)
NUM_FACTORS = 256
NUM_MODES = 200


def make_features(kind: str, num_images: int, dims: int, *, shift: float, seed: int) -> np.ndarray:
    """Make features float32 [num_images, dims].

    Args:
        kind: "network": rectified sums of factors whose variances fall like 1/rank, around modes,
            with noise in all dimensions; or "independent" Gaussians.
        num_images, dims: shape.
        shift: of the samples from the reference, in units of a factor's deviation.
        seed: of the draws; modes and loadings are the same for every seed.
    """
    rng = np.random.default_rng(seed)
    features = np.empty((num_images, dims), dtype=np.float32)
    shared = np.random.default_rng(0)
    deviations = np.arange(1, NUM_FACTORS + 1) ** -0.5
    loadings = (deviations[:, None] * shared.normal(size=(NUM_FACTORS, dims))).astype(np.float32)
    modes = shared.normal(size=(NUM_MODES, NUM_FACTORS)).astype(np.float32)
    for start in range(0, num_images, 1000):
        part = features[start : start + 1000]
        part[:] = rng.standard_normal(part.shape, dtype=np.float32)
        if kind == "network":
            factors = rng.standard_normal((len(part), NUM_FACTORS), dtype=np.float32)
            factors += modes[rng.integers(NUM_MODES, size=len(part))] + shift
            part *= 0.3
            part += factors @ loadings
            np.maximum(part, 0, out=part)
        else:
            part += shift / 10
    return features


def compute_baseline(
    reference: np.ndarray, samples: np.ndarray, block_rows: int
) -> tuple[float, float]:
    """Compute precision and recall the plain way."""
    norms = [np.einsum("ij,ij->i", part, part) for part in (reference, samples)]
    radii = []
    for part, own in zip((reference, samples), norms, strict=True):
        radius = np.empty(len(part), dtype=np.float32)
        for start in range(0, len(part), block_rows):
            rows = slice(start, start + block_rows)
            distances = part[rows] @ part.T
            distances *= -2
            distances += own[rows, None]
            distances += own
            radius[rows] = np.partition(distances, NUM_NEIGHBOURS, axis=1)[:, NUM_NEIGHBOURS]
        radii.append(radius)
    precise = np.zeros(len(samples), dtype=bool)
    recalled = np.zeros(len(reference), dtype=bool)
    for start in range(0, len(samples), block_rows):
        rows = slice(start, start + block_rows)
        distances = samples[rows] @ reference.T
        distances *= -2
        distances += norms[1][rows, None]
        distances += norms[0]
        precise[rows] = (distances <= radii[0]).any(axis=1)
        recalled |= (distances <= radii[1][rows, None]).any(axis=0)
    return float(precise.mean()), float(recalled.mean())


def measure(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Return a result, its seconds and CPU seconds, and by how many bytes the process grew."""
    process, done, peak = psutil.Process(), threading.Event(), [0]
    before = process.memory_info().rss

    def watch() -> None:
        while not done.wait(0.05):
            peak[0] = max(peak[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    started, cpu_started = time.perf_counter(), time.process_time()
    try:
        result = work()
    finally:
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
        done.set()
        watcher.join()
    grown = float(max(0, peak[0] - before))
    return result, {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_bytes": grown}


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure both in turns; return seconds, ratios, memory and results."""
    shape = {"dims": args.dims}
    reference = make_features(args.features, args.num_reference, shift=0.0, seed=1, **shape)
    samples = make_features(args.features, args.num_samples, shift=0.05, seed=2, **shape)
    warm = reference[: 4 * NUM_NEIGHBOURS]
    compute_precision_recall(warm, warm)
    compute_baseline(warm, warm, args.block_rows)
    kinds: dict[str, Callable[[], Any]] = {
        "ours": lambda: compute_precision_recall(reference, samples),
        "baseline": lambda: compute_baseline(reference, samples, args.block_rows),
    }
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in kinds}
    found: dict[str, tuple[float, float]] = {}
    for _ in range(args.rounds):
        for name, work in kinds.items():
            result, figures = measure(work)
            measured[name].append(figures)
            plain = isinstance(result, tuple)
            found[name] = result if plain else (result.precision, result.recall)
    rows = {
        name: {key: statistics.median(row[key] for row in rows) for key in rows[0]}
        for name, rows in measured.items()
    }
    for key in ("seconds", "cpu_seconds"):
        rows[f"ratio of {key}"] = {key: rows["baseline"][key] / rows["ours"][key]}
    return {
        "shape": [len(samples), len(reference), args.dims],
        "features": args.features,
        "threads": args.threads,
        "block_rows": args.block_rows,
        "peak_bytes_beyond_features": max(row["peak_bytes"] for row in measured["ours"]),
        "measured": rows,
        "precision_and_recall": found,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num-samples", type=int, default=20_000)
    parser.add_argument("--num-reference", type=int, default=5_000)
    parser.add_argument("--dims", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--block-rows", type=int, default=neighbours.BLOCK_ROWS["cpu"])
    parser.add_argument("--features", choices=["network", "independent"], default="network")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--full", action="store_true", help="50,000 x 10,000, in one round")
    parser.add_argument("--json", help="write the figures here too")
    args = parser.parse_args()
    if args.full:
        (args.num_samples, args.num_reference), args.rounds = FULL, 1
    torch.set_num_threads(args.threads)
    neighbours.BLOCK_ROWS["cpu"] = args.block_rows
    with threadpool_limits(args.threads):
        figures = run(args)
    rows = figures["measured"]
    print(f"{'':10}{'seconds':>10}{'CPU s':>10}{'peak MB':>10}{'precision':>12}{'recall':>10}")
    for name, (precision, recall) in figures["precision_and_recall"].items():
        row = rows[name]
        print(
            f"{name:10}{row['seconds']:10.1f}{row['cpu_seconds']:10.1f}"
            f"{row['peak_bytes'] / 1e6:10.0f}{precision:12.5f}{recall:10.5f}"
        )
    ratios = [rows[f"ratio of {key}"][key] for key in ("seconds", "cpu_seconds")]
    print(f"{'ratio':10}{ratios[0]:10.2f}{ratios[1]:10.2f}")
    samples, reference, dims = figures["shape"]
    print(
        f"{samples} x {reference} x {dims} {args.features} features, {args.threads} threads, "
        f"blocks of {args.block_rows} rows; peaks are beyond the features"
    )
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({**figures, **environment()}, file, indent=1)


if __name__ == "__main__":
    main()
