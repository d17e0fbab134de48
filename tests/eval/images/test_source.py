"""Some images of a source: the right ones, in batches of the size that was asked for."""

import dataclasses
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from eval.images.open import open_images, read_all
from records.errors import UserError
from tests.eval.conftest import make_source, write_zip

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 4, 5, 3), dtype=np.uint8)
LABELS = np.arange(40)
ROWS = np.array([0, 3, *range(5, 30, 2), 39])


def write_kind(folder, kind):
    """Write the images as a file of a kind."""
    path = folder / f"a.{kind}"
    if kind == "zip":
        return write_zip(path, IMAGES, LABELS)
    np.savez(path, arr_0=IMAGES, arr_1=LABELS)
    return path


@pytest.mark.parametrize("batch_size", [1, 4, 5, 100])
@pytest.mark.parametrize("kind", ["zip", "npz"])
def test_the_images_of_some_rows(tmp_path, kind, batch_size):
    whole = open_images(write_kind(tmp_path, kind))
    some = whole.take(ROWS)
    assert (some.num_images, some.shape, some.sha256) == (len(ROWS), (4, 5, 3), whole.sha256)
    images, labels = read_all(some, batch_size)
    np.testing.assert_array_equal(images, IMAGES[ROWS])
    np.testing.assert_array_equal(labels, LABELS[ROWS])
    sizes = [len(batch) for batch in some.iterate_batches(batch_size)]
    assert set(sizes[:-1]) <= {batch_size} and 0 < sizes[-1] <= batch_size
    again, _ = read_all(some.take(np.array([1, 14])))
    np.testing.assert_array_equal(again, IMAGES[ROWS[[1, 14]]])


def test_images_without_labels():
    some = make_source(IMAGES).take(ROWS)
    assert some.labels is None
    np.testing.assert_array_equal(read_all(some)[0], IMAGES[ROWS])


@pytest.mark.parametrize(
    ("labels", "by_class"),
    [
        (None, False),
        ([0, 0, 1, 1, 2], True),
        ([2, 2, 0, 1, 1], True),
        ([0, 0, 1, 0, 1], False),
        ([1, 1, 1, 1, 1], False),
        ([0, 1, 2, 3, 4], False),
    ],
)
def test_what_comes_class_by_class(labels, by_class):
    labels = None if labels is None else np.array(labels)
    assert dataclasses.replace(make_source(IMAGES[:5]), labels=labels).comes_by_class == by_class


def test_rows_of_rows_are_those_of_the_whole_set():
    some = make_source(IMAGES).take(ROWS).take(np.array([0, 2]))
    np.testing.assert_array_equal(some.rows, ROWS[[0, 2]])


@pytest.mark.parametrize(
    ("names", "folders"),
    [
        (["a/1.png", "a/2.png", "b/1.png", "c/d/1.png"], [0, 0, 1, 2]),
        (["a/1.png", "a/2.png"], None),
        (["1.png", "2.png"], None),
        (["1.png", "a/2.png"], [0, 1]),
        ([f"{i // 1000:05d}/img{i:08d}.png" for i in range(1002)], None),  # EDM's tools
        (["00000/1.png", "00001/1.png"], [0, 1]),
    ],
)
def test_folders_of_images_without_labels_are_numbered(tmp_path, names, folders):
    file = io.BytesIO()
    Image.fromarray(IMAGES[0]).save(file, "PNG")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in names:
            archive.writestr(name, file.getvalue())
    found = open_images(tmp_path / "a.zip").folders
    assert (None if found is None else found.tolist()) == folders


def test_files_of_other_images_are_not_decoded(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for index, image in enumerate(IMAGES):
            file = io.BytesIO()
            Image.fromarray(image).save(file, "PNG")
            whole = index in ROWS
            archive.writestr(f"{index:02d}.png", file.getvalue()[: None if whole else 40])
    source = open_images(tmp_path / "a.zip")
    np.testing.assert_array_equal(read_all(source.take(ROWS))[0], IMAGES[ROWS])
    with pytest.raises(UserError, match=r"a.zip: 01.png \(row 1\)"):
        read_all(source)
    with pytest.raises(UserError, match=r"a.zip: 38.png \(row 38\)"):
        read_all(source.take(np.array([3, 38])))
