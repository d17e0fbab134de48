"""Over many draws, paired intervals of differences hold the difference of expectations.

Rows share a part of every image, as samples that start from the same noise do: alike rows (a
little of another part), ablations (half), and unlike rows (nothing in common).
"""

from dataclasses import replace

import numpy as np
import pytest

from bench.coverage import NAMES, compare_batches, compute_coverage
from eval.metrics.reference import Reference
from eval.networks.features import Features

DIMS, NUM, NUM_DRAWS = 6, 200, 200
SHARED = {"alike": 0.995, "ablation": 0.7, "unlike": 0.0}


def make_features(latent: np.ndarray, scale: float) -> Features:
    pool = (scale * latent).astype(np.float32)
    logits = np.exp(2 * pool[:, :4].astype(np.float64))
    softmax = (logits / logits.sum(axis=1, keepdims=True)).astype(np.float32)
    return Features(len(pool), pool=pool, spatial=pool[:, ::2].copy(), softmax=softmax)


def make_reference(rng: np.random.Generator) -> Reference:
    pool = rng.normal(size=(500, DIMS)).astype(np.float32)
    covariance = np.eye(DIMS)
    return Reference(
        mu=np.zeros(DIMS),
        sigma=covariance,
        mu_s=np.zeros(DIMS // 2),
        sigma_s=covariance[::2, ::2],
        pool=pool,
        num_images=500,
        num_stored=500,
        path="reference",
        sha256="",
    )


@pytest.mark.slow
@pytest.mark.parametrize("shared", SHARED)
def test_coverage_of_differences(shared):
    rng = np.random.default_rng(1)
    weight = SHARED[shared]
    draws = {metric: [] for metric in NAMES}
    fixed = make_reference(rng)
    for _ in range(NUM_DRAWS):
        # Recall's interval speaks of other reference images too, those of the others do not.
        other = replace(fixed, pool=make_reference(rng).pool)
        common = rng.normal(size=(NUM, DIMS))
        own = rng.normal(size=(NUM, DIMS))
        batches = [
            make_features(common, 1.2),
            make_features(weight * common + (1 - weight**2) ** 0.5 * own, 1.25),
        ]
        references = {metric: other if metric == "recall" else fixed for metric in NAMES}
        for metric, compared in compare_batches(references, *batches).items():
            draws[metric].append(compared)
    for metric, compared in draws.items():
        coverage = compute_coverage(compared)
        print(f"{shared}: {metric}: {coverage:.3f}")
        # Two binomial deviations of 200 draws are 3 %.
        assert 0.91 <= coverage <= 0.995, metric
