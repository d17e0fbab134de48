import numpy as np
import pytest
import torch

from eval.metrics import distance_bounds
from eval.metrics.distance_bounds import (
    compute_bounds,
    compute_listed_bounds,
    make_left,
    make_point_sets,
    round_limits,
)


def make_features(kind, num_images, seed, dims=600):
    """Features of 600 dimensions: in few directions, in all, or far from the origin."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(num_images, dims))
    loadings = np.random.default_rng(9).normal(size=(20, dims))
    low_rank = rng.normal(size=(num_images, 20)) @ loadings
    return {
        "in few directions": np.maximum(low_rank + 0.1 * noise, 0),
        "in all directions": noise,
        "far from the origin": low_rank + 0.1 * noise + 1000,
        "beyond float16": 1e5 * np.maximum(low_rank + 0.1 * noise, 0),
        "in one direction": noise[:, :1] * np.ones(dims),
        "with dead dimensions": noise * (np.arange(dims) < 10),
    }[kind].astype(np.float32)


KINDS = [
    "in few directions",
    "in all directions",
    "far from the origin",
    "beyond float16",
    "in one direction",
    "with dead dimensions",
]


@pytest.fixture
def always_narrow(monkeypatch):
    monkeypatch.setattr(distance_bounds, "MIN_POINTS", 1)
    monkeypatch.setattr(distance_bounds, "PAIR_COST", 0)


def compute_scaled(first, second):
    difference = first.features.double()[:, None] - second.features.double()
    return difference.square().sum(dim=2) * first.scale


@pytest.mark.usefixtures("always_narrow")
@pytest.mark.parametrize("kind", KINDS)
def test_bounds_are_bounds_and_the_full_ones_are_close(kind):
    first, second = make_point_sets([make_features(kind, 70, 1), make_features(kind, 50, 2)])
    assert [vectors.shape[1] for vectors in first.vectors] == [64 + 2, 600 + 2]
    for own, other in ((first, second), (first, first)):
        exact = compute_scaled(own, other)
        for vectors, others in zip(own.vectors, other.vectors, strict=True):
            bounds = compute_bounds(make_left(vectors, 80), others, torch.empty(80 * 80))
            assert (bounds[:70].double() <= exact).all()
            assert (bounds[70:] == torch.inf).all()
        upper = bounds[:70] + own.slack[:, None] + other.slack
        assert (upper.double() >= exact).all()
        assert (upper - bounds[:70]).max() <= 1e-3 * exact.max()


def test_bounds_of_listed_pairs_are_those_of_all():
    (points,) = make_point_sets([make_features("in all directions", 60, 1)])
    left = make_left(points.vectors[-1], 64)
    everything = compute_bounds(left, points.vectors[-1], torch.empty(64 * 60))
    rows, columns = (torch.rand(60, 60, generator=torch.manual_seed(0)) < 0.2).nonzero(
        as_tuple=True
    )
    listed = compute_listed_bounds(left, points.vectors[-1], rows, columns)
    torch.testing.assert_close(listed, everything[rows, columns], rtol=1e-4, atol=1e-4)
    nothing = torch.empty(0, dtype=torch.int64)
    assert compute_listed_bounds(left, points.vectors[-1], nothing, nothing).shape == (0,)


def test_a_narrow_screen_is_made_only_where_it_pays():
    few = make_point_sets([make_features("in few directions", 4100, 1, dims=256)])[0]
    assert [vectors.shape[1] for vectors in few.vectors] == [64 + 2, 256 + 2]
    every = make_point_sets([make_features("in all directions", 4100, 1, dims=256)])[0]
    assert [vectors.shape[1] for vectors in every.vectors] == [256 + 2]
    small = make_point_sets([make_features("in few directions", 100, 1, dims=256)])[0]
    assert [vectors.shape[1] for vectors in small.vectors] == [256 + 2]


def test_products_are_in_full_float32_whatever_the_process_allows():
    points = make_point_sets([make_features("in all directions", 64, 1)])[0].vectors[0]
    expected = compute_bounds(make_left(points, 64), points, torch.empty(64 * 64))
    backends = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend, precision in zip(backends, ("tf32", "bf16"), strict=True):
            backend.fp32_precision = precision
        found = compute_bounds(make_left(points, 64), points, torch.empty(64 * 64))
        assert [backend.fp32_precision for backend in backends] == ["tf32", "bf16"]
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_limits_are_rounded_upwards():
    limits = torch.from_numpy(np.random.default_rng(0).exponential(size=1000))
    for scale in (1.0, 2.0**-60, 2.0**60):
        assert (round_limits(limits, scale).double() >= limits * scale).all()
        assert (round_limits(limits, scale).double() <= limits * scale * 1.000001 + 1e-29).all()
    assert round_limits(torch.tensor([0.0, torch.inf]).double(), 1.0).tolist() == [
        distance_bounds.SMALLEST,
        torch.inf,
    ]
