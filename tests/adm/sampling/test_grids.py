"""Sheets of samples."""

import json

import numpy as np
import pytest
from PIL import Image

from adm.sampling.grids import draw_grid, save_grid
from records.errors import UserError


def tiles(num, size=64, channels=3):
    colours = [[20 * i + 10, 200, 30][:channels] for i in range(num)]
    return np.stack([np.full((size, size, channels), one, np.uint8) for one in colours])


def test_pictures_stand_in_order_below_a_heading():
    sheet = draw_grid(tiles(5), heading=["a", "b"], captions=list("12345"))
    pixels = np.asarray(sheet)
    found = []
    for value in range(10, 110, 20):
        rows, columns = np.nonzero((pixels == [value, 200, 30]).all(axis=-1))
        assert len(rows) == 64 * 64 and np.ptp(rows) == np.ptp(columns) == 63
        found.append((rows.min(), columns.min()))
    assert found == sorted(found) and len({row for row, _ in found}) == 2  # 3 columns
    assert (pixels[: found[0][0]] < 128).any()  # text above


def test_small_and_grey_pictures_are_enlarged():
    images = np.zeros((1, 2, 2, 1), np.uint8)
    images[0, 0, 0] = 255
    pixels = np.asarray(draw_grid(images, heading=[]))
    rows, columns = np.nonzero((pixels == 0).all(axis=-1))
    assert np.ptp(rows) == np.ptp(columns) == 63 and len(rows) == 3 * 32 * 32


def test_columns():
    narrow = draw_grid(tiles(4), heading=[], num_columns=1)
    wide = draw_grid(tiles(4), heading=[], num_columns=9)
    assert narrow.height > 4 * 64 > narrow.width and wide.width > 4 * 64 > wide.height
    with pytest.raises(UserError, match="0 columns; give at least 1"):
        draw_grid(tiles(4), heading=[], num_columns=0)


def test_of_long_captions_the_first_word_stays():
    short = draw_grid(tiles(1), heading=[], captions=["263"])
    long = draw_grid(tiles(1), heading=[], captions=["263 Pembroke Welsh corgi and more and more"])
    assert np.array_equal(np.asarray(short), np.asarray(long))


def test_the_file_carries_its_manifest(tmp_path):
    path = tmp_path / "a" / "grid.png"
    save_grid(path, draw_grid(tiles(2), heading=["x"]), {"seed": 3})
    with Image.open(path) as image:
        assert json.loads(image.text["manifest"]) == {"seed": 3}
        assert image.format == "PNG"
