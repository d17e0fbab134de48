"""Inception of 2015-12-05 as a table: every layer under its name in the frozen graph.

The network is Inception v3 (Szegedy et al. 2016, "Rethinking the Inception Architecture for
Computer Vision", table 1 and figures 5 to 7) as trained and frozen by its authors. Scopes, kernels
and widths are those of the file classify_image_graph_def.pb; its pool branch in mixed_10 takes the
maximum where the paper takes the mean.
"""

from collections.abc import Iterator
from dataclasses import dataclass

IMAGE_SIZE_PX = 299
BATCH_NORM_EPSILON = 0.001
POOL_DIMS = 2048
NUM_CLASSES = 1008
# sFID's features: the first 7 of the 192 channels of mixed_6/conv, 17 by 17 positions.
SPATIAL_SCOPE = "mixed_6/conv"
SPATIAL_SIZE_PX = 17
SPATIAL_CHANNELS = 7
SPATIAL_DIMS = SPATIAL_SIZE_PX**2 * SPATIAL_CHANNELS
STATISTICS = ("beta", "gamma", "moving_mean", "moving_variance")


@dataclass(frozen=True)
class Convolution:
    """A convolution without bias, then batch normalisation, then ReLU."""

    scope: str
    width_in: int
    width: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: str = "SAME"


@dataclass(frozen=True)
class Pool:
    """A 3x3 pool: `max`, or `average` over the positions inside the map."""

    scope: str
    kind: str
    stride: int = 1
    padding: str = "SAME"


@dataclass(frozen=True)
class Branch:
    """Layers in a row, then perhaps a fork of convolutions that all see the last one's output."""

    layers: tuple[Convolution | Pool, ...]
    fork: tuple[Convolution, ...] = ()


@dataclass(frozen=True)
class Block:
    """Branches that see the same input; their outputs are concatenated in this order."""

    scope: str
    branches: tuple[Branch, ...]


def _make_tower(scope: str, width_in: int, *rows: tuple) -> tuple[Convolution, ...]:
    """Chain convolutions named conv, conv_1, ...: rows of (width, kernel, stride, padding)."""
    layers = []
    for index, row in enumerate(rows):
        name = "conv" if index == 0 else f"conv_{index}"
        layers.append(Convolution(f"{scope}/{name}", width_in, *row))
        width_in = row[0]
    return tuple(layers)


def _make_pool_branch(scope: str, width_in: int, width: int, kind: str = "average") -> Branch:
    """Pool, then a 1x1 convolution."""
    scope = f"{scope}/tower_2"
    return Branch((Pool(f"{scope}/pool", kind), *_make_tower(scope, width_in, (width,))))


def _make_block_35(scope: str, width_in: int, pool_width: int) -> Block:
    """At 35x35: 1x1, 5x5, two 3x3, pool."""
    return Block(
        scope,
        (
            Branch(_make_tower(scope, width_in, (64,))),
            Branch(_make_tower(f"{scope}/tower", width_in, (48,), (64, (5, 5)))),
            Branch(_make_tower(f"{scope}/tower_1", width_in, (64,), (96, (3, 3)), (96, (3, 3)))),
            _make_pool_branch(scope, width_in, pool_width),
        ),
    )


def _make_block_17(scope: str, inner_width: int) -> Block:
    """At 17x17: 1x1, one and two 7x7 split into 1x7 and 7x1, pool."""
    wide, high = (inner_width, (1, 7)), (inner_width, (7, 1))
    inner = (inner_width,)
    return Block(
        scope,
        (
            Branch(_make_tower(scope, 768, (192,))),
            Branch(_make_tower(f"{scope}/tower", 768, inner, wide, (192, (7, 1)))),
            Branch(_make_tower(f"{scope}/tower_1", 768, inner, high, wide, high, (192, (1, 7)))),
            _make_pool_branch(scope, 768, 192),
        ),
    )


def _make_block_8(scope: str, width_in: int, pool_kind: str) -> Block:
    """At 8x8: 1x1, and two towers that end in a 1x3 beside a 3x1, pool."""
    split = ((384, (1, 3)), (384, (3, 1)))
    towers = (
        _make_tower(f"{scope}/tower", width_in, (384,)),
        _make_tower(f"{scope}/tower_1", width_in, (448,), (384, (3, 3))),
    )
    forks = [
        tuple(
            Convolution(f"{scope}/{name}/mixed/{conv}", 384, *row)
            for conv, row in zip(("conv", "conv_1"), split, strict=True)
        )
        for name in ("tower", "tower_1")
    ]
    return Block(
        scope,
        (
            Branch(_make_tower(scope, width_in, (320,))),
            *(Branch(layers, fork) for layers, fork in zip(towers, forks, strict=True)),
            _make_pool_branch(scope, width_in, 192, pool_kind),
        ),
    )


STEM = (
    Convolution("conv", 3, 32, (3, 3), 2, "VALID"),
    Convolution("conv_1", 32, 32, (3, 3), 1, "VALID"),
    Convolution("conv_2", 32, 64, (3, 3)),
    Pool("pool", "max", 2, "VALID"),
    Convolution("conv_3", 64, 80),
    Convolution("conv_4", 80, 192, (3, 3), 1, "VALID"),
    Pool("pool_1", "max", 2, "VALID"),
)
BLOCKS = (
    _make_block_35("mixed", 192, 32),
    _make_block_35("mixed_1", 256, 64),
    _make_block_35("mixed_2", 288, 64),
    Block(
        "mixed_3",
        (
            Branch(_make_tower("mixed_3", 288, (384, (3, 3), 2, "VALID"))),
            Branch(
                _make_tower("mixed_3/tower", 288, (64,), (96, (3, 3)), (96, (3, 3), 2, "VALID"))
            ),
            Branch((Pool("mixed_3/pool", "max", 2, "VALID"),)),
        ),
    ),
    _make_block_17("mixed_4", 128),
    _make_block_17("mixed_5", 160),
    _make_block_17("mixed_6", 160),
    _make_block_17("mixed_7", 192),
    Block(
        "mixed_8",
        (
            Branch(_make_tower("mixed_8/tower", 768, (192,), (320, (3, 3), 2, "VALID"))),
            Branch(
                _make_tower(
                    "mixed_8/tower_1",
                    768,
                    (192,),
                    (192, (1, 7)),
                    (192, (7, 1)),
                    (192, (3, 3), 2, "VALID"),
                )
            ),
            Branch((Pool("mixed_8/pool", "max", 2, "VALID"),)),
        ),
    ),
    _make_block_8("mixed_9", 1280, "average"),
    _make_block_8("mixed_10", 2048, "max"),
)


def iterate_layers() -> Iterator[Convolution | Pool]:
    """Yield all layers in the order in which they run."""
    yield from STEM
    for block in BLOCKS:
        for branch in block.branches:
            yield from branch.layers
            yield from branch.fork


def make_tensor_shapes() -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every weight of the frozen graph, in TensorFlow's layout."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in iterate_layers():
        if isinstance(layer, Convolution):
            shapes[f"{layer.scope}/conv2d_params"] = (*layer.kernel, layer.width_in, layer.width)
            for name in STATISTICS:
                shapes[f"{layer.scope}/batchnorm/{name}"] = (layer.width,)
    shapes["softmax/weights"] = (POOL_DIMS, NUM_CLASSES)
    shapes["softmax/biases"] = (NUM_CLASSES,)
    return shapes
