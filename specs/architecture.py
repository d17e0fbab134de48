"""The switches of a network, those that the paper ablates (Tables 1, 2 and 6; Appendix I).

A scale writes the switches; with the sizes of images and classes they are an architecture, from
which `adm.networks` makes the network.
"""

from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import Field, model_validator

from records.limits import MAX_CLASSES
from specs.strict import Strict, validated

Positive = Annotated[int, Field(gt=0, le=2**53)]  # what every reader of JSON holds exactly
# Sizes and counts in a network, far beyond any: a header that says more is damaged or hostile.
Size = Annotated[int, Field(gt=0, le=MAX_CLASSES)]
MAX_DEPTH, MAX_LEVELS, MAX_MULTIPLE = 64, 17, 64
# Features of the hidden layer of both spatial pools, fixed by the published architecture.
SPATIAL_POOL_WIDTH = 2048


class Switches(Strict):
    """What networks of every kind have.

    Attributes:
        channels: base width.
        depth: residual blocks per resolution of the downsampling half; the upsampling half has
            one more.
        channel_mult: width of each level as a multiple of `channels`, from the largest map to the
            smallest.
        heads: attention heads at every resolution. Exactly one of `heads` and `head_channels` is
            given.
        head_channels: channels per head (Table 2).
        attention_resolutions: heights in pixels of the maps with attention; the middle block
            always has it.
        biggan_updown: resample inside residual blocks (Table 1) instead of by a convolution.
        embedding: adaptive group normalisation or addition (Table 6).
        qkv_order: order of the joint projection; of the released diffusion models only that at
            64x64 has "new".
        num_groups: groups of every normalisation; 32 in all models of the paper.
    """

    channels: Size
    depth: Annotated[int, Field(gt=0, le=MAX_DEPTH)]
    channel_mult: Annotated[
        list[Annotated[float, Field(le=MAX_MULTIPLE)]], Field(min_length=1, max_length=MAX_LEVELS)
    ]
    heads: Size | None
    head_channels: Size | None
    attention_resolutions: list[int]
    biggan_updown: bool
    embedding: Literal["adagn", "addition"]
    qkv_order: Literal["legacy", "new"]
    num_groups: Size

    @property
    def widths(self) -> list[int]:
        """Return the channels of each level, from the largest map to the smallest."""
        return [int(multiple * self.channels) for multiple in self.channel_mult]


class DiffusionSwitches(Switches):
    """The switches of a diffusion model or an upsampler.

    Attributes:
        rescale_residual: multiply the output of every residual block by 1/sqrt(2) (Table 1).
        dropout: probability before the last convolution of every residual block.
    """

    rescale_residual: bool
    dropout: Annotated[float, Field(ge=0, lt=1)]


class ClassifierSwitches(Switches):
    """The switches of a classifier.

    Attributes:
        pool: what turns maps into logits. "attention": attention at a mean token over the middle
            block's output (the paper's; it needs `head_channels`). "adaptive": their mean through
            a linear layer. "spatial" and "spatial_v2": means of every block's map through a
            perceptron with ReLU, or normalisation and SiLU.
    """

    pool: Literal["attention", "adaptive", "spatial", "spatial_v2"]


class UNetArchitecture(DiffusionSwitches):
    """The network of a diffusion model or an upsampler (`adm.networks.unet`).

    Attributes:
        image_size_px: height and width of the images that the levels are counted from.
        in_channels: channels of the images.
        out_channels: in_channels, or twice that to learn the variance (Nichol and Dhariwal 2021).
        num_classes: classes of a conditional model, None for an unconditional one.
        low_res_px: size of the small images that an upsampler enlarges; None for a diffusion model.
        heads_upsample: heads in the upsampling half if not `heads`.
        conv_resample: without `biggan_updown`, convolve when resampling.
    """

    image_size_px: Size
    in_channels: Size
    out_channels: Size
    num_classes: Size | None
    low_res_px: Size | None = None
    heads_upsample: Size | None = None
    conv_resample: bool = True

    @model_validator(mode="after")
    def _check(self) -> "UNetArchitecture":
        check_levels(self)
        if self.out_channels not in (self.in_channels, 2 * self.in_channels):
            raise ValueError(
                f"out_channels is {self.out_channels} for in_channels {self.in_channels}; give "
                "in_channels to predict the noise alone, or twice that to learn the variance too"
            )
        if self.low_res_px is not None and self.low_res_px >= self.image_size_px:
            raise ValueError(
                f"low_res_px is {self.low_res_px} for images of {self.image_size_px} px; an "
                "upsampler needs a smaller size, a diffusion model none at all"
            )
        return self


