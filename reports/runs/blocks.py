"""The blocks of a network as a table: map size, width, attention, parameters."""

from collections import Counter
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open

from records.errors import UserError
from reports.files import explain_digest
from specs.architecture import Architecture, UNetArchitecture
from specs.page import WantedFile


class Block(NamedTuple):
    """A block of a network.

    Attributes:
        name: as its parameters begin.
        layers: in words.
        size_px: height and width of the maps that it puts out; None where it puts out no map.
        channels: of what it puts out.
        heads: of its attention; None without.
    """

    name: str
    layers: str
    size_px: int | None
    channels: int
    heads: int | None = None


def list_blocks(shape: Architecture) -> Iterator[Block]:
    """List the blocks of a network (ADM, Appendix I) in the order in which they compute."""
    widths, top = shape.widths, len(shape.widths) - 1
    size, number = shape.image_size_px, 1
    yield Block("time_embed", "timestep embedding", None, 4 * shape.channels)
    if isinstance(shape, UNetArchitecture) and shape.num_classes is not None:
        yield Block("label_emb", "class embedding", None, 4 * shape.channels)
    yield Block("input_blocks.0", "convolution", size, widths[0])
    for level, width in enumerate(widths):
        for _ in range(shape.depth):
            yield _make_block(f"input_blocks.{number}", shape, size, width)
            number += 1
        if level < top:
            size //= 2
            words = f"{_name_resampling(shape)}, down"
            yield Block(f"input_blocks.{number}", words, size, width)
            number += 1
    heads = _count_heads(shape, widths[-1], shape.heads)
    yield Block("middle_block", "residual, attention, residual", size, widths[-1], heads)
    if not isinstance(shape, UNetArchitecture):
        yield Block("out", f"{shape.pool} pool", None, shape.num_classes)
        return
    number = 0
    for level in reversed(range(top + 1)):
        for index in range(shape.depth + 1):
            block = _make_block(f"output_blocks.{number}", shape, size, widths[level], up=True)
            number += 1
            if level > 0 and index == shape.depth:
                size *= 2
                words = f"{block.layers}, {_name_resampling(shape)}, up"
                block = block._replace(layers=words, size_px=size)
            yield block
    yield Block("out", "convolution", size, shape.out_channels)


def _make_block(
    name: str, shape: Architecture, size: int, width: int, *, up: bool = False
) -> Block:
    if size not in shape.attention_resolutions:
        return Block(name, "residual", size, width)
    given = shape.heads
    if up and isinstance(shape, UNetArchitecture):
        given = shape.heads_upsample or given
    return Block(name, "residual, attention", size, width, _count_heads(shape, width, given))


def _count_heads(shape: Architecture, width: int, given: int | None) -> int | None:
    return given if shape.head_channels is None else width // shape.head_channels


def _name_resampling(shape: Architecture) -> str:
    if shape.biggan_updown:
        return "residual"
    return "convolution" if shape.conv_resample else "no layer"


def count_parameters(weights: WantedFile) -> Counter[str]:
    """Count the parameters of each block in a weights file, from its header alone.

    Returns:
        By a block's name; empty where there is no such file.

    Raises:
        UserError: weights of another model, or a file that cannot be read.
    """
    found: Counter[str] = Counter()
    if not Path(weights.path).exists():
        return found
    try:
        with safe_open(weights.path, framework="np") as file:
            digest = (file.metadata() or {}).get("digest")
            names = file.keys()
            sizes = {name: prod(file.get_slice(name).get_shape()) for name in names}
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{weights.path}: no header can be read ({error}); make the weights again"
        ) from None
    if problem := explain_digest(weights, digest):
        raise UserError(problem)
    for name, size in sizes.items():
        first, second, *_ = name.split(".")
        found[f"{first}.{second}" if first.endswith("put_blocks") else first] += size
    return found


def make_blocks(shape: Architecture, parameters: Counter[str]) -> list[dict[str, Any]]:
    """Return the blocks with their parameters, None where these are not known."""
    return [
        {**block._asdict(), "parameters": parameters[block.name] if parameters else None}
        for block in list_blocks(shape)
    ]
