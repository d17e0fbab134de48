"""Measure what intervals add to the time of each metric, with and without them in one run.

Run `python -m bench.intervals`; with --num-samples 50000 --num-reference 10000 at the paper's size.
Features are those of bench/precision_recall.py: like a network's, and synthetic.
"""

import argparse
import time

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from bench.precision_recall import make_features
from eval.metrics.fid import compute_moments
from eval.metrics.reference import Reference
from eval.metrics.registry import compute_metrics
from eval.networks.features import Features

SHOWN = (("fid",), ("precision", "recall"), ("memorised",), ("kid",))


def make_reference(pool: np.ndarray) -> Reference:
    """Make a reference of pool features alone."""
    mu, sigma = compute_moments(pool)
    return Reference(
        path="made here",
        sha256="",
        num_stored=len(pool),
        num_images=len(pool),
        pool=pool,
        mu=mu,
        sigma=sigma,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num-samples", type=int, default=10_000)
    parser.add_argument("--num-reference", type=int, default=2_000)
    parser.add_argument("--dims", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    shape = {"dims": args.dims}
    pool = make_features("network", args.num_samples, shift=0.05, seed=2, **shape)
    reference = make_reference(
        make_features("network", args.num_reference, shift=0.0, seed=1, **shape)
    )
    samples = Features(num_images=len(pool), pool=pool)
    print(f"{'metrics':20}{'s':>10}{'with intervals':>16}{'ratio':>8}")
    with threadpool_limits(args.threads):
        for metrics in SHOWN:
            seconds = []
            for intervals in (False, True):
                started = time.perf_counter()
                compute_metrics(reference, samples, metrics=metrics, intervals=intervals)
                seconds.append(time.perf_counter() - started)
            print(
                f"{', '.join(metrics):20}{seconds[0]:10.1f}{seconds[1]:16.1f}"
                f"{seconds[1] / seconds[0]:8.2f}"
            )
    print(
        f"{args.num_samples} x {args.num_reference} x {args.dims}, {args.threads} threads, "
        "each once"
    )


if __name__ == "__main__":
    main()
