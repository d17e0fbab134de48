import errno
import io
import json
import os
import re
import zipfile

import numpy as np
import pytest
from PIL import Image

from adm.datasets.image_zip import ImageZip
from records.errors import UserError
from tests.adm.training_case import random_images, write_set


def raw_zip(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def png(size_px=4, mode="L"):
    content = io.BytesIO()
    Image.new(mode, (size_px, size_px)).save(content, format="PNG")
    return content.getvalue()


def about(**fields):
    return json.dumps(fields)


def test_round_trip_of_colour_images_with_labels(tmp_path):
    images, labels = random_images(6, 5, 3), [2, 0, 1, 1, 0, 2]
    path = write_set(tmp_path / "x.zip", images, labels=labels, num_classes=3)
    dataset = ImageZip(path, image_size_px=5)
    np.testing.assert_array_equal(dataset.load([3, 0, 3]), images[[3, 0, 3]])
    assert dataset.labels.tolist() == labels
    assert dataset.labels.dtype == np.int64
    assert (dataset.num_classes, dataset.image_channels) == (3, 3)


def test_a_large_set_is_read_as_asked(tmp_path, monkeypatch):
    images = random_images(6, 5)
    path = write_set(tmp_path / "x.zip", images)
    monkeypatch.setattr("adm.datasets.image_zip.CACHE_BYTES", 6 * 5 * 5 * 3)
    dataset = ImageZip(path)
    assert not dataset.fits_memory
    np.testing.assert_array_equal(dataset.load([5, 1])[..., 2], images[[5, 1]])


def test_what_load_returns_may_be_changed(tmp_path):
    dataset = ImageZip(write_set(tmp_path / "x.zip", random_images(3, 4)))
    before = dataset.load([0, 1]).copy()
    dataset.load([0, 1])[:] = 0
    np.testing.assert_array_equal(dataset.load([0, 1]), before)


def test_a_zip_of_another_tool_needs_only_labels(tmp_path):
    members = {"b.png": png(), "a.png": png(mode="RGB"), "readme.txt": "x"}
    labels = [["a.png", 0], ["b.png", 4]]
    path = raw_zip(tmp_path / "x.zip", {**members, "dataset.json": about(labels=labels)})
    dataset = ImageZip(path)
    assert (len(dataset), dataset.num_classes, dataset.image_size_px) == (2, 5, 4)
    assert dataset.image_channels == 3
    path = raw_zip(tmp_path / "y.zip", {**members, "dataset.json": about(labels=None)})
    assert len(ImageZip(path)) == 2


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="the disk is full"):
        write_set(tmp_path / "x.zip", random_images(2, 4))
    assert list(tmp_path.iterdir()) == []


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"none\.zip: no such file; make the dataset first"):
        ImageZip(tmp_path / "none.zip")


def test_a_folder_in_place_of_the_zip(tmp_path):
    words = rf"{tmp_path}: cannot be read \(Is a directory\); give the zip of a dataset"
    with pytest.raises(UserError, match=words):
        ImageZip(tmp_path)


def test_truncated_zip(tmp_path):
    path = write_set(tmp_path / "x.zip", random_images(5, 4))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(UserError, match=r"not a zip, or cut short .* delete it and make"):
        ImageZip(path)


def test_damaged_image(tmp_path):
    path = write_set(tmp_path / "x.zip", random_images(5, 4))
    content = bytearray(path.read_bytes())
    place = content.index(b"IDAT", content.index(b"img00000002.png"))
    content[place + 6] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"img00000002\.png cannot be read \(Bad CRC"):
        ImageZip(path).load([2])
    path = raw_zip(tmp_path / "y.zip", {"a.png": b"GIF89a", "dataset.json": about(labels=None)})
    with pytest.raises(UserError, match=r"a\.png cannot be read \(cannot identify"):
        ImageZip(path)
    cut = png()[:40]
    path = raw_zip(tmp_path / "z.zip", {"a.png": cut, "dataset.json": about(labels=None)})
    with pytest.raises(UserError, match=r"a\.png cannot be read"):
        ImageZip(path).load([0])


def test_another_resolution(tmp_path):
    path = write_set(tmp_path / "x.zip", random_images(2, 4))
    with pytest.raises(UserError, match=r"images of 4 px; 8 px are needed"):
        ImageZip(path, image_size_px=8)


