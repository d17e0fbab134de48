"""The downsampling half of the UNet, which diffusion models, upsamplers and classifiers share.

Also the checks of an architecture: `make_unet` and `make_classifier` take the same switches,
those that the paper ablates (Tables 1, 2 and 6; hyperparameters in Appendix I).
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from adm.networks.attention import AttentionBlock
from adm.networks.blocks import Downsample, ResidualBlock, Stage, compute_timestep_embedding
from records.errors import UserError


def check_choice(where: str, name: str, value: object, choices: Sequence[str]) -> None:
    """Raise UserError unless `value` is one of `choices`."""
    if value not in choices:
        raise UserError(f"{where}: {name} is {value!r}; choose one of {', '.join(choices)}")


def check_architecture(
    where: str,
    *,
    image_size_px: int,
    channels: int,
    depth: int,
    channel_mult: Sequence[float],
    attention_resolutions: Sequence[int],
    heads: int | None,
    head_channels: int | None,
    dropout: float,
    embedding: str,
    qkv_order: str,
    num_groups: int,
    heads_upsample: int | None = None,
) -> None:
    """Refuse an architecture that cannot be built, or that would not be the one asked for.

    Args:
        where: what is being made; begins every message. The others: see `make_unet`.

    Raises:
        UserError: with what was got, what is needed and what to change.
    """
    check_choice(where, "embedding", embedding, ("adagn", "addition"))
    check_choice(where, "qkv_order", qkv_order, ("legacy", "new"))
    for name, value in (("channels", channels), ("depth", depth), ("num_groups", num_groups)):
        if value < 1:
            raise UserError(f"{where}: {name} is {value}; give a whole number of at least 1")
    if not channel_mult:
        raise UserError(
            f"{where}: channel_mult is empty; give one multiple of channels per level, such as "
            "1, 2, 2"
        )
    if not 0 <= dropout < 1:
        raise UserError(
            f"{where}: dropout is {dropout}; give a probability of at least 0 and below 1"
        )
    divisor = 2 ** (len(channel_mult) - 1)
    if image_size_px < divisor or image_size_px % divisor:
        raise UserError(
            f"{where}: image_size_px is {image_size_px}, but the {len(channel_mult)} levels of "
            f"channel_mult {list(channel_mult)} halve it {len(channel_mult) - 1} times; give a "
            f"multiple of {divisor}, or fewer levels"
        )
    resolutions = [image_size_px >> level for level in range(len(channel_mult))]
    absent = [size for size in attention_resolutions if size not in resolutions]
    if absent:
        raise UserError(
            f"{where}: attention_resolutions asks for {absent}, which no level has; the levels "
            f"are {resolutions} pixels wide (the middle block, at the last, always attends); ask "
            "only for those"
        )
    widths = [int(multiple * channels) for multiple in channel_mult]
    for multiple, width in zip(channel_mult, widths, strict=True):
        if width < 1 or width % num_groups:
            raise UserError(
                f"{where}: a level has {width} channels ({multiple} x {channels}), which "
                f"num_groups {num_groups} does not divide; change channels or channel_mult, or "
                f"set num_groups to a divisor of every width in {widths}"
            )
    if (heads is None) == (head_channels is None):
        raise UserError(
            f"{where}: heads is {heads} and head_channels is {head_channels}; give exactly one "
            "of them: the number of attention heads, or the channels of each"
        )
    if heads_upsample is not None and heads is None:
        raise UserError(
            f"{where}: heads_upsample is {heads_upsample}, which counts heads, but head_channels "
            f"{head_channels} sets their width everywhere; drop heads_upsample, or give heads "
            "instead of head_channels"
        )
    attended = {
        width
        for width, size in zip(widths, resolutions, strict=True)
        if size in attention_resolutions
    }
    for name, value in (
        ("heads", heads),
        ("head_channels", head_channels),
        ("heads_upsample", heads_upsample),
    ):
        # The upsampling half attends only at the listed resolutions, the rest also in the middle.
        for width in sorted(attended if name == "heads_upsample" else attended | {widths[-1]}):
            if value is not None and (value < 1 or width % value):
                raise UserError(
                    f"{where}: {name} is {value}, but attention runs at {width} channels; give a "
                    f"divisor of {width}"
                )


class Trunk(nn.Module):
    """Timestep (and class) embedding, downsampling blocks and the middle block.

    Attribute names are those of the published checkpoints. Arguments: see `make_unet`; they are
    taken as checked.
    """

    def __init__(
        self,
        *,
        where: str,
        image_size_px: int,
        in_channels: int,
        channels: int,
        depth: int,
        channel_mult: Sequence[float],
        attention_resolutions: Sequence[int],
        heads: int | None,
        head_channels: int | None,
        num_classes: int | None,
        dropout: float,
        biggan_updown: bool,
        rescale_residual: bool,
        embedding: str,
        qkv_order: str,
        num_groups: int,
        conv_resample: bool,
    ) -> None:
        super().__init__()
        self.where = where
        self.image_channels = in_channels
        self.num_classes = num_classes
        self.channels = channels
        self.divisor = 2 ** (len(channel_mult) - 1)
        self.num_groups = num_groups
        self.qkv_order = qkv_order
        self.residual_settings = {
            "embedding_width": 4 * channels,
            "embedding": embedding,
            "num_groups": num_groups,
            "dropout": dropout,
            "rescale": rescale_residual,
        }
        self.widths = [int(multiple * channels) for multiple in channel_mult]
        self.resolutions = [image_size_px >> level for level in range(len(channel_mult))]

        self.time_embed = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.SiLU(), nn.Linear(4 * channels, 4 * channels)
        )
        if num_classes is not None:
            self.label_emb = nn.Embedding(num_classes, 4 * channels)
        width = self.widths[0]
        self.input_blocks = nn.ModuleList([Stage(nn.Conv2d(in_channels, width, 3, padding=1))])
        self.skip_widths = [width]
        for level, (width_out, size) in enumerate(zip(self.widths, self.resolutions, strict=True)):
            for _ in range(depth):
                layers: list[nn.Module] = [self.make_residual(width, width_out)]
                if size in attention_resolutions:
                    layers.append(self.make_attention(width_out, heads, head_channels))
                self.add_input(Stage(*layers), width_out)
                width = width_out
            if level < len(self.widths) - 1:
                if biggan_updown:
                    self.add_input(Stage(self.make_residual(width, width, resample="down")), width)
                else:
                    self.add_input(Stage(Downsample(width, conv=conv_resample)), width)
        self.middle_block = Stage(
            self.make_residual(width, width),
            self.make_attention(width, heads, head_channels),
            self.make_residual(width, width),
        )

    def add_input(self, stage: Stage, width: int) -> None:
        """Append a downsampling stage and remember the width that its skip connection will have."""
        self.input_blocks.append(stage)
        self.skip_widths.append(width)

    def make_residual(
        self, width_in: int, width_out: int, resample: str | None = None
    ) -> ResidualBlock:
        """Make a residual block with the settings that all blocks of the network share."""
        return ResidualBlock(width_in, width_out, resample=resample, **self.residual_settings)

    def make_attention(
        self, width: int, heads: int | None, head_channels: int | None
    ) -> AttentionBlock:
        """Make an attention block of a number of heads, or of as many as fit a width per head."""
        if head_channels is not None:
            heads = width // head_channels
        assert heads is not None  # check_architecture demands exactly one of the two
        return AttentionBlock(
            width, num_heads=heads, num_groups=self.num_groups, qkv_order=self.qkv_order
        )

    def check_input(self, x_t: Tensor, t: Tensor) -> None:
        """Refuse images and timesteps whose shapes the network cannot process."""
        if x_t.ndim != 4 or x_t.shape[1] != self.image_channels:
            raise UserError(
                f"{self.where}: x_t has shape {list(x_t.shape)}; the model was made for images of "
                f"{self.image_channels} channels, so give [n, {self.image_channels}, height, width]"
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
        sinusoids = compute_timestep_embedding(t, self.channels)
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
