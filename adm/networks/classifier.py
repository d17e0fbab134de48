"""The noise-aware image classifier that guides sampling (ADM, section 4 and Appendix I)."""

import torch
from torch import Tensor, nn

from adm.networks.attention import AttentionPool
from adm.networks.blocks import GroupNorm, zeroed
from adm.networks.trunk import Trunk
from records.errors import UserError
from specs.architecture import SPATIAL_POOL_WIDTH, ClassifierArchitecture


class Classifier(Trunk):
    """The downsampling trunk of the UNet with a pool that answers with logits.

    Parameters start as the UNet's do; the last layer starts at zero only in the adaptive pool.
    `state_dict` has the names, shapes and order of the published checkpoints.

    Args:
        architecture: every switch and size; it is valid by itself.
    """

    architecture: ClassifierArchitecture

    def __init__(self, architecture: ClassifierArchitecture) -> None:
        shape = architecture
        # The trunk's num_classes is a label to condition on; a classifier hears only the timestep.
        super().__init__(shape, where="classifier", in_channels=shape.in_channels, num_classes=None)
        width = shape.widths[-1]
        if shape.pool == "attention":
            assert shape.head_channels is not None  # as the architecture demands
            answer = AttentionPool(
                width,
                num_positions=self.resolutions[-1] ** 2,
                num_heads=width // shape.head_channels,
                width_out=shape.num_classes,
            )
            layers = [GroupNorm(shape.num_groups, width), nn.SiLU(), answer]
        elif shape.pool == "adaptive":
            layers = [
                GroupNorm(shape.num_groups, width),
                nn.SiLU(),
                nn.AdaptiveAvgPool2d(1),
                zeroed(nn.Conv2d(width, shape.num_classes, 1)),
                nn.Flatten(),
            ]
        else:
            hidden = nn.Linear(sum(self.skip_widths) + width, SPATIAL_POOL_WIDTH)
            answer = nn.Linear(SPATIAL_POOL_WIDTH, shape.num_classes)
            if shape.pool == "spatial":
                layers = [hidden, nn.ReLU(), answer]
            else:
                norm = GroupNorm(shape.num_groups, SPATIAL_POOL_WIDTH)
                layers = [hidden, norm, nn.SiLU(), answer]
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
        size, pool = self.architecture.image_size_px, self.architecture.pool
        if pool == "attention" and x_t.shape[2:] != (size, size):
            raise UserError(
                f"classifier: x_t is {x_t.shape[2]} x {x_t.shape[3]} pixels, but attention "
                "pooling has one learned position per pixel of the last map; give images of "
                f"{size} x {size}"
            )
        h, skips = self.encode(x_t, self.embed(t, None))
        if pool in ("spatial", "spatial_v2"):
            h = torch.cat([feature.mean(dim=(2, 3)) for feature in (*skips, h)], dim=1)
        return self.out(h).to(x_t.dtype)
