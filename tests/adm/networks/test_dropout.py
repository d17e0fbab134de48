"""Masks: right share, independent of each other, and a function of the sample alone."""

import pytest
import torch
from torch import nn

from adm.networks.dropout import SampleDropout, set_dropout_keys

SEED = 0x1234_5678_9ABC_DEF0


def drop(num_layers=1, samples=range(64), probability=0.3, seed=SEED, shape=(16, 8, 8)):
    """What layers make of ones."""
    network = nn.Sequential(
        nn.Linear(1, 1), *(SampleDropout(probability) for _ in range(num_layers))
    )
    set_dropout_keys(network, seed, samples)
    ones = torch.ones(len(samples), *shape)
    return [layer(ones) for layer in list(network)[1:]]


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_the_share_that_is_dropped_and_the_mean(probability):
    (found,) = drop(probability=probability)
    assert (found == 0).float().mean().item() == pytest.approx(probability, abs=0.005)
    assert found.mean().item() == pytest.approx(1.0, abs=0.03 * (1 if probability < 0.6 else 2))
    assert found.unique().tolist() == pytest.approx([0.0, 1 / (1 - probability)])


def test_samples_layers_seeds_and_places_are_independent():
    first, second = drop(num_layers=2)
    (other_seed,) = drop(seed=SEED + 1)
    (high_bits,) = drop(seed=SEED + (1 << 40))
    kept = (first > 0).float().flatten(1)
    pairs = {
        "layers": (second > 0).float().flatten(1),
        "seeds": (other_seed > 0).float().flatten(1),
        "high bits": (high_bits > 0).float().flatten(1),
        "samples": kept.roll(1, dims=0),
        "places": kept.roll(1, dims=1),
        "rows": kept.roll(8, dims=1),
    }
    for name, other in pairs.items():
        correlation = torch.corrcoef(torch.stack([kept.flatten(), other.flatten()]))[0, 1]
        assert abs(correlation.item()) < 4 / kept.numel() ** 0.5, name
    # As many samples agree in any two places as chance has it: no place has a mask of its own.
    shares = kept.mean(dim=0)
    assert shares.std().item() == pytest.approx((0.3 * 0.7 / 64) ** 0.5, rel=0.1)


def test_a_part_of_the_batch_has_the_masks_of_the_whole():
    (whole,) = drop(samples=range(8))
    parts = [drop(samples=range(start, start + 2))[0] for start in (0, 2, 4, 6)]
    assert torch.equal(torch.cat(parts), whole)


def hash_by_hand(value, key, other):
    x = value ^ key
    x = (x ^ x >> 16) * 0x7FEB352D + other & 0xFFFFFFFF
    x = (x ^ x >> 15) * 0x846CA68B & 0xFFFFFFFF
    return x ^ x >> 16


def test_the_masks_are_those_of_plain_integers():
    """These bits belong to the recipe of every model with dropout."""
    low, high = SEED & 0xFFFFFFFF, SEED >> 32
    for number, found in enumerate(drop(num_layers=2, samples=range(3, 6), shape=(16,))):
        by_layer = number * 0x9E3779B9 & 0xFFFFFFFF
        for index, row in zip(range(3, 6), found, strict=True):
            first = hash_by_hand(index, low ^ by_layer, high)
            second = hash_by_hand(index, first, low + by_layer & 0xFFFFFFFF)
            hashes = [hash_by_hand(place, first, second) for place in range(16)]
            assert [(one & 0x7FFFFFFF) >= int(0.3 * 2**31) for one in hashes] == (row > 0).tolist()


def test_nothing_is_dropped_outside_of_training_or_with_probability_0():
    layer, x = SampleDropout(0.5), torch.randn(2, 3)
    assert layer.eval()(x) is x
    assert SampleDropout(0.0)(x) is x
    with pytest.raises(AssertionError, match="set_dropout_keys"):
        layer.train()(x)


def test_gradients_flow_where_values_are_kept():
    network = nn.Sequential(nn.Linear(1, 1), SampleDropout(0.5))
    set_dropout_keys(network, SEED, range(2))
    x = torch.ones(2, 50, requires_grad=True)
    found = network[1](x)
    found.sum().backward()
    assert torch.equal(x.grad, found.detach())
