import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from eval.images.files import is_hidden, is_image_name, open_image_folder, open_image_zip
from eval.images.open import read_all
from records.errors import UserError
from records.files import sha256_file
from tests.eval.conftest import write_zip
from tests.eval.peak_memory import measure_peaks

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
NAMES = [f"00000/img{index:08d}.png" for index in range(6)]


def encode(pixels, kind="PNG", mode=None):
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind)
    return file.getvalue()


def write_folder(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def write_files(tmp_path, kind, files):
    """Write the same files as a folder or as a zip; return the path and how to open it."""
    if kind == "folder":
        (tmp_path / "a").mkdir()
        return write_folder(tmp_path / "a", files), open_image_folder
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return tmp_path / "a.zip", open_image_zip


BOTH = pytest.mark.parametrize("kind", ["folder", "zip"])


@BOTH
@pytest.mark.parametrize("batch_size", [1, 4, 6, 100])
def test_images_come_by_name_whatever_the_batch_size(tmp_path, kind, batch_size):
    files = {name: encode(image) for name, image in zip(NAMES, IMAGES, strict=True)}
    path, open_it = write_files(tmp_path, kind, dict(reversed(files.items())))
    source = open_it(path)
    assert (source.num_images, source.shape, source.labels) == (6, (4, 5, 3), None)
    for _ in range(2):
        batches = list(source.iterate_batches(batch_size))
        assert {len(batch) for batch in batches[:-1]} <= {batch_size}
        np.testing.assert_array_equal(np.concatenate(batches), IMAGES)


@BOTH
def test_many_small_batches_keep_the_order(tmp_path, kind):
    images = np.arange(100, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    files = {f"{index:03d}.png": encode(image) for index, image in enumerate(images)}
    path, open_it = write_files(tmp_path, kind, files)
    for batch_size in (7, 16, 40, 64):
        batches = list(open_it(path).iterate_batches(batch_size))
        np.testing.assert_array_equal(np.concatenate(batches)[..., 0], images)


@BOTH
def test_labels_keep_the_order_of_dataset_json(tmp_path, kind):
    files = {name: encode(image) for name, image in zip(NAMES, IMAGES, strict=True)}
    files["dataset.json"] = json.dumps({"labels": [[NAMES[5], 9], [NAMES[2], 4]]}).encode()
    path, open_it = write_files(tmp_path, kind, files)
    images, labels = read_all(open_it(path))
    np.testing.assert_array_equal(images, IMAGES[[5, 2]])
    np.testing.assert_array_equal(labels, [9, 4])
    assert labels.dtype == np.int64


@BOTH
def test_labels_may_be_null(tmp_path, kind):
    files = {"a.png": encode(IMAGES[0]), "dataset.json": b'{"labels": null, "name": "x"}'}
    path, open_it = write_files(tmp_path, kind, files)
    assert open_it(path).labels is None


@BOTH
def test_hidden_and_other_files_are_left_alone(tmp_path, kind):
    files = {
        ".DS_Store": b"x",
        "__MACOSX/._a.png": b"x",
        "b/._a.png": b"x",
        ".cache/a.png": b"x",
        "b/readme.txt": b"x",
        "b/a.PNG": encode(IMAGES[1]),
        "a.png": encode(IMAGES[0]),
    }
    path, open_it = write_files(tmp_path, kind, files)
    np.testing.assert_array_equal(read_all(open_it(path))[0], IMAGES[:2])
    assert is_hidden("a/.b/c.png") and not is_hidden("a/b.c.png")
    assert is_image_name("a/B.JPG") and not is_image_name("a.png/")


@BOTH
def test_grey_has_one_channel_and_becomes_rgb_among_rgb(tmp_path, kind):
    path, open_it = write_files(tmp_path, kind, {"a.png": encode(IMAGES[0, ..., 0])})
    assert open_it(path).shape == (4, 5, 1)
    (tmp_path / "both").mkdir()
    path, open_it = write_files(
        tmp_path / "both", kind, {"a.png": encode(IMAGES[0, ..., 0]), "b.png": encode(IMAGES[1])}
    )
    images, _ = read_all(open_it(path))
    np.testing.assert_array_equal(images[0], np.repeat(IMAGES[0, ..., :1], 3, axis=2))
    np.testing.assert_array_equal(images[1], IMAGES[1])


@BOTH
@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "holds no PNG; images as PNG files are needed"),
        ({"readme.txt": b"x", ".a.png": b"x"}, "holds no PNG"),
        (
            {"a.png": encode(IMAGES[0]), "b/c.png": encode(IMAGES[0][:3])},
            r"2 sizes \(height x width\): a.png is 4x5 px, b/c.png is 3x5 px; .*resize them first",
        ),
        ({"a.png": encode(IMAGES[0]), "b.jpg": encode(IMAGES[0], "JPEG")}, "b.jpg: a JPEG; lossy"),
        ({"b.png": encode(IMAGES[0], "JPEG")}, "b.png: a JPEG; lossy compression moves FID"),
        ({"b.webp": encode(IMAGES[0], "WEBP")}, "b.webp: a WebP file; PNG, 8-bit grey or RGB"),
        ({"b.png": encode(IMAGES[0], mode="RGBA")}, "b.png: a PNG of 8-bit RGB and alpha"),
        ({"b.png": b"hello"}, "b.png: not a readable PNG"),
        ({"b.png": encode(IMAGES[0]) + bytes(17 << 20)}, r"b.png: takes 178\d+ bytes for 4x5 px"),
        (
            {"a.png": encode(IMAGES[0]), "dataset.json": b'{"labels": [["b.png", 1]]}'},
            r"dataset.json lists 1 images that are not in the file \(first: b.png\)",
        ),
    ],
)
def test_bad_files_are_told_when_opened(tmp_path, kind, files, words):
    path, open_it = write_files(tmp_path, kind, files)
    with pytest.raises(UserError, match=f"{path.name}: .*{words}"):
        open_it(path)


