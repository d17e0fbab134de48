"""Dropout whose mask is a function of the sample, whatever the batch is split into.

torch's own dropout draws one mask after another: a batch in two halves, or on two GPUs, gets other
masks than the whole. Here the mask of a sample is a hash of a seed, the layer, the sample's index
in the whole batch and the place in its feature map. It is the same on every kind of device.
"""

import torch
from torch import Tensor, nn

MASK_31_BITS = 0x7FFFFFFF
# Multipliers of C. Wellons's search for 32-bit hashes of low bias; the second as a signed number.
FIRST_FACTOR, SECOND_FACTOR = 0x7FEB352D, 0x846CA68B - 2**32
GOLDEN = 0x9E3779B9 - 2**32


class SampleDropout(nn.Module):
    """Set values to 0 with a probability p, and multiply the others by 1 / (1 - p).

    Only in training. Before each pass `set_dropout_keys` says which samples are in it.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability
        self.keys: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Drop values of x [n, ...], n being the number of keys."""
        if not self.training or self.probability == 0:
            return x
        assert self.keys is not None, "set_dropout_keys comes before each pass in training"
        places = torch.arange(x[0].numel(), dtype=torch.int32, device=x.device)
        threshold = int(self.probability * 2**31)
        kept = _hash(places, *self.keys).bitwise_and_(MASK_31_BITS) >= threshold
        return x * kept.view(x.shape) * (1 / (1 - self.probability))


def set_dropout_keys(network: nn.Module, seed: int, samples: range) -> None:
    """Tell all dropout layers which samples the next pass is of.

    Args:
        network: its layers are numbered in the order of its modules.
        seed: 63 bits, another one for every iteration.
        samples: indices in the whole batch of those in the pass.
    """
    layers = [one for one in network.modules() if isinstance(one, SampleDropout)]
    if not any(one.probability for one in layers):
        return
    device = next(network.parameters()).device
    indices = torch.arange(samples.start, samples.stop, dtype=torch.int32, device=device)
    low, high = (_as_int32(half) for half in (seed & 0xFFFFFFFF, seed >> 32))
    for number, layer in enumerate(layers):
        by_layer = _as_int32(number * GOLDEN)
        first = _hash(indices, low ^ by_layer, high)
        layer.keys = (first[:, None], _hash(indices, first, low + by_layer)[:, None])


def _as_int32(value: int) -> int:
    return (value + 2**31) % 2**32 - 2**31


def _hash(values: Tensor, key: Tensor | int, other: Tensor | int) -> Tensor:
    """Hash int32 values under 64 bits of key: a bijection of 32 bits under each key."""
    x = values ^ key
    _xor_shifted(x, 16)
    x *= FIRST_FACTOR
    x += other
    _xor_shifted(x, 15)
    x *= SECOND_FACTOR
    _xor_shifted(x, 16)
    return x


def _xor_shifted(x: Tensor, num_bits: int) -> None:
    """x ^= x >> num_bits, in place, with zeros from the left, unlike torch's own shift."""
    x ^= (x >> num_bits).bitwise_and_((1 << (32 - num_bits)) - 1)
