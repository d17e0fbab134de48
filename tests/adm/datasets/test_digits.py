import hashlib
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from adm.datasets.digits import load_digit_images, make_digits
from adm.datasets.image_zip import ImageZip
from records.errors import UserError


def test_values_are_the_digits_scaled_to_bytes(tmp_path):
    make_digits(tmp_path / "imagenet_256.zip")
    dataset, digits = ImageZip(tmp_path / "imagenet_256.zip"), load_digits()
    assert len(dataset) == 1797
    assert (dataset.image_size_px, dataset.image_channels, dataset.num_classes) == (8, 1, 10)
    assert dataset.name == "imagenet_256"
    np.testing.assert_array_equal(dataset.labels, digits.target)
    images = dataset.load(np.arange(1797))
    levels = [0, 16, 32, 48, 64, 80, 96, 112, 128, 143, 159, 175, 191, 207, 223, 239, 255]
    np.testing.assert_array_equal(images[..., 0], np.array(levels)[digits.images.astype(int)])
    assert (images == images[..., :1]).all()


def test_four_pixels_are_area_averages_rounded_once():
    small, _ = load_digit_images(4)
    values = load_digits().images
    total = values[:, 0::2, 0::2] + values[:, 1::2, 0::2] + values[:, 0::2, 1::2]
    total = total + values[:, 1::2, 1::2]
    np.testing.assert_array_equal(small, np.floor(total * 255 / 64 + 0.5))


def test_single_class_has_no_labels(tmp_path):
    make_digits(tmp_path / "zeros.zip", classes=[0])
    dataset = ImageZip(tmp_path / "zeros.zip")
    assert (len(dataset), dataset.labels, dataset.num_classes) == (178, None, None)


def test_several_classes_are_numbered_in_their_order(tmp_path):
    make_digits(tmp_path / "two.zip", classes=[8, 1])
    dataset = ImageZip(tmp_path / "two.zip")
    assert dataset.num_classes == 2
    assert np.bincount(dataset.labels).tolist() == [174, 182]


def test_the_same_bytes_every_time(tmp_path):
    make_digits(tmp_path / "a" / "x.zip", image_size_px=4)
    make_digits(tmp_path / "b" / "x.zip", image_size_px=4)
    one, two = ((tmp_path / folder / "x.zip").read_bytes() for folder in "ab")
    assert one == two


def test_decoded_content_is_pinned():
    """Whatever Pillow compresses them to, the pixels must stay these."""
    pixels = [load_digit_images(size)[0] for size in (8, 4)]
    digests = [hashlib.sha256(one.tobytes()).hexdigest()[:12] for one in pixels]
    assert digests == ["b41ca9fd3354", "54b6cb40fd33"]


def test_other_tools_can_read_it(tmp_path):
    """dataset.json and PNG members as EDM and StyleGAN tools expect them."""
    make_digits(tmp_path / "x.zip")
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        about = json.loads(archive.read("dataset.json"))
        assert about["labels"][1000] == ["00001/img00001000.png", int(load_digits().target[1000])]
        image = Image.open(io.BytesIO(archive.read("00001/img00001000.png")))
        assert (image.mode, image.size, image.format) == ("L", (8, 8), "PNG")
        assert all(one.compress_type == zipfile.ZIP_STORED for one in archive.infolist())
    assert about["count"] == 1797
    assert about["licence"] == "CC BY 4.0"
    assert "UCI" in about["source"]


def test_wrong_size_or_classes(tmp_path):
    with pytest.raises(UserError, match="image_size_px: got 16; the digits come as 8 or 4 px"):
        make_digits(tmp_path / "x.zip", image_size_px=16)
    for classes in ([], [3, 3], [10]):
        with pytest.raises(UserError, match="needed: different digits from 0 to 9"):
            make_digits(tmp_path / "x.zip", classes=classes)
    assert not (tmp_path / "x.zip").exists()
