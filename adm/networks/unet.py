"""The UNet of diffusion models and upsamplers (ADM, section 3 and Appendix I)."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adm.networks.blocks import GroupNorm, Stage, Upsample, zeroed
from adm.networks.trunk import Trunk, check_architecture
from records.errors import UserError


class UNet(Trunk):
    """Downsampling half, middle block, and an upsampling half that reads every skip connection.

    Made by `make_unet`. `state_dict` has the names, shapes and order of the published checkpoints.
    """

    def __init__(
        self,
        *,
        image_size_px: int,
        in_channels: int,
        out_channels: int,
        depth: int,
        attention_resolutions: Sequence[int],
        heads: int | None,
        head_channels: int | None,
        heads_upsample: int | None,
        biggan_updown: bool,
        conv_resample: bool,
        low_res_px: int | None,
        **settings: Any,
    ) -> None:
        super().__init__(
            where="UNet",
            image_size_px=image_size_px,
            in_channels=in_channels if low_res_px is None else 2 * in_channels,
            depth=depth,
            attention_resolutions=attention_resolutions,
            heads=heads,
            head_channels=head_channels,
            biggan_updown=biggan_updown,
            conv_resample=conv_resample,
            **settings,
        )
        self.image_channels = in_channels  # the small image takes the other half
        self.low_res_px = low_res_px
        self.output_blocks = nn.ModuleList()
        skip_widths = list(self.skip_widths)
        width = self.widths[-1]
        for level in reversed(range(len(self.widths))):
            for index in range(depth + 1):
                layers: list[nn.Module] = [
                    self.make_residual(width + skip_widths.pop(), self.widths[level])
                ]
                width = self.widths[level]
                if self.resolutions[level] in attention_resolutions:
                    layers.append(
                        self.make_attention(width, heads_upsample or heads, head_channels)
                    )
                if level > 0 and index == depth:
                    layers.append(
                        self.make_residual(width, width, resample="up")
                        if biggan_updown
                        else Upsample(width, conv=conv_resample)
                    )
                self.output_blocks.append(Stage(*layers))
        self.out = nn.Sequential(
            GroupNorm(self.num_groups, width),
            nn.SiLU(),
            zeroed(nn.Conv2d(width, out_channels, 3, padding=1)),
        )

    def forward(
        self, x_t: Tensor, t: Tensor, y: Tensor | None = None, low_res: Tensor | None = None
    ) -> Tensor:
        """Predict the noise, and with twice the channels also the interpolation of the variance.

        Args:
            x_t: noisy images, [n, in_channels, h, w]; any h and w that the levels divide.
            t: timesteps of the full chain, [n], integer or fractional.
            y: class indices, [n]; exactly for conditional models.
            low_res: clean small images in [-1, 1], [n, in_channels, h', w']; exactly for
                upsamplers. Enlarged bilinearly (align_corners False) and put after x_t channel by
                channel (Appendix I).

        Returns:
            [n, out_channels, h, w] in the dtype of `x_t`.

        Raises:
            UserError: if an input is missing, unwanted or of the wrong shape, or a label is out
            of range.
        """
        self.check_input(x_t, t)
        activated = self.embed(t, y)
        h, skips = self.encode(self.add_low_res(x_t, low_res), activated)
        for stage in self.output_blocks:
            h = stage(torch.cat([h, skips.pop()], dim=1), activated)
        return self.out(h).to(x_t.dtype)

    def add_low_res(self, x_t: Tensor, low_res: Tensor | None) -> Tensor:
        """Concatenate the enlarged small image after `x_t`; without upsampling return `x_t`."""
        if self.low_res_px is None:
            if low_res is not None:
                raise UserError(
                    "UNet: low_res was given, but the model is not an upsampler (low_res_px is "
                    "None); leave low_res out"
                )
            return x_t
        if low_res is None:
            raise UserError(
                f"UNet: low_res is missing; this upsampler enlarges images of {self.low_res_px} "
                f"pixels, so give low_res of shape [{x_t.shape[0]}, {x_t.shape[1]}, "
                f"{self.low_res_px}, {self.low_res_px}]"
            )
        if low_res.ndim != 4 or low_res.shape[:2] != x_t.shape[:2]:
            raise UserError(
                f"UNet: low_res has shape {list(low_res.shape)} and x_t {list(x_t.shape)}; give "
                "as many small images as noisy ones, with the same channels"
            )
        enlarged = F.interpolate(low_res, size=x_t.shape[2:], mode="bilinear", align_corners=False)
        return torch.cat([x_t, enlarged.to(x_t.dtype)], dim=1)


def make_unet(
    *,
    image_size_px: int,
    out_channels: int,
    channels: int,
    depth: int,
    channel_mult: Sequence[float],
    attention_resolutions: Sequence[int],
    biggan_updown: bool,
    in_channels: int = 3,
    heads: int | None = None,
    head_channels: int | None = None,
    heads_upsample: int | None = None,
    num_classes: int | None = None,
    dropout: float = 0.0,
    rescale_residual: bool = False,
    embedding: str = "adagn",
    qkv_order: str = "legacy",
    num_groups: int = 32,
    conv_resample: bool = True,
    low_res_px: int | None = None,
) -> UNet:
    """Make the UNet of a diffusion model or an upsampler.

    The defaults and the switches are ADM's (Appendix I, Tables 1, 2 and 6). Parameters start as
    torch's layers do, except that the last convolution of every residual block, the projection of
    every attention block and the output convolution start at zero.

    Args:
        image_size_px: height and width of the images that the levels are counted from; a multiple
            of 2^(levels - 1).
        out_channels: in_channels, or twice that to learn the variance (Nichol and Dhariwal 2021).
        channels: base width.
        depth: residual blocks per resolution of the downsampling half; the upsampling half has
            one more.
        channel_mult: width of each level as a multiple of `channels`, from the largest map to the
            smallest.
        attention_resolutions: heights in pixels of the maps with attention; the middle block
            always has it.
        biggan_updown: resample inside residual blocks (Table 1) instead of by a convolution.
        in_channels: channels of the images.
        heads: attention heads at every resolution. Exactly one of `heads` and `head_channels` is
            given.
        head_channels: channels per head (Table 2).
        heads_upsample: heads in the upsampling half if not `heads`.
        num_classes: classes of a conditional model, None for an unconditional one.
        dropout: probability before the last convolution of every residual block.
        rescale_residual: multiply the output of every residual block by 1/sqrt(2) (Table 1).
        embedding: "adagn" or "addition" (Table 6).
        qkv_order: order of the joint projection, "legacy" or "new"; of the released diffusion
            models only that at 64x64 has "new".
        num_groups: groups of every normalisation; 32 in all models of the paper.
        conv_resample: without `biggan_updown`, convolve when resampling.
        low_res_px: size of the small images that an upsampler enlarges; None for a diffusion model.

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
        "heads_upsample": heads_upsample,
        "dropout": dropout,
        "embedding": embedding,
        "qkv_order": qkv_order,
        "num_groups": num_groups,
    }
    check_architecture("make_unet", **shared)
    if in_channels < 1 or out_channels not in (in_channels, 2 * in_channels):
        raise UserError(
            f"make_unet: out_channels is {out_channels} for in_channels {in_channels}; give "
            "in_channels to predict the noise alone, or twice that to learn the variance too"
        )
    if num_classes is not None and num_classes < 1:
        raise UserError(
            f"make_unet: num_classes is {num_classes}; give at least 1, or None for an "
            "unconditional model"
        )
    if low_res_px is not None and not 0 < low_res_px < image_size_px:
        raise UserError(
            f"make_unet: low_res_px is {low_res_px} for images of {image_size_px} pixels; an "
            "upsampler needs a smaller size, a diffusion model none at all"
        )
    return UNet(
        **shared,
        in_channels=in_channels,
        out_channels=out_channels,
        num_classes=num_classes,
        biggan_updown=biggan_updown,
        rescale_residual=rescale_residual,
        conv_resample=conv_resample,
        low_res_px=low_res_px,
    )
