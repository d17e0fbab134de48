import re

import numpy as np
import pytest

from eval.images.checks import (
    check_features,
    check_image_array,
    check_images,
    check_labels,
    check_num_images,
    check_num_pixels,
    describe_values,
)
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


def test_four_channels_are_called_alpha():
    with pytest.raises(UserError, match="the fourth is alpha: put the images on a background and"):
        check_images(np.zeros((2, 8, 8, 4), np.uint8), "x")


def test_arrays_that_are_not_in_memory_are_checked_by_header():
    nothing = np.empty(0, np.uint8)
    check_image_array(np.dtype(np.uint8), (10**9, 8, 8, 3), nothing, "x")
    with pytest.raises(UserError, match=r"x: images are uint8 .*10 channels"):
        check_image_array(np.dtype(np.uint8), (10**9, 8, 8, 10), nothing, "x")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.0, 0.25, 1.0], r"from 0 to 1, so 0 to 1 it seems: .*np.clip\(x \* 255, 0, 255\)"),
        ([-1.0, 0.5], r"from -1 to 0.5, so -1 to 1 it seems: .*np.clip\(\(x \+ 1\) \* 127.5"),
        ([-0.5, 1.005], "so -1 to 1 it seems"),
        ([0.0, 254.9], r"from 0 to 254.9, so 0 to 255 it seems: .*np.clip\(x, 0, 255\)"),
        ([-3.0, 254.9], "from -3 to 254.9, which is not a usual range; find the sampler's scale"),
        ([0.0, np.nan], "NaN or infinity is among the values, so the sampler itself went wrong"),
        ([0, 255], r"from 0 to 255 and so fit: convert them with x.astype\(np.uint8\)"),
        ([-1, 255], "from -1 to 255, which is not the range of pixels"),
        ([False, True], "from 0 to 1, which is not the range of pixels"),
        ([], "save the pixels as the sampler makes them"),
        (["a"], "save the pixels as the sampler makes them"),
    ],
)
def test_the_range_of_wrong_values_is_told(values, words):
    assert re.search(words, describe_values(np.array(values)))


def test_a_single_number_is_told_too():
    with pytest.raises(UserError, match=r"x: images are float64 \[\].*from 3 to 3"):
        check_images(np.array(3.0), "x")


def test_images_as_large_as_bombs_are_refused():
    check_num_pixels(4096, 4096, "x")
    with pytest.raises(UserError, match="x: images of 10000x9000 px are beyond the limit of 8947"):
        check_num_pixels(10_000, 9_000, "x")


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int32, np.float32])
def test_labels_become_int64(dtype):
    labels = check_labels(np.array([3, 1], dtype), 2, "x")
    assert labels.dtype == np.int64 and labels.tolist() == [3, 1]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.zeros(3, int), r"x: labels are int64 \[3\] for 2 images; one label per image"),
        (np.zeros((2, 5)), r"x: labels are float64 \[2, 5\]; one class .* take the argmax"),
        (np.array([0.5, 1]), r"x: labels are float64 \[2\]; whole numbers, int64 \[2\]"),
        (np.array([np.nan, 1]), "whole numbers"),
        (np.array(["a", "b"]), "whole numbers"),
    ],
)
def test_wrong_labels_are_told(labels, words):
    with pytest.raises(UserError, match=words):
        check_labels(labels, 2, "x")


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
