import dataclasses

import numpy as np
import pytest

from eval.networks.features import compute_features
from eval.networks.load import load_network
from tests.eval.conftest import make_source

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), dtype=np.uint8)


@pytest.fixture
def cached(network_path, tmp_path):
    return load_network(network_path, cache=tmp_path / "cache")


def refuse(images):
    raise AssertionError("the images went through the network")


def test_features_are_computed_once(cached, network):
    source = make_source(IMAGES)
    first = compute_features(source, cached)
    again = compute_features(source, dataclasses.replace(cached, run=refuse))
    plain = compute_features(source, network)
    for name in ("pool", "spatial", "softmax"):
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name))
        np.testing.assert_array_equal(getattr(again, name), getattr(plain, name))
    only = compute_features(source, dataclasses.replace(cached, run=refuse), outputs=["softmax"])
    assert only.pool is None and only.softmax is not None


@pytest.mark.parametrize("change", ["images", "rows", "network", "outputs"])
def test_what_is_of_something_else_is_computed(cached, change):
    source = make_source(IMAGES)
    compute_features(source, cached, outputs=["pool"])
    other = dataclasses.replace(cached, run=refuse)
    outputs = ["pool"]
    if change == "images":
        source = dataclasses.replace(source, sha256="1" * 64)
    elif change == "rows":
        source = source.take(np.arange(3))
    elif change == "network":
        other = dataclasses.replace(other, description={**cached.description, "sha256": "2" * 64})
    else:
        outputs = ["pool", "spatial"]
    with pytest.raises(AssertionError, match="went through the network"):
        compute_features(source, other, outputs=outputs)


@pytest.mark.parametrize("damage", ["cut", "flipped", "pickled", "short", "gone"])
def test_what_is_damaged_is_computed_again(cached, damage):
    source = make_source(IMAGES)
    first = compute_features(source, cached, outputs=["pool"])
    (path,) = cached.cache.iterdir()
    whole = path.read_bytes()
    if damage == "cut":
        path.write_bytes(whole[:-40])
    elif damage == "flipped":
        middle = len(whole) // 2
        path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    elif damage == "pickled":
        np.savez(path, features=np.array([None] * 20))
    elif damage == "short":
        np.savez(path, features=first.pool[:5])
    else:
        path.unlink()
    again = compute_features(source, cached, outputs=["pool"])
    np.testing.assert_array_equal(again.pool, first.pool)
    assert path.read_bytes() == whole


def test_a_cache_that_cannot_be_written_costs_no_features(network_path, tmp_path, capsys):
    (tmp_path / "cache").write_text("a file")
    cached = load_network(network_path, cache=tmp_path / "cache")
    assert compute_features(make_source(IMAGES), cached).pool.shape[0] == 20
    assert capsys.readouterr().err.startswith("warning: features are not kept: ")
