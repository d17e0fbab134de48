"""The bench of coverage: right shares of known draws, and pairs of batches compared as on pages."""

import math

import numpy as np
import pytest

from bench.coverage import compare_batches, compute_coverage, measure_coverage
from eval.metrics.registry import compute_metrics
from tests.eval.test_pairing import make_features, make_reference


def test_coverage_of_known_draws():
    draws = [(one, one - 2.0, one + 2.0) for one in (-3.0, -1.0, 1.0, 3.0)]  # their mean is 0
    assert compute_coverage(draws) == 0.5
    # Half of all images in each draw: spread by 1 / sqrt(1 - 0.5), so that 1.0 and 1.5 become
    # 1.41 and 2.12, on both sides of 2.
    draws = [(one, one - 2.0, one + 2.0) for one in (-1.5, -1.0, 1.0, 1.5)]
    assert compute_coverage(draws) == 1.0
    assert compute_coverage(draws, part_drawn=0.5) == 0.5


def test_a_batch_and_itself_do_not_differ():
    rng = np.random.default_rng(0)
    features, reference = make_features(rng.normal(size=(60, 6)), 1.0), make_reference(rng)
    references = dict.fromkeys(("fid", "is", "recall"), reference)
    compared = compare_batches(references, features, features)
    assert compared["fid"] == compared["is"] == (0.0, 0.0, 0.0)
    half = 2.0010 / 502  # one image more that differs; Student's quantile at 59
    assert compared["recall"] == pytest.approx((0.0, -half, half), rel=1e-4)


def test_ratios_and_differences():
    rng = np.random.default_rng(0)
    reference, latent = make_reference(rng), rng.normal(size=(80, 6))
    batches = [make_features(latent, scale) for scale in (1.2, 2.0)]
    compared = compare_batches(dict.fromkeys(("fid", "precision"), reference), *batches)
    near, far = (
        compute_metrics(reference, one, metrics=["fid", "precision"])[0] for one in batches
    )
    ratio = near["fid"]["value"] / far["fid"]["value"]
    assert compared["fid"][0] == pytest.approx(math.log(ratio))
    difference = near["precision"]["value"] - far["precision"]["value"]
    assert compared["precision"][0] == pytest.approx(difference)


def test_every_metric_is_measured():
    rng = np.random.default_rng(0)
    reference, latent = make_reference(rng), rng.normal(size=(400, 6))
    left, right = (make_features(latent, scale) for scale in (1.2, 1.3))
    found = measure_coverage(
        reference, left, right, num_images=100, num_reference=100, num_draws=8, seed=0
    )
    assert list(found) == ["fid", "sfid", "is", "precision", "recall"]
    assert found["fid"]["effect"] < 0 < found["fid"]["half_width"]  # 1.2 is nearer to 1
    assert all(0 <= one["coverage"] <= 1 for one in found.values())
