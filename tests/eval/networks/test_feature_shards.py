"""A pass over images that is killed goes on after its last shard, with the same bytes."""

import dataclasses

import numpy as np
import pytest

from eval.networks import feature_shards
from eval.networks.features import OUTPUTS, compute_features
from eval.networks.load import load_network
from tests.eval.conftest import make_source

IMAGES = np.random.default_rng(0).integers(0, 256, (23, 8, 8, 1), dtype=np.uint8)


class Killed(Exception):
    pass


@pytest.fixture
def sharded(network_path, tmp_path, monkeypatch):
    monkeypatch.setattr(feature_shards, "SHARD_IMAGES", 8)
    return load_network(network_path, shards=tmp_path / "shards")


def stop_after(network, num_batches):
    """The network, killed after some batches; and the list of how many images each had."""
    seen = []

    def run(images):
        if len(seen) == num_batches:
            raise Killed
        seen.append(len(images))
        return network.run(images)

    return dataclasses.replace(network, run=run), seen


def compute(network):
    return compute_features(make_source(IMAGES), network, batch_size=4)


def test_a_killed_pass_goes_on(sharded, network):
    killed, seen = stop_after(sharded, 5)
    with pytest.raises(Killed):
        compute(killed)
    assert seen == [4] * 5  # of 20 images two shards of 8 are there
    assert len(list(sharded.shards.iterdir())) == 2
    second, seen = stop_after(sharded, 9)
    found, plain = compute(second), compute(network)
    assert seen == [4, 3]
    for name in OUTPUTS:
        np.testing.assert_array_equal(getattr(found, name), getattr(plain, name))
    # What is computed of the features may be killed too: a third pass reads the last 7 as well.
    third, seen = stop_after(sharded, 0)
    assert compute(third).pool.tobytes() == plain.pool.tobytes() and seen == []


def test_a_pass_whose_shards_reach_the_end_runs_nothing(sharded, network):
    source, plain = make_source(IMAGES[:16]), compute_features(make_source(IMAGES[:16]), network)
    kept = {name: getattr(plain, name) for name in OUTPUTS}
    shards = feature_shards.FeatureShards(source, sharded, kept)
    shards.keep(8)
    shards.keep(16)
    killed, _ = stop_after(sharded, 0)
    found = compute_features(source, killed, batch_size=4)
    for name in OUTPUTS:
        np.testing.assert_array_equal(getattr(found, name), getattr(plain, name))


def test_dropped_shards_leave_what_is_none_of_them(sharded):
    sharded.shards.mkdir()
    (sharded.shards / "mine").touch()
    compute(sharded)
    assert len(list(sharded.shards.iterdir())) == 4
    feature_shards.drop_shards(sharded)
    assert [path.name for path in sharded.shards.iterdir()] == ["mine"]
    (sharded.shards / "mine").unlink()
    feature_shards.drop_shards(sharded)
    assert not sharded.shards.exists()


def test_a_short_pass_has_none(sharded, network):
    compute_features(make_source(IMAGES[:7]), sharded, batch_size=4)
    assert not sharded.shards.exists()


@pytest.mark.parametrize("damage", ["cut", "gone", "short", "wide", "float64", "pickled"])
def test_what_is_damaged_is_computed_again(sharded, network, damage):
    killed, _ = stop_after(sharded, 5)
    with pytest.raises(Killed):
        compute(killed)
    first, _ = sorted(sharded.shards.iterdir(), key=lambda path: int(path.stem.split("-")[-1]))
    with np.load(first) as found:
        arrays = dict(found)
    if damage == "cut":
        first.write_bytes(first.read_bytes()[:-40])
    elif damage == "gone":
        first.unlink()
    else:
        arrays["pool"] = {
            "short": arrays["pool"][:3],
            "wide": arrays["pool"].repeat(2, axis=1),
            "float64": arrays["pool"].astype(np.float64),
            "pickled": np.array([None] * 8),
        }[damage]
        np.savez(first, **arrays)
    again, seen = stop_after(sharded, 9)
    found, plain = compute(again), compute(network)
    assert sum(seen) == 23
    for name in OUTPUTS:
        np.testing.assert_array_equal(getattr(found, name), getattr(plain, name))


def test_shards_of_other_images_do_not_count(sharded):
    killed, _ = stop_after(sharded, 5)
    with pytest.raises(Killed):
        compute(killed)
    first = set(sharded.shards.iterdir())
    other, seen = stop_after(sharded, 9)
    source = dataclasses.replace(make_source(255 - IMAGES), sha256="1" * 64)
    compute_features(source, other, batch_size=4)
    assert sum(seen) == 23
    assert first < set(sharded.shards.iterdir())


def test_a_folder_that_cannot_be_written_costs_no_features(sharded, capsys):
    sharded.shards.write_text("a file")
    assert compute(sharded).pool.shape[0] == 23
    assert capsys.readouterr().err.startswith("warning: features are not kept: ")
