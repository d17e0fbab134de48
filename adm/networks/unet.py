"""The UNet of diffusion models and upsamplers (ADM, section 3 and Appendix I)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adm.networks.blocks import GroupNorm, Stage, Upsample, zeroed
from adm.networks.trunk import Trunk
from records.errors import UserError
from specs.architecture import UNetArchitecture


class UNet(Trunk):
    """Downsampling half, middle block, and an upsampling half that reads every skip connection.

    Parameters start as torch's layers do, except that the last convolution of every residual block,
    the projection of every attention block and the output convolution start at zero. `state_dict`
    has the names, shapes and order of the published checkpoints.

    Args:
        architecture: every switch and size; it is valid by itself.
    """

    architecture: UNetArchitecture

    def __init__(self, architecture: UNetArchitecture) -> None:
        shape = architecture
        # An upsampler's small image takes the other half of the channels.
        super().__init__(
            shape,
            where="UNet",
            in_channels=shape.in_channels * (1 if shape.low_res_px is None else 2),
            num_classes=shape.num_classes,
        )
        self.output_blocks = nn.ModuleList()
        skip_widths = list(self.skip_widths)
        width = shape.widths[-1]
        for level in reversed(range(len(shape.widths))):
            for index in range(shape.depth + 1):
                layers: list[nn.Module] = [
                    self.make_residual(width + skip_widths.pop(), shape.widths[level])
                ]
                width = shape.widths[level]
                if self.resolutions[level] in shape.attention_resolutions:
                    layers.append(self.make_attention(width, shape.heads_upsample or shape.heads))
                if level > 0 and index == shape.depth:
                    layers.append(
                        self.make_residual(width, width, resample="up")
                        if shape.biggan_updown
                        else Upsample(width, conv=shape.conv_resample)
                    )
                self.output_blocks.append(Stage(*layers))
        self.out = nn.Sequential(
            GroupNorm(shape.num_groups, width),
            nn.SiLU(),
            zeroed(nn.Conv2d(width, shape.out_channels, 3, padding=1)),
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
        small = self.architecture.low_res_px
        if small is None:
            if low_res is not None:
                raise UserError(
                    "UNet: low_res was given, but the model is not an upsampler (low_res_px is "
                    "None); leave low_res out"
                )
            return x_t
        if low_res is None:
            raise UserError(
                f"UNet: low_res is missing; this upsampler enlarges images of {small} pixels, so "
                f"give low_res of shape [{x_t.shape[0]}, {x_t.shape[1]}, {small}, {small}]"
            )
        if low_res.ndim != 4 or low_res.shape[:2] != x_t.shape[:2]:
            raise UserError(
                f"UNet: low_res has shape {list(low_res.shape)} and x_t {list(x_t.shape)}; give "
                "as many small images as noisy ones, with the same channels"
            )
        enlarged = F.interpolate(low_res, size=x_t.shape[2:], mode="bilinear", align_corners=False)
        return torch.cat([x_t, enlarged.to(x_t.dtype)], dim=1)
