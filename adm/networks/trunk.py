"""The downsampling half of the UNet, which diffusion models, upsamplers and classifiers share."""

import torch.nn.functional as F
from torch import Tensor, nn

from adm.networks.attention import AttentionBlock
from adm.networks.blocks import Downsample, ResidualBlock, Stage, compute_timestep_embedding
from records.errors import UserError
from specs.architecture import Architecture


class Trunk(nn.Module):
    """Timestep (and class) embedding, downsampling blocks and the middle block.

    Attribute names are those of the published checkpoints. `num_classes` is that of the labels to
    condition on, `in_channels` that of the first convolution.
    """

    def __init__(
        self, architecture: Architecture, *, where: str, in_channels: int, num_classes: int | None
    ) -> None:
        super().__init__()
        shape = architecture
        self.where = where
        self.architecture = architecture
        self.num_classes = num_classes
        self.divisor = 2 ** (len(shape.widths) - 1)
        self.resolutions = [shape.image_size_px >> level for level in range(len(shape.widths))]
        embedding_width = 4 * shape.channels
        self.time_embed = nn.Sequential(
            nn.Linear(shape.channels, embedding_width),
            nn.SiLU(),
            nn.Linear(embedding_width, embedding_width),
        )
        if num_classes is not None:
            self.label_emb = nn.Embedding(num_classes, embedding_width)
        width = shape.widths[0]
        self.input_blocks = nn.ModuleList([Stage(nn.Conv2d(in_channels, width, 3, padding=1))])
        self.skip_widths = [width]
        for level, (width_out, size) in enumerate(zip(shape.widths, self.resolutions, strict=True)):
            for _ in range(shape.depth):
                layers: list[nn.Module] = [self.make_residual(width, width_out)]
                if size in shape.attention_resolutions:
                    layers.append(self.make_attention(width_out, shape.heads))
                self.add_input(Stage(*layers), width_out)
                width = width_out
            if level < len(shape.widths) - 1:
                if shape.biggan_updown:
                    self.add_input(Stage(self.make_residual(width, width, resample="down")), width)
                else:
                    self.add_input(Stage(Downsample(width, conv=shape.conv_resample)), width)
        self.middle_block = Stage(
            self.make_residual(width, width),
            self.make_attention(width, shape.heads),
            self.make_residual(width, width),
        )

    def add_input(self, stage: Stage, width: int) -> None:
        """Append a downsampling stage and remember the width that its skip connection will have."""
        self.input_blocks.append(stage)
        self.skip_widths.append(width)

    def make_residual(
        self, width_in: int, width_out: int, resample: str | None = None
    ) -> ResidualBlock:
        """Make a residual block with the switches that all blocks of the network share."""
        shape = self.architecture
        return ResidualBlock(
            width_in,
            width_out,
            resample=resample,
            embedding_width=4 * shape.channels,
            embedding=shape.embedding,
            num_groups=shape.num_groups,
            dropout=shape.dropout,
            rescale=shape.rescale_residual,
        )

    def make_attention(self, width: int, heads: int | None) -> AttentionBlock:
        """Make an attention block of a number of heads, or of as many as fit a width per head."""
        shape = self.architecture
        if shape.head_channels is not None:
            heads = width // shape.head_channels
        assert heads is not None  # an architecture has exactly one of the two
        return AttentionBlock(
            width, num_heads=heads, num_groups=shape.num_groups, qkv_order=shape.qkv_order
        )

    def check_input(self, x_t: Tensor, t: Tensor) -> None:
        """Refuse images and timesteps whose shapes the network cannot process."""
        channels = self.architecture.in_channels
        if x_t.ndim != 4 or x_t.shape[1] != channels:
            raise UserError(
                f"{self.where}: x_t has shape {list(x_t.shape)}; the model was made for images of "
                f"{channels} channels, so give [n, {channels}, height, width]"
            )
        if x_t.shape[2] % self.divisor or x_t.shape[3] % self.divisor:
            raise UserError(
                f"{self.where}: x_t is {x_t.shape[2]} x {x_t.shape[3]} pixels; the levels "
                f"halve that, so give a height and width that are multiples of {self.divisor}"
            )
        if t.shape != x_t.shape[:1]:
            raise UserError(
                f"{self.where}: t has shape {list(t.shape)} for a batch of {x_t.shape[0]}; give "
                "one timestep per image"
            )

    def embed(self, t: Tensor, y: Tensor | None) -> Tensor:
        """Embed timesteps and classes: silu(mlp(sinusoids(t)) + table[y]) (ADM, section 3.1).

        Args:
            t: [n], on the scale of the full chain.
            y: [n] class indices, or None for an unconditional network.

        Returns:
            [n, 4 * channels].
        """
        if y is None and self.num_classes is not None:
            raise UserError(
                f"{self.where}: labels y are missing; the model is conditional on "
                f"{self.num_classes} classes, so give y with one class index per image"
            )
        sinusoids = compute_timestep_embedding(t, self.architecture.channels)
        embedding = self.time_embed(sinusoids.to(next(self.time_embed.parameters()).dtype))
        if y is not None:
            if self.num_classes is None:
                raise UserError(
                    f"{self.where}: labels y were given, but the model is unconditional "
                    "(num_classes is None); leave y out"
                )
            if y.shape != t.shape:
                raise UserError(
                    f"{self.where}: y has shape {list(y.shape)} for a batch of {t.shape[0]}; "
                    "give one label per image"
                )
            # On an accelerator this would wait for the device at every call.
            if (
                y.device.type == "cpu"
                and y.numel()
                and not 0 <= int(y.min()) <= int(y.max()) < self.num_classes
            ):
                raise UserError(
                    f"{self.where}: labels y run from {int(y.min())} to {int(y.max())}, but the "
                    f"model has {self.num_classes} classes; give indices from 0 to "
                    f"{self.num_classes - 1}"
                )
            embedding = embedding + self.label_emb(y)
        return F.silu(embedding)

    def encode(self, x: Tensor, activated: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Run the downsampling half and the middle block.

        Args:
            x: [n, in_channels, h, w].
            activated: what `embed` returned.

        Returns:
            The middle block's output and the outputs of all input blocks in order.
        """
        h = x.to(next(self.input_blocks.parameters()).dtype)
        skips = []
        for stage in self.input_blocks:
            h = stage(h, activated)
            skips.append(h)
        return self.middle_block(h, activated), skips
