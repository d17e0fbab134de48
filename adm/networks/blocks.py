"""Convolutional layers of the diffusion UNet, the upsampler and the classifier.

Attribute names (`in_layers`, `emb_layers`, `out_layers`, `skip_connection`, `op`, `conv`) are
those of the published checkpoints, so that released weights load strictly. Feature maps are [n,
c, h, w].
"""

import math
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adm.networks.dropout import SampleDropout

SQRT_HALF = math.sqrt(0.5)
Made = TypeVar("Made", bound=nn.Module)


def compute_timestep_embedding(t: Tensor, width: int) -> Tensor:
    """Embed timesteps in sines and cosines of geometric frequencies.

    [cos(t w_0) ... cos(t w_{h-1}), sin(t w_0) ... sin(t w_{h-1})] with h = width // 2 and
    w_k = 10000^(-k/h): the embedding of Ho et al. (2020), which ADM inherits. An odd width ends in
    one zero.

    Args:
        t: timesteps of the full chain, [n], integer or fractional.
        width: length of one embedding.

    Returns:
        float32 [n, width].
    """
    half = width // 2
    exponent = torch.arange(half, dtype=torch.float32, device=t.device) / half
    angle = t.to(torch.float32)[:, None] * torch.exp(-math.log(10000) * exponent)
    return F.pad(torch.cat([angle.cos(), angle.sin()], dim=1), (0, width % 2))


def zeroed(module: Made) -> Made:
    """Set all parameters of a module to zero and return it.

    A residual branch, an attention block and the network itself then start as identity or zero
    (Ho et al. 2020), which is what lets deep stacks train from the first step.
    """
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


class GroupNorm(nn.GroupNorm):
    """Group normalisation in float32 whatever the precision of the input (eps 1e-5).

    norm(x) = (x - mean_g) / sqrt(var_g + eps) * weight + bias, mean and variance over all channels
    and positions of a group g (Wu and He 2018).
    """

    def forward(
        self, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None
    ) -> Tensor:
        """Normalise `x`; with scale and shift, adaptively.

        AdaGN(x, y) = (1 + y_s) norm(x) + y_b (ADM, section 3.1, where 1 + y_s is written y_s).

        Args:
            x: [n, c, ...].
            scale: y_s, [n, c], together with `shift`.
            shift: y_b, [n, c].

        Returns:
            Same shape and dtype as `x`.
        """
        # Contiguous, because torch's channels-last kernel on the CPU takes the variance as
        # E[x^2] - E[x]^2: at a mean of ten deviations it is wrong by 2e-4, the other by 2e-6.
        h, weight, bias = x.float().contiguous(), self.weight.float(), self.bias.float()
        if scale is None:
            return F.group_norm(h, self.num_groups, weight, bias, self.eps).to(x.dtype)
        # One affine map per sample: seen as one sample of n*c channels in n*groups groups, the
        # normalisation kernel applies it itself. Against a separate product and sum this took 0.7
        # of the time (forward and backward, 64 x 40 x 8 x 8, one CPU core) and holds two maps less.
        assert shift is not None
        n, c = x.shape[:2]
        gain = 1 + scale.float()
        weight = (weight * gain).reshape(-1)
        bias = torch.addcmul(shift.float(), bias, gain).reshape(-1)
        h = h.view(1, n * c, *x.shape[2:])
        h = F.group_norm(h, n * self.num_groups, weight, bias, self.eps)
        return h.view(x.shape).to(x.dtype)


def enlarge_twice(x: Tensor) -> Tensor:
    """Double height and width by repeating every pixel."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


def shrink_twice(x: Tensor) -> Tensor:
    """Halve height and width by averaging 2 x 2 pixels."""
    return F.avg_pool2d(x, 2)


RESAMPLE = {None: lambda x: x, "up": enlarge_twice, "down": shrink_twice}


class Downsample(nn.Module):
    """Halve a map without a residual block: strided 3 x 3 convolution, or plain average."""

    def __init__(self, width: int, *, conv: bool) -> None:
        super().__init__()
        self.op = nn.Conv2d(width, width, 3, stride=2, padding=1) if conv else nn.AvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, width, h, w] to [n, width, h / 2, w / 2]."""
        return self.op(x)


