"""Attention against explicit loops over heads."""

import pytest
import torch

from adm.networks.attention import AttentionBlock, AttentionPool, split_heads


def attend(q, k, v):
    """One head, channel-major [d, tokens], both factors scaled as in the published code."""
    d = q.shape[0]
    weights = torch.softmax((q * d**-0.25).T @ (k * d**-0.25), dim=1)
    return v @ weights.T


@pytest.mark.parametrize("order", ["legacy", "new"])
@pytest.mark.parametrize("num_heads", [1, 3])
def test_heads_are_split_in_both_orders(order, num_heads):
    qkv = torch.arange(36).view(1, 1, 36).expand(2, 5, 36)
    d = 12 // num_heads
    parts = split_heads(qkv, num_heads, order)
    for part in range(3):
        for head in range(num_heads):
            first = (head * 3 + part) * d if order == "legacy" else part * 12 + head * d
            expected = torch.arange(first, first + d)
            assert torch.equal(parts[part][1, head, 4], expected)


@pytest.mark.parametrize("order", ["legacy", "new"])
@pytest.mark.parametrize(("num_heads", "size"), [(1, 2), (2, 4), (4, 4)])
def test_attention_block_equals_loops_over_heads(order, num_heads, size):
    torch.manual_seed(0)
    block = AttentionBlock(16, num_heads=num_heads, num_groups=4, qkv_order=order)
    torch.nn.init.normal_(block.proj_out.weight)
    x = torch.randn(2, 16, size, size + 1)
    tokens = torch.nn.functional.group_norm(x, 4).flatten(2)
    qkv = block.qkv(tokens)
    d = 16 // num_heads
    shape = (2, num_heads, 3, d, -1) if order == "legacy" else (2, 3, num_heads, d, -1)
    qkv = qkv.view(shape) if order == "legacy" else qkv.view(shape).transpose(1, 2)
    h = torch.stack([torch.cat([attend(*head) for head in sample]) for sample in qkv])
    expected = x + block.proj_out(h).view(x.shape)
    torch.testing.assert_close(block(x), expected, rtol=1e-5, atol=1e-5)


def test_a_fresh_attention_block_is_the_identity():
    x = torch.randn(2, 16, 4, 4)
    block = AttentionBlock(16, num_heads=2, num_groups=4, qkv_order="new")
    assert torch.equal(block(x), x)


def test_attention_pool_answers_at_the_mean_token():
    torch.manual_seed(0)
    pool = AttentionPool(8, num_positions=6, num_heads=2, width_out=5)
    x = torch.randn(3, 8, 2, 3)
    tokens = x.flatten(2)
    tokens = torch.cat([tokens.mean(dim=2, keepdim=True), tokens], dim=2)
    qkv = pool.qkv_proj(tokens + pool.positional_embedding).view(3, 3, 2, 4, 7).transpose(1, 2)
    h = torch.stack([torch.cat([attend(*head) for head in sample]) for sample in qkv])
    torch.testing.assert_close(pool(x), pool.c_proj(h)[:, :, 0], rtol=1e-5, atol=1e-5)
