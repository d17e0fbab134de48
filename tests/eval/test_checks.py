import numpy as np
import pytest

from eval.checks import check_features, check_images, check_num_images
from records.errors import UserError


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 8, 8, 3), np.float32), r"x: images are float32 \[2, 8, 8, 3\]; uint8"),
        (np.zeros((2, 8, 8), np.uint8), r"x: images are uint8 \[2, 8, 8\]; uint8 \[n, h, w, 3\]"),
        (np.zeros((2, 0, 8, 3), np.uint8), r"x: images are uint8 \[2, 0, 8, 3\]; uint8"),
        (np.zeros((2, 8, 8, 4), np.uint8), "so 4 channels; 1 .grey. or 3 .RGB. are needed"),
        (np.zeros((2, 3, 8, 8), np.uint8), "so 8 channels.*move the channels last"),
        (np.zeros((0, 8, 8, 3), np.uint8), "x: holds no image; at least one"),
    ],
)
def test_images_must_be_8_bit_batches(images, message):
    with pytest.raises(UserError, match=message):
        check_images(images, "x")


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_rgb_are_taken(channels):
    check_images(np.zeros((1, 2, 5, channels), np.uint8), "x")


def test_counts_are_shown():
    check_num_images(4, "x.npz", 4, "why")
    with pytest.raises(UserError, match=r"x.npz: got 1 image; at least 4 are needed \(why\)"):
        check_num_images(1, "x.npz", 4, "why")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_must_be_finite(bad):
    features = np.zeros((5, 2))
    features[3, 1] = bad
    with pytest.raises(UserError, match=r"x: 1 of 5 rows .* NaN or infinity \(first: row 3\)"):
        check_features(features, "x")


@pytest.mark.parametrize("features", [np.zeros(3), np.zeros((3, 2), np.int64)])
def test_features_must_be_a_matrix_of_floats(features):
    with pytest.raises(UserError, match=r"floating-point numbers \[n, dims\] are needed"):
        check_features(features, "x")