class Upsample(nn.Module):
    """Double a map without a residual block: repeat pixels, then an optional 3 x 3 convolution."""

    def __init__(self, width: int, *, conv: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1) if conv else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, width, h, w] to [n, width, 2h, 2w]."""
        return self.conv(enlarge_twice(x))


class ResidualBlock(nn.Module):
    """Residual block that hears timestep and class (ADM, section 3 and Table 1).

    h = conv(resample(silu(norm(x)))), then with e = linear(silu(embedding)):
    AdaGN     h = conv(dropout(silu((1 + e_s) norm(h) + e_b)))     (section 3.1, Table 6)
    addition  h = conv(dropout(silu(norm(h + e))))
    output    skip(resample(x)) + h, times 1/sqrt(2) when `rescale` (Table 1, as in Song et al.
    2021).

    BigGAN up- and downsampling (Brock et al. 2019) is this block with `resample` "up" or "down".

    Args:
        width_in: channels of the input.
        width_out: channels of the output; a 1 x 1 convolution adapts the skip branch when they
            differ.
        embedding_width: length of the embedding vector.
        embedding: "adagn" or "addition".
        num_groups: groups of both normalisations.
        dropout: probability in [0, 1).
        rescale: divide the sum by sqrt(2).
        resample: None, "up" or "down", applied to both branches before their convolution.
    """

    def __init__(
        self,
        width_in: int,
        width_out: int,
        *,
        embedding_width: int,
        embedding: str,
        num_groups: int,
        dropout: float,
        rescale: bool,
        resample: str | None = None,
    ) -> None:
        super().__init__()
        self.adaptive = embedding == "adagn"
        self.rescale = rescale
        self.resample = resample
        self.in_layers = nn.Sequential(
            GroupNorm(num_groups, width_in), nn.SiLU(), nn.Conv2d(width_in, width_out, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(
            nn.SiLU(), nn.Linear(embedding_width, width_out * (2 if self.adaptive else 1))
        )
        self.out_layers = nn.Sequential(
            GroupNorm(num_groups, width_out),
            nn.SiLU(),
            SampleDropout(dropout),
            zeroed(nn.Conv2d(width_out, width_out, 3, padding=1)),
        )
        same = width_in == width_out
        self.skip_connection = nn.Identity() if same else nn.Conv2d(width_in, width_out, 1)

    def forward(self, x: Tensor, activated: Tensor) -> Tensor:
        """Run the block.

        Args:
            x: [n, width_in, h, w].
            activated: silu(embedding), [n, embedding_width]. All blocks need the same SiLU, so
                the network computes it once; `emb_layers[0]` only keeps the linear layer's
                published name.

        Returns:
            [n, width_out, h', w'], h' = 2h, h/2 or h.
        """
        resample = RESAMPLE[self.resample]
        norm, _, conv = self.in_layers
        h = conv(resample(F.silu(norm(x))))
        norm, _, dropout, conv = self.out_layers
        e = self.emb_layers[1](activated)
        h = norm(h, *e.chunk(2, dim=1)) if self.adaptive else norm(h + e[:, :, None, None])
        h = self.skip_connection(resample(x)) + conv(dropout(F.silu(h)))
        return h * SQRT_HALF if self.rescale else h


class Stage(nn.Sequential):
    """Layers between two skip connections; the residual blocks among them hear the embedding."""

    def forward(self, h: Tensor, activated: Tensor) -> Tensor:
        """Run the layers in order; `activated` is silu(embedding), [n, embedding_width]."""
        for layer in self:
            h = layer(h, activated) if isinstance(layer, ResidualBlock) else layer(h)
        return h
