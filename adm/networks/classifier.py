"""The noise-aware image classifier that guides sampling (ADM, section 4 and Appendix I)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from adm.networks.attention import AttentionPool
from adm.networks.blocks import GroupNorm, zeroed
from adm.networks.trunk import Trunk, check_architecture, check_choice
from records.errors import UserError

# Features of the hidden layer of both spatial pools, fixed by the published architecture.
SPATIAL_POOL_WIDTH = 2048
POOLS = ("attention", "adaptive", "spatial", "spatial_v2")


class Classifier(Trunk):
    """The downsampling trunk of the UNet with a pool that answers with logits.

    Made by `make_classifier`. `state_dict` has the names, shapes and order of the published
    checkpoints.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        head_channels: int | None,
        pool: str,
        **settings: Any,
    ) -> None:
        # The trunk's num_classes is a label to condition on; a classifier hears only the timestep.
        super().__init__(
            where="classifier", head_channels=head_channels, num_classes=None, **settings
        )
        width = self.widths[-1]
        self.pool = pool
        self.image_size_px = self.resolutions[0]
        if pool == "attention":
            assert head_channels is not None  # as make_classifier demands
            answer = AttentionPool(
                width,
                num_positions=self.resolutions[-1] ** 2,
                num_heads=width // head_channels,
                width_out=num_classes,
            )
            layers = [GroupNorm(self.num_groups, width), nn.SiLU(), answer]
        elif pool == "adaptive":
            answer = zeroed(nn.Conv2d(width, num_classes, 1))
            layers = [
                GroupNorm(self.num_groups, width),
                nn.SiLU(),
                nn.AdaptiveAvgPool2d(1),
                answer,
                nn.Flatten(),
            ]
        else:
            hidden = nn.Linear(sum(self.skip_widths) + width, SPATIAL_POOL_WIDTH)
            answer = nn.Linear(SPATIAL_POOL_WIDTH, num_classes)
            if pool == "spatial":
                layers = [hidden, nn.ReLU(), answer]
            else:
                layers = [hidden, GroupNorm(self.num_groups, SPATIAL_POOL_WIDTH), nn.SiLU(), answer]
        self.out = nn.Sequential(*layers)

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Classify noisy images.

        Args:
            x_t: noisy images, [n, in_channels, h, w]; h and w are image_size_px for the attention
                pool.
            t: timesteps of the full chain, [n], integer or fractional.

        Returns:
            logits of p(y | x_t, t), [n, num_classes], in the dtype of `x_t`.

        Raises:
            UserError: if a shape does not fit.
        """
        self.check_input(x_t, t)
        if self.pool == "attention" and x_t.shape[2:] != (self.image_size_px, self.image_size_px):
            raise UserError(
                f"classifier: x_t is {x_t.shape[2]} x {x_t.shape[3]} pixels, but attention "
                "pooling has one learned position per pixel of the last map; give images of "
                f"{self.image_size_px} x {self.image_size_px}"
            )
        h, skips = self.encode(x_t, self.embed(t, None))
        if self.pool in ("spatial", "spatial_v2"):
            h = torch.cat([feature.mean(dim=(2, 3)) for feature in (*skips, h)], dim=1)
        return self.out(h).to(x_t.dtype)


def make_classifier(
    *,
    image_size_px: int,
    num_classes: int,
    channels: int,
    depth: int,
    channel_mult: Sequence[float],
    attention_resolutions: Sequence[int],
    biggan_updown: bool,
    in_channels: int = 3,
    heads: int | None = None,
    head_channels: int | None = None,
    dropout: float = 0.0,
    rescale_residual: bool = False,
    embedding: str = "adagn",
    qkv_order: str = "legacy",
    num_groups: int = 32,
    conv_resample: bool = True,
    pool: str = "attention",
) -> Classifier:
    """Make a classifier of noisy images.

    Initialised as `make_unet` does; the last layer starts at zero only in the adaptive pool.

    Args:
        image_size_px: height and width of the images; a multiple of 2^(levels - 1).
        num_classes: number of logits.
        pool: what turns maps into logits. "attention": attention at a mean token over the middle
            block's output (the paper's; it needs `head_channels`). "adaptive": their mean through
            a linear layer. "spatial" and "spatial_v2": means of every block's map through a
            perceptron with ReLU, or normalisation and SiLU.
        channels, depth, channel_mult, attention_resolutions, biggan_updown, in_channels, heads,
        head_channels,
            dropout, rescale_residual, embedding, qkv_order, num_groups, conv_resample: as in
                `adm.networks.unet.make_unet`.

    Returns:
        The network, in training mode, on the default device.

    Raises:
        UserError: if the architecture cannot be built as asked.
    """
    shared = {
        "image_size_px": image_size_px,
        "channels": channels,
        "depth": depth,
        "channel_mult": channel_mult,
        "attention_resolutions": attention_resolutions,
        "heads": heads,
        "head_channels": head_channels,
        "dropout": dropout,
        "embedding": embedding,
        "qkv_order": qkv_order,
        "num_groups": num_groups,
    }
    check_architecture("make_classifier", **shared)
    if in_channels < 1 or num_classes < 1:
        raise UserError(
            f"make_classifier: in_channels is {in_channels} and num_classes {num_classes}; give at "
            "least 1 of each"
        )
    check_choice("make_classifier", "pool", pool, POOLS)
    if pool == "attention" and head_channels is None:
        raise UserError(
            f"make_classifier: pool 'attention' needs head_channels and got heads {heads}; give "
            "head_channels, the channels of each head, instead of heads, or choose another pool"
        )
    if pool == "spatial_v2" and SPATIAL_POOL_WIDTH % num_groups:
        raise UserError(
            f"make_classifier: pool 'spatial_v2' normalises {SPATIAL_POOL_WIDTH} features, which "
            f"num_groups {num_groups} does not divide; choose a power of two up to "
            f"{SPATIAL_POOL_WIDTH}, or another pool"
        )
    return Classifier(
        **shared,
        in_channels=in_channels,
        num_classes=num_classes,
        biggan_updown=biggan_updown,
        rescale_residual=rescale_residual,
        conv_resample=conv_resample,
        pool=pool,
    )
