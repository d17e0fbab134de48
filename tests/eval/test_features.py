import dataclasses

import numpy as np
import pytest
import torch

from eval.features import compute_features
from records.errors import UserError


def test_batches_of_any_size_give_the_same(network, digits):
    images = digits[0][:130, :, :, None]
    expected = compute_features(images, network, batch_size=130)
    for batch_size in (1, 64):
        found = compute_features(images, network, batch_size=batch_size)
        for name in ("pool", "spatial", "softmax"):
            left, right = getattr(expected, name), getattr(found, name)
            assert right.dtype == np.float32
            np.testing.assert_allclose(right, left, rtol=1e-4, atol=1e-5 * np.abs(left).max())


def test_softmax_sums_to_one(network, digits):
    features = compute_features(digits[0][:10, :, :, None], network)
    np.testing.assert_allclose(features.softmax.sum(axis=1), 1, rtol=1e-5)
    assert len(features) == 10 and len(features.take(np.array([1, 3]))) == 2


def test_float_images_are_refused(network):
    with pytest.raises(UserError, match=r"s.npz: images are float64"):
        compute_features(np.zeros((5, 8, 8, 3)), network, where="s.npz")


def test_broken_weights_are_told(network, digits):
    parameters = {**network.parameters, "conv_4.bias": torch.full((64,), torch.nan)}
    broken = dataclasses.replace(network, parameters=parameters)
    with pytest.raises(UserError, match=r"s.npz: 5 of 5 rows of features hold NaN"):
        compute_features(digits[0][:5, :, :, None], broken, where="s.npz")