def test_one_image_of_another_size(tmp_path):
    members = {"a.png": png(4), "b.png": png(5), "dataset.json": about(labels=None)}
    with pytest.raises(UserError, match=r"b\.png has 5x5 px, the set 4x4"):
        ImageZip(raw_zip(tmp_path / "x.zip", members)).load([0, 1])


@pytest.mark.parametrize("label", [3, -1])
def test_label_out_of_range(tmp_path, label):
    path = write_set(tmp_path / "x.zip", random_images(2, 4), labels=[0, label], num_classes=3)
    with pytest.raises(UserError, match=rf"img00000001\.png has label {label}; labels are 0 to 2"):
        ImageZip(path)


@pytest.mark.parametrize("label", [1.5, 1.0, True, "1", None, [0, 1]])
def test_a_label_that_is_no_whole_number(tmp_path, label):
    members = {"a.png": png(), "dataset.json": about(labels=[["a.png", label]])}
    words = rf"a\.png has label {re.escape(repr(label))}; labels are whole numbers from 0: correct"
    with pytest.raises(UserError, match=words):
        ImageZip(raw_zip(tmp_path / "x.zip", members))


@pytest.mark.parametrize(
    "content", [None, "{", '{"images": []}', '{"labels": [["a.png"]]}', '{"labels": 3}', "[]"]
)
def test_missing_or_foreign_dataset_json(tmp_path, content):
    members = {"a.png": png()} | ({} if content is None else {"dataset.json": content})
    with pytest.raises(UserError, match=r"no dataset\.json with `labels` in it"):
        ImageZip(raw_zip(tmp_path / "x.zip", members))


@pytest.mark.parametrize("key", ["num_classes", "image_size_px", "image_channels", "count"])
@pytest.mark.parametrize("value", ["4", 1.5, True, [1]])
def test_a_number_in_dataset_json_that_is_none(tmp_path, key, value):
    members = {"a.png": png(), "dataset.json": about(labels=[["a.png", 0]], **{key: value})}
    words = rf"dataset\.json: {key} is {re.escape(repr(value))}; a whole number is needed"
    with pytest.raises(UserError, match=words):
        ImageZip(raw_zip(tmp_path / "x.zip", members))


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "x/../../a.png", "..\\a.png"])
def test_names_that_leave_the_folder(tmp_path, name):
    members = {name: png(), "dataset.json": about(labels=[[name, 0]])}
    with pytest.raises(UserError, match=r"leaves the folder; do not use this file"):
        ImageZip(raw_zip(tmp_path / "x.zip", members))


def test_label_without_image(tmp_path):
    members = {"a.png": png(), "dataset.json": about(labels=[["a.png", 0], ["b.png", 1]])}
    with pytest.raises(UserError, match=r"names 'b\.png', which is not a PNG in the zip"):
        ImageZip(raw_zip(tmp_path / "x.zip", members))


def test_count_that_does_not_fit(tmp_path):
    members = {"a.png": png(), "dataset.json": about(labels=None, count=2)}
    with pytest.raises(UserError, match=r"1 PNG images, dataset\.json says 2"):
        ImageZip(raw_zip(tmp_path / "x.zip", members))
    with pytest.raises(UserError, match=r"0 PNG images"):
        ImageZip(raw_zip(tmp_path / "y.zip", {"dataset.json": about(labels=None)}))


def test_an_image_that_the_list_leaves_out(tmp_path):
    members = {"a.png": png(), "b.png": png(), "dataset.json": about(labels=[["b.png", 0]])}
    with pytest.raises(UserError, match=r"no label for 'a\.png' and 0 more PNGs in the zip; comp"):
        ImageZip(raw_zip(tmp_path / "x.zip", members))


def test_class_names(tmp_path):
    labels = [["a.png", 0], ["b.png", 1]]
    for names, expected in ((["cat", "dog"], ("cat", "dog")), (["cat"], None), (None, None)):
        listed = about(labels=labels, class_names=names)
        members = {"a.png": png(), "b.png": png(), "dataset.json": listed}
        assert ImageZip(raw_zip(tmp_path / "x.zip", members)).class_names == expected
