"""Sheets of samples as one PNG: a heading, and above each picture the class it was drawn for."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from records.errors import UserError
from records.files import atomic_write

GAP_PX = 6
TEXT_PX = 13
SMALLEST_TILE_PX = 64  # smaller pictures are enlarged by a whole number


def draw_grid(
    images: np.ndarray,
    *,
    heading: Sequence[str],
    captions: Sequence[str] | None = None,
    num_columns: int | None = None,
) -> Image.Image:
    """Put pictures in rows.

    Args:
        images: uint8 [n, h, w, 1 or 3].
        heading: lines above all.
        captions: a text above each picture; None for none.
        num_columns: pictures in a row; None: as square as it gets.

    Returns:
        An RGB picture. Images of fewer than 64 pixels are enlarged, each pixel to a square.

    Raises:
        UserError: fewer than one column.
    """
    num_images, height, width = images.shape[:3]
    columns = math.ceil(math.sqrt(num_images)) if num_columns is None else num_columns
    if columns < 1:
        raise UserError(f"grid: {columns} columns; give at least 1")
    columns = min(columns, num_images)
    factor = max(1, math.ceil(SMALLEST_TILE_PX / min(height, width)))
    tiles = np.repeat(np.repeat(images, factor, axis=1), factor, axis=2)
    if tiles.shape[-1] == 1:
        tiles = np.repeat(tiles, 3, axis=-1)
    height, width = height * factor, width * factor
    font = ImageFont.load_default(TEXT_PX)
    line_px = math.ceil(TEXT_PX * 1.4)
    caption_px = 0 if captions is None else line_px
    top = GAP_PX + line_px * len(heading)
    text_px = max((math.ceil(font.getlength(line)) for line in heading), default=0)
    num_rows = math.ceil(num_images / columns)
    size = (
        max(columns * (width + GAP_PX) + GAP_PX, text_px + 2 * GAP_PX),
        top + num_rows * (height + caption_px + GAP_PX) + GAP_PX,
    )
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for number, line in enumerate(heading):
        pen.text((GAP_PX, GAP_PX + number * line_px), line, fill="black", font=font)
    for index, tile in enumerate(tiles):
        left = GAP_PX + (index % columns) * (width + GAP_PX)
        upper = top + GAP_PX + (index // columns) * (height + caption_px + GAP_PX)
        if captions is not None:
            text = shorten(captions[index], width, font)
            pen.text((left, upper - 2), text, fill="black", font=font)
        sheet.paste(Image.fromarray(tile), (left, upper + caption_px))
    return sheet


def shorten(text: str, width_px: int, font: Any) -> str:
    """Return a text where it fits a width, else its first word: half a name would mislead."""
    return text if font.getlength(text) <= width_px else text.partition(" ")[0]


def save_grid(path: str | Path, sheet: Image.Image, manifest: Mapping[str, Any]) -> None:
    """Write a sheet as PNG, atomically, with how it was made as its text `manifest` (JSON).

    Raises:
        UserError: it cannot be written.
    """
    info = PngInfo()
    info.add_text("manifest", json.dumps(manifest, sort_keys=True))
    with atomic_write(path) as file:
        sheet.save(file, format="PNG", pnginfo=info)