class ClassifierArchitecture(ClassifierSwitches):
    """The network of a classifier (`adm.networks.classifier`); for the rest see UNetArchitecture.

    Attributes:
        num_classes: number of logits.
    """

    image_size_px: Size
    in_channels: Size
    num_classes: Size
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    rescale_residual: bool = False
    conv_resample: bool = True

    @model_validator(mode="after")
    def _check(self) -> "ClassifierArchitecture":
        check_levels(self)
        if self.pool == "attention" and self.head_channels is None:
            raise ValueError(
                "head_channels: got null; pool attention needs it, not heads: give the channels of "
                "each head, or choose another pool"
            )
        if self.pool == "spatial_v2" and SPATIAL_POOL_WIDTH % self.num_groups:
            raise ValueError(
                f"pool spatial_v2 normalises {SPATIAL_POOL_WIDTH} features, which num_groups "
                f"{self.num_groups} does not divide; choose a power of two up to "
                f"{SPATIAL_POOL_WIDTH}, or another pool"
            )
        return self


Shape = TypeVar("Shape", bound=Switches)
Architecture: TypeAlias = UNetArchitecture | ClassifierArchitecture
# What the published models have unless a keyword says otherwise.
PUBLISHED: dict[type[Strict], dict[str, Any]] = {
    kind: {
        "in_channels": 3,
        "heads": None,
        "head_channels": None,
        "dropout": 0.0,
        "rescale_residual": False,
        "embedding": "adagn",
        "qkv_order": "legacy",
        "num_groups": 32,
        **own,
    }
    for kind, own in (
        (UNetArchitecture, {"num_classes": None}),
        (ClassifierArchitecture, {"pool": "attention"}),
    )
}


def make_architecture(kind: type[Strict], where: str, **keywords: Any) -> Any:
    """Make an architecture of keywords; those left out are as in the published models.

    Args:
        kind: UNetArchitecture or ClassifierArchitecture.
        where: begins every message.
        keywords: fields of that class.

    Raises:
        UserError: an unknown or missing keyword, or a network that cannot be built.
    """
    return validated(kind, {**PUBLISHED[kind], **keywords}, where)


def check_groups(shape: Shape) -> Shape:
    """Raise ValueError for groups of one channel: a small map is then normalised to its sign."""
    for width in shape.widths:
        if width < 2 * shape.num_groups:
            raise ValueError(
                f"num_groups {shape.num_groups} for a width of {width} channels; every width of "
                f"{shape.widths} must be a multiple of the groups with at least 2 channels each: "
                "take fewer groups"
            )
    return shape


def check_levels(shape: Architecture) -> None:
    """Raise ValueError unless levels divide the image, and heads and groups divide the widths."""
    levels, size = len(shape.channel_mult), shape.image_size_px
    factor = 2 ** (levels - 1)
    if size % factor or size // factor < 2:
        raise ValueError(
            f"channel_mult has {levels} levels, which halve image_size_px {size} {levels - 1} "
            f"times; the image must be a multiple of {factor} px and the smallest map at least "
            "2 px: take fewer levels"
        )
    sizes = [size >> level for level in range(levels)]
    absent = [one for one in shape.attention_resolutions if one not in sizes]
    if absent:
        raise ValueError(
            f"attention_resolutions: {absent} px are not among the maps of this model, {sizes} px; "
            "list only these (the middle block, at the last, always attends)"
        )
    for width in shape.widths:
        if width < 1 or width % shape.num_groups:
            raise ValueError(
                f"num_groups {shape.num_groups} for a width of {width} channels; every width of "
                f"{shape.widths} must be a positive multiple of the groups"
            )
    if (shape.heads is None) == (shape.head_channels is None):
        raise ValueError(
            f"heads {shape.heads} and head_channels {shape.head_channels}; give exactly one of "
            "them: the number of attention heads, or the channels of each"
        )
    upsample = shape.heads_upsample if isinstance(shape, UNetArchitecture) else None
    if upsample is not None and shape.heads is None:
        raise ValueError(
            f"heads_upsample is {upsample}, which counts heads, but head_channels "
            f"{shape.head_channels} sets their width everywhere; give one of the two"
        )
    attended = [
        width
        for one, width in zip(sizes, shape.widths, strict=True)
        if one in shape.attention_resolutions
    ]
    for name, divisor, widths in (
        ("heads", shape.heads, [*attended, shape.widths[-1]]),  # the middle attends
        ("head_channels", shape.head_channels, [*attended, shape.widths[-1]]),
        ("heads_upsample", upsample, attended),
    ):
        for width in widths:
            if divisor is not None and width % divisor:
                raise ValueError(
                    f"{name} {divisor} does not divide the {width} channels of an attention block; "
                    "take a divisor"
                )
