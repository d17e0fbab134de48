import io
import pickle
import zipfile

import numpy as np
import pytest
from PIL import Image

from eval.images import load_dataset, load_images
from records.errors import UserError
from tests.eval.conftest import write_zip

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), dtype=np.uint8)
LABELS = np.array([3, 1, 4, 1, 5, 9])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_as_the_authors_write_it(tmp_path, save):
    save(tmp_path / "a.npz", IMAGES, LABELS)
    images, labels = load_images(tmp_path / "a.npz")
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)


def test_a_zip_with_labels_keeps_the_order_of_dataset_json(tmp_path):
    names = [f"00000/img{index:08d}.png" for index in range(6)]
    listing = {"labels": [[names[5], 9], [names[2], 4]]}
    path = write_zip(tmp_path / "a.zip", IMAGES, listing=listing)
    images, labels = load_images(path)
    np.testing.assert_array_equal(images, IMAGES[[5, 2]])
    np.testing.assert_array_equal(labels, [9, 4])


@pytest.mark.parametrize("listing", [..., None], ids=["labels null", "no dataset.json"])
def test_a_zip_without_labels(tmp_path, listing):
    images, labels = load_dataset(write_zip(tmp_path / "a.zip", IMAGES, listing=listing))
    np.testing.assert_array_equal(images, IMAGES)
    assert labels is None


def test_grey_has_one_channel(tmp_path):
    images, _ = load_dataset(write_zip(tmp_path / "a.zip", IMAGES[..., 0]))
    np.testing.assert_array_equal(images, IMAGES[..., :1])


def test_missing_files_are_told(tmp_path):
    with pytest.raises(UserError, match=r"a.npz: no such file; an .npz of images"):
        load_images(tmp_path / "a.npz")
    with pytest.raises(UserError, match=r"a.zip: no such file; a zip of PNGs"):
        load_images(tmp_path / "a.zip")


def test_missing_keys_are_told(tmp_path):
    np.savez(tmp_path / "a.npz", images=IMAGES)
    with pytest.raises(UserError, match=r"holds \['images'\] and lacks \['arr_0'\]"):
        load_images(tmp_path / "a.npz")


def test_a_bare_array_is_told(tmp_path):
    np.save(tmp_path / "a.npy", IMAGES)
    with pytest.raises(UserError, match=r"a.npy: one bare array"):
        load_images(tmp_path / "a.npy")


def test_pickles_are_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "trapped"), "w"))

    np.savez(tmp_path / "a.npz", arr_0=np.array([Trap(), None], dtype=object))
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Trap()))
    for name in ("a.npz", "b.npz"):
        with pytest.raises(UserError, match="pickled Python objects, which are never opened"):
            load_images(tmp_path / name)
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_cut_files_are_told(tmp_path, share):
    np.savez(tmp_path / "a.npz", IMAGES)
    write_zip(tmp_path / "a.zip", IMAGES)
    for name, what in (("a.npz", "readable .npz"), ("a.zip", "readable zip")):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: int(share * len(data))])
        with pytest.raises(UserError, match=f"{name}: not a {what}, it may be cut short"):
            load_images(tmp_path / name)


def test_damage_inside_is_told(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", np.zeros((9, 8, 8, 3), np.uint8))
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[60:70] = b"\xff" * 10
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(UserError, match=r"a.npz: not a readable .npz"):
        load_images(tmp_path / "a.npz")


def test_mixed_sizes_are_told(tmp_path):
    path = write_zip(tmp_path / "a.zip", [IMAGES[0], IMAGES[1][:3]])
    with pytest.raises(UserError, match=r"2 shapes .*\(3, 4, 3\) and \(4, 4, 3\).*resize them"):
        load_dataset(path)


def test_an_empty_zip_is_told(tmp_path):
    with pytest.raises(UserError, match=r"a.zip: holds no PNG"):
        load_dataset(write_zip(tmp_path / "a.zip", []))


def test_a_listed_image_that_is_missing_is_told(tmp_path):
    path = write_zip(tmp_path / "a.zip", IMAGES, listing={"labels": [["b.png", 1]]})
    with pytest.raises(UserError, match=r"lists 1 images that are not in .*\(first: b.png\)"):
        load_dataset(path)


@pytest.mark.parametrize("listing", [{"a": 1}, [], {"labels": [3]}, {"labels": [["a", "b"]]}])
def test_a_wrong_listing_is_told(tmp_path, listing):
    path = write_zip(tmp_path / "a.zip", IMAGES, listing=listing)
    with pytest.raises(UserError, match=r"a.zip: dataset.json is not"):
        load_dataset(path)


def test_jpegs_and_other_modes_are_refused(tmp_path):
    for kind, mode in (("JPEG", "RGB"), ("PNG", "RGBA")):
        file = io.BytesIO()
        Image.fromarray(IMAGES[0]).convert(mode).save(file, kind)
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("x.png", file.getvalue())
        with pytest.raises(UserError, match=f"a.zip: x.png: a {kind} of mode {mode}; PNG, 8-bit"):
            load_dataset(tmp_path / "a.zip")


@pytest.mark.parametrize("data", [b"hello", "half"])
def test_broken_pngs_are_told(tmp_path, data):
    if data == "half":
        file = io.BytesIO()
        Image.fromarray(IMAGES[0]).save(file, "PNG")
        data = file.getvalue()[:60]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x.png", data)
    with pytest.raises(UserError, match=r"a.zip: x.png: not a readable PNG"):
        load_dataset(tmp_path / "a.zip")
