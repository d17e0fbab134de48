import dataclasses

import numpy as np
import pytest

from eval.networks.features import compute_features
from records.errors import UserError
from tests.eval.conftest import make_source


def test_batches_of_any_size_give_the_same(network, digits):
    source = make_source(digits[0][:130, :, :, None])
    expected = compute_features(source, network, batch_size=130)
    for batch_size in (1, 64):
        found = compute_features(source, network, batch_size=batch_size)
        for name in ("pool", "spatial", "softmax"):
            left, right = getattr(expected, name), getattr(found, name)
            assert right.dtype == np.float32
            np.testing.assert_allclose(right, left, rtol=1e-4, atol=1e-5 * np.abs(left).max())


def test_softmax_sums_to_one(network, digits):
    features = compute_features(make_source(digits[0][:10, :, :, None]), network)
    np.testing.assert_allclose(features.softmax.sum(axis=1), 1, rtol=1e-5)
    part = features.take(np.array([1, 3]))
    assert features.num_images == 10 and part.num_images == len(part.pool) == 2


def test_only_what_is_asked_for_is_kept(network, digits):
    features = compute_features(make_source(digits[0][..., None]), network, outputs={"spatial"})
    assert features.pool is None and features.softmax is None
    assert features.spatial.shape == (1797, 112) and features.num_images == 1797
    assert features.take(np.arange(3)).pool is None


def test_broken_weights_are_told(network, digits):
    def run(images):
        pool, spatial, softmax = network.run(images)
        return np.full_like(pool, np.nan), spatial, softmax

    broken = dataclasses.replace(network, run=run)
    message = r"s.npz: pool of images from 0: 2 of 2 rows of features hold NaN"
    with pytest.raises(UserError, match=message):
        compute_features(
            make_source(digits[0][:5, :, :, None], "s.npz"), broken, outputs=(), batch_size=2
        )


def test_a_source_that_gives_less_than_it_said_is_told(network, digits):
    source = dataclasses.replace(make_source(digits[0][:5, :, :, None], "s.npz"), num_images=9)
    message = "s.npz: 5 images came out of it, 9 were announced; it changed meanwhile"
    with pytest.raises(UserError, match=message):
        compute_features(source, network)


def test_an_error_while_reading_arrives(network, digits):
    def iterate_batches(batch_size):
        yield digits[0][:2, :, :, None]
        raise UserError("s.npz: row 2 is damaged")

    source = dataclasses.replace(
        make_source(digits[0][:5, :, :, None]), iterate_batches=iterate_batches
    )
    with pytest.raises(UserError, match="row 2 is damaged"):
        compute_features(source, network)
