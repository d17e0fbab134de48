"""Self-attention over feature maps, and the attention pool of the classifier.

Attribute names (`norm`, `qkv`, `proj_out`, `positional_embedding`, `qkv_proj`, `c_proj`) are
those of the published checkpoints. Inside attention tensors are token-major: [n, tokens, c].
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adm.networks.blocks import GroupNorm, zeroed


def split_heads(qkv: Tensor, num_heads: int, order: str) -> tuple[Tensor, ...]:
    """Split a joint projection into queries, keys and values per head, without copying.

    Args:
        qkv: [n, tokens, 3 * c].
        num_heads: number of heads; it divides c.
        order: "legacy" when channels are ordered (head, part, channel of the head), "new" when they
            are ordered (part, head, channel of the head), the parts being q, k and v.

    Returns:
        q, k, v, each [n, heads, tokens, c / heads].
    """
    n, tokens, width = qkv.shape
    d = width // (3 * num_heads)
    if order == "legacy":
        parts = qkv.view(n, tokens, num_heads, 3, d).transpose(2, 3)
    else:
        parts = qkv.view(n, tokens, 3, num_heads, d)
    return parts.permute(2, 0, 3, 1, 4).unbind(0)


def compute_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Scaled dot-product attention of all heads, heads joined again.

    softmax(q k^T / sqrt(d)) v (Vaswani et al. 2017, equation 1), d channels per head.

    Args:
        q: [n, heads, queries, d].
        k: [n, heads, tokens, d].
        v: [n, heads, tokens, d].

    Returns:
        [n, queries, heads * d].
    """
    # The fused kernel on token-major tensors was the fastest of five formulations, forward and
    # backward, in every size measured on one CPU core: 0.6 of explicit products at [64, heads
    # 1-10, 16 tokens, 8-40 channels] (0.85 at 80), 0.8-1.0 at 64 tokens, 0.5 at 1024.
    # Channel-major input makes it twice as slow, as its last axis must be contiguous.
    # It scales q k^T once where the authors scale q and k by d^(-1/4) each: equal but for rounding.
    h = F.scaled_dot_product_attention(q, k, v)
    return h.transpose(1, 2).reshape(h.shape[0], h.shape[2], -1)


class AttentionBlock(nn.Module):
    """Global self-attention over the positions of a map, added to it (ADM, section 3, Table 2).

    x + project(attention(qkv(norm(x)))); the projections are 1 x 1 convolutions by name and shape.

    Args:
        width: channels.
        num_heads: number of heads; it divides `width`.
        num_groups: groups of the normalisation.
        qkv_order: "legacy" or "new", see `split_heads`.
    """

    def __init__(self, width: int, *, num_heads: int, num_groups: int, qkv_order: str) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv_order = qkv_order
        self.norm = GroupNorm(num_groups, width)
        self.qkv = nn.Conv1d(width, 3 * width, 1)
        self.proj_out = zeroed(nn.Conv1d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, width, h, w] to the same shape."""
        tokens = self.norm(x).flatten(2).transpose(1, 2)  # [n, h*w, c]
        qkv = F.linear(tokens, self.qkv.weight.squeeze(-1), self.qkv.bias)  # [n, h*w, 3c]
        h = compute_attention(*split_heads(qkv, self.num_heads, self.qkv_order))
        h = F.linear(h, self.proj_out.weight.squeeze(-1), self.proj_out.bias)
        return x + h.transpose(1, 2).reshape(x.shape)


class AttentionPool(nn.Module):
    """Attention pooling: the answer of the mean token to all positions (ADM, section 4 and
    Appendix I).

    Tokens are the mean over positions followed by the positions, plus a learned positional
    embedding; the attention at the mean token is projected to the logits (as in CLIP, Radford et
    al. 2021).

    Args:
        width: channels of the map.
        num_positions: height times width of the map, fixed by the positional embedding.
        num_heads: number of heads; it divides `width`.
        width_out: number of logits.
    """

    def __init__(self, width: int, *, num_positions: int, num_heads: int, width_out: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.positional_embedding = nn.Parameter(torch.randn(width, num_positions + 1) / width**0.5)
        self.qkv_proj = nn.Conv1d(width, 3 * width, 1)
        self.c_proj = nn.Conv1d(width, width_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, width, h, w] to logits [n, width_out]."""
        tokens = x.flatten(2).transpose(1, 2)  # [n, h*w, c]
        tokens = torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)
        tokens = tokens + self.positional_embedding.t().to(tokens.dtype)
        qkv = F.linear(tokens, self.qkv_proj.weight.squeeze(-1), self.qkv_proj.bias)
        q, k, v = split_heads(qkv, self.num_heads, "new")
        h = compute_attention(q[:, :, :1], k, v)  # only the mean token is asked
        return F.linear(h[:, 0], self.c_proj.weight.squeeze(-1), self.c_proj.bias)