@BOTH
@pytest.mark.parametrize(
    "listing",
    [
        b'{"a": 1}',
        b"[]",
        b'{"labels": [3]}',
        b'{"labels": [["a.png", "b"]]}',
        b'{"labels": [["a.png", 99999999999999999999]]}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_a_broken_listing_is_told_and_blocks_nothing(tmp_path, kind, listing):
    files = {name: encode(IMAGES[0]) for name in ("b.png", "a.png")} | {"dataset.json": listing}
    path, open_it = write_files(tmp_path, kind, files)
    source = open_it(path)
    assert (source.num_images, source.labels) == (2, None)
    assert source.label_fault.startswith(f"{path}: dataset.json is not ")


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(encode(IMAGES[0]))
    (tmp_path / "b.png").symlink_to("gone.png")
    words = "a link to gone.png, which is not there; a readable folder is needed here"
    with pytest.raises(UserError, match=words):
        open_image_folder(tmp_path)


@BOTH
def test_jpegs_are_read_and_counted_when_allowed(tmp_path, kind):
    files = {"a.png": encode(IMAGES[0]), "b.png": encode(IMAGES[0], "JPEG")}
    path, open_it = write_files(tmp_path, kind, files)
    source = open_it(path, allow_jpeg=True)
    assert (source.num_images, source.num_jpegs) == (2, 1)
    images, _ = read_all(source)
    assert np.abs(images[1].astype(int) - IMAGES[0]).max() > 0
    np.testing.assert_array_equal(images[0], IMAGES[0])


@BOTH
def test_pixels_that_are_cut_short_are_told_with_file_and_row(tmp_path, kind):
    whole = encode(np.tile(IMAGES[0], (40, 40, 1)))
    files = {"a.png": whole, "b.png": whole, "c.png": whole[: len(whole) // 2]}
    path, open_it = write_files(tmp_path, kind, files)
    batches = open_it(path).iterate_batches(2)
    assert len(next(batches)) == 2
    with pytest.raises(UserError, match=r"a.*: c.png \(row 2\): not a readable image"):
        next(batches)


def test_a_damaged_member_of_a_zip_is_told(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 60, 60, 3), dtype=np.uint8)
    path = write_zip(tmp_path / "a.zip", images)
    data = bytearray(path.read_bytes())
    data[9000:9010] = b"\xff" * 10
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"a.zip: 00000/img00000000.png: not a readable member"):
        list(open_image_zip(path).iterate_batches(4))


def test_a_file_that_goes_away_is_told(tmp_path):
    write_folder(tmp_path, {"a.png": encode(IMAGES[0])})
    source = open_image_folder(tmp_path)
    (tmp_path / "a.png").unlink()
    with pytest.raises(UserError, match=r"a.png \(row 0\): no such file"):
        list(source.iterate_batches(4))


def test_encrypted_zips_are_told(tmp_path):
    path = write_zip(tmp_path / "a.zip", IMAGES, listing=None)
    data = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = -1
        while (start := data.find(signature, start + 1)) >= 0:
            data[start + flags] |= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"a.zip: its members are encrypted; pack them again"):
        open_image_zip(path)


def test_a_zip_is_never_unpacked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path, "zip", {"../evil.png": encode(IMAGES[0]), "/b.png": encode(IMAGES[1])})
    assert read_all(open_image_zip("a.zip"))[0].shape == (1, 4, 5, 3)
    assert [one.name for one in tmp_path.iterdir()] == ["a.zip"]
    assert not (tmp_path.parent / "evil.png").exists()


def test_linked_folders_are_read_once(tmp_path):
    write_folder(tmp_path, {"data/0/a.png": encode(IMAGES[0]), "more/b.png": encode(IMAGES[1])})
    (tmp_path / "data" / "1").symlink_to(tmp_path / "more")
    (tmp_path / "data" / "0" / "loop").symlink_to(tmp_path / "data")
    assert open_image_folder(tmp_path / "data").num_images == 2


def test_hashes_follow_names_and_content(tmp_path):
    path = write_zip(tmp_path / "a.zip", IMAGES)
    assert open_image_zip(path).sha256 == sha256_file(path)
    folder = write_folder(tmp_path / "b", {"a.png": encode(IMAGES[0]), "b.png": encode(IMAGES[1])})
    seen = [open_image_folder(folder).sha256]
    write_folder(folder, {"readme.txt": b"not an image"})
    assert open_image_folder(folder).sha256 == seen[0]
    write_folder(folder, {"dataset.json": b'{"labels": [["b.png", 1], ["a.png", 0]]}'})
    seen.append(open_image_folder(folder).sha256)
    (folder / "dataset.json").unlink()
    write_folder(folder, {"a.png": encode(IMAGES[2])})
    seen.append(open_image_folder(folder).sha256)
    (folder / "b.png").rename(folder / "c.png")
    seen.append(open_image_folder(folder).sha256)
    assert len(set(seen)) == 4


@BOTH
def test_peak_memory_does_not_grow_with_the_number_of_images(tmp_path, kind):
    png = encode(np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8))
    paths = []
    for name, count in (("few", 100), ("many", 2000)):  # 2000 are 53 MiB, packed and unpacked
        (tmp_path / name).mkdir()
        files = {f"{index:05d}.png": png for index in range(count)}
        paths.append(write_files(tmp_path / name, kind, files)[0])
    (small, large), counts = measure_peaks(*paths)
    assert counts == [100, 2000]
    assert large - small < 12, (small, large)
