"""Layers against plain formulae and the reference's timestep embeddings."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from adm.networks.blocks import (
    Downsample,
    GroupNorm,
    ResidualBlock,
    Upsample,
    compute_timestep_embedding,
)
from adm.networks.dropout import set_dropout_keys

REFERENCE = "tests/data/reference/unet.npz"


def make_block(width_in=16, width_out=16, **settings):
    torch.manual_seed(0)
    settings = {"embedding": "adagn", "num_groups": 4, "dropout": 0.0, "rescale": False, **settings}
    block = ResidualBlock(width_in, width_out, embedding_width=8, **settings)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return block.eval()


@pytest.mark.parametrize("width", [32, 33, 192])
def test_timestep_embedding_equals_the_reference(width, pytestconfig):
    with np.load(pytestconfig.rootpath / REFERENCE, allow_pickle=False) as arrays:
        t = torch.from_numpy(arrays[f"timestep_embedding.{width}.t"])
        expected = torch.from_numpy(arrays[f"timestep_embedding.{width}.out"])
    found = compute_timestep_embedding(t, width)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_adaptive_normalisation_equals_its_formula():
    norm = GroupNorm(4, 16)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x, scale, shift = torch.randn(3, 16, 4, 6), torch.randn(3, 16), torch.randn(3, 16)
    plain = F.group_norm(x, 4, norm.weight, norm.bias, 1e-5)
    torch.testing.assert_close(norm(x), plain)
    expected = plain * (1 + scale[:, :, None, None]) + shift[:, :, None, None]
    torch.testing.assert_close(norm(x, scale, shift), expected, rtol=1e-5, atol=1e-5)
    channels_last = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(norm(channels_last, scale, shift), norm(x, scale, shift))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_normalisation_is_exact_far_from_zero(memory_format):
    x = torch.randn(2, 16, 8, 8) + 10
    expected = F.group_norm(x.double(), 4)
    found = GroupNorm(4, 16)(x.contiguous(memory_format=memory_format))
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("adaptive", [False, True])
def test_normalisation_of_half_precision_is_computed_in_float32(dtype, adaptive):
    # Squares of 600 overflow float16; the mean of 8 bits would be wrong in bfloat16.
    x = (torch.randn(2, 8, 4, 4) * 8 + 600).to(dtype)
    modulation = (torch.zeros(2, 8, dtype=dtype),) * 2 if adaptive else ()
    found = GroupNorm(2, 8).to(dtype)(x, *modulation)
    assert found.dtype == dtype
    torch.testing.assert_close(found, F.group_norm(x.float(), 2).to(dtype))


def test_normalisation_stays_in_float32_under_autocast():
    x = torch.randn(2, 8, 4, 4) + 100
    with torch.autocast("cpu", torch.bfloat16):
        found = GroupNorm(2, 8)(x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, F.group_norm(x, 2))


@pytest.mark.parametrize("embedding", ["adagn", "addition"])
@pytest.mark.parametrize("resample", [None, "up", "down"])
@pytest.mark.parametrize("width_out", [16, 24])
def test_residual_block_equals_its_formula(embedding, resample, width_out):
    block = make_block(width_out=width_out, embedding=embedding, resample=resample)
    x, activated = torch.randn(2, 16, 4, 6), torch.randn(2, 8)
    state = dict(block.named_parameters())

    def norm(h, name):
        return F.group_norm(h, 4, state[f"{name}.weight"], state[f"{name}.bias"], 1e-5)

    def conv(h, name):
        return F.conv2d(h, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)

    def resampled(h):
        if resample == "up":
            return h.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        if resample == "down":
            return h.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).mean(dim=(3, 5))
        return h

    h = conv(resampled(F.silu(norm(x, "in_layers.0"))), "in_layers.2")
    e = activated @ state["emb_layers.1.weight"].T + state["emb_layers.1.bias"]
    e = e[:, :, None, None]
    if embedding == "adagn":
        h = norm(h, "out_layers.0") * (1 + e[:, :width_out]) + e[:, width_out:]
    else:
        h = norm(h + e, "out_layers.0")
    h = conv(F.silu(h), "out_layers.3")
    skip = resampled(x)
    if width_out != 16:
        skip = F.conv2d(skip, state["skip_connection.weight"], state["skip_connection.bias"])
    torch.testing.assert_close(block(x, activated), skip + h, rtol=1e-4, atol=1e-4)


def test_rescaling_divides_the_sum_by_the_root_of_two():
    x, activated = torch.randn(2, 16, 4, 4), torch.randn(2, 8)
    plain = make_block()(x, activated)
    torch.testing.assert_close(make_block(rescale=True)(x, activated), plain / 2**0.5)


def test_a_fresh_residual_block_is_its_skip_connection():
    settings = {"embedding": "adagn", "num_groups": 4, "dropout": 0.0, "rescale": False}
    block = ResidualBlock(16, 16, embedding_width=8, **settings)
    x = torch.randn(2, 16, 4, 4)
    assert torch.equal(block(x, torch.randn(2, 8)), x)


def test_dropout_acts_in_training_only():
    x, activated = torch.randn(2, 16, 4, 4), torch.randn(2, 8)
    block = make_block(dropout=0.5)
    assert torch.equal(block(x, activated), block(x, activated))
    block.train()
    found = []
    for seed in (0, 0, 1):
        set_dropout_keys(block, seed, range(2))
        found.append(block(x, activated))
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


@pytest.mark.parametrize("conv", [True, False])
def test_resampling_layers_halve_and_double(conv):
    x = torch.randn(1, 4, 6, 8)
    small, large = Downsample(4, conv=conv)(x), Upsample(4, conv=conv)(x)
    assert small.shape == (1, 4, 3, 4)
    assert large.shape == (1, 4, 12, 16)
    if not conv:
        torch.testing.assert_close(small[0, 0, 0, 0], x[0, 0, :2, :2].mean())
        assert torch.equal(large[:, :, 1::2, 1::2], x)
