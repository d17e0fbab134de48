import json
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
from PIL import Image

from adm.datasets.centre_crop import crop_centre, make_square, resize_short_side
from adm.datasets.conversion import convert_image
from adm.datasets.own_images import UnusableImage
from tests.adm.datasets.small_sources import make_pixels
from tests.adm.datasets.test_conversion import decode

REFERENCE = Path(__file__).parents[2] / "data" / "reference" / "preprocessing"
NAMES = [
    name
    for name in json.loads(REFERENCE.with_suffix(".json").read_text())["arrays"]
    if ".center_crop_" in name
]


def load_reference(name):
    with np.load(REFERENCE.with_suffix(".npz"), allow_pickle=False) as stored:
        return stored[name]


@pytest.mark.parametrize("name", NAMES)
def test_centre_crop_is_the_authors_bit_for_bit(name):
    picture, size = name.split(".center_crop_")
    if picture in ("china", "flower"):
        pixels = sklearn.datasets.load_sample_image(f"{picture}.jpg")
    else:
        pixels = load_reference(f"{picture}.input")
    got = make_square(Image.fromarray(pixels), image_size_px=int(size), crop="centre")
    np.testing.assert_array_equal(np.asarray(got), load_reference(name))


@pytest.mark.parametrize("name", [one for one in NAMES if one.startswith(("china", "flower"))])
def test_from_a_jpeg_file_to_a_png_too(name):
    picture, size = name.split(".center_crop_")
    file = Path(sklearn.datasets.__file__).parent / "images" / f"{picture}.jpg"
    converted = convert_image(file.read_bytes(), image_size_px=int(size), crop="centre")
    np.testing.assert_array_equal(decode(converted), load_reference(name))


def test_an_image_of_the_size_stays_as_it_is():
    pixels = make_pixels(24, 24)
    for crop in ("centre", "centre_box", "none"):
        got = make_square(Image.fromarray(pixels), image_size_px=24, crop=crop)
        np.testing.assert_array_equal(np.asarray(got), pixels)


def test_lsun_is_reduced_by_one_box_filter():
    """Means of whole blocks where the size divides (rounded twice); the middle is kept."""
    pixels = make_pixels(60, 32)
    got = make_square(Image.fromarray(pixels), image_size_px=16, crop="centre_box")
    means = pixels.reshape(16, 2, 30, 2, 3).mean(axis=(1, 3))[:, 7:23]
    assert np.abs(np.asarray(got) - means).max() <= 1


def test_halving_stops_below_twice_the_size():
    """63 px is less than twice 32: bicubic alone; 64 px is halved by a box filter first."""
    image = Image.fromarray(make_pixels(63, 63))
    alone = image.resize((32, 32), Image.Resampling.BICUBIC)
    assert resize_short_side(image, 32) == alone
    image = Image.fromarray(make_pixels(64, 64))
    assert resize_short_side(image, 32) == image.resize((32, 32), Image.Resampling.BOX)


def test_offsets_are_rounded_down():
    image = Image.fromarray(make_pixels(9, 4))
    np.testing.assert_array_equal(np.asarray(crop_centre(image, 4)), make_pixels(9, 4)[:, 2:6])


@pytest.mark.parametrize("crop", ["centre", "centre_box"])
def test_too_long_and_narrow(crop):
    with pytest.raises(UnusableImage, match=r"1x40000 px, too long and narrow: at 64 px it would"):
        make_square(Image.new("RGB", (1, 40000)), image_size_px=64, crop=crop)
