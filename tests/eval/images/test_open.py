import gzip
import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from eval.images.open import load_statistics, open_images, read_all
from records.errors import UserError
from tests.eval.conftest import write_zip
from tests.records.test_batches import HEADER, write_header

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
LABELS = np.array([3, 1, 4, 1, 5, 9])


def write_kind(folder, kind):
    """Write IMAGES as one of the kinds that are read."""
    path = folder / "a"
    if kind == "npz":
        np.savez(path.with_suffix(".npz"), IMAGES, LABELS)
    elif kind == "npz, compressed":
        np.savez_compressed(path.with_suffix(".npz"), IMAGES, LABELS, mu=np.zeros(3))
    elif kind == "npz, otherwise named":
        np.savez(folder / "b.npz", IMAGES)
        (folder / "b.npz").rename(path.with_suffix(".zip"))
    elif kind == "npy":
        np.save(path.with_suffix(".npy"), IMAGES)
    elif kind == "npy, named npz":
        np.save(folder / "b.npy", IMAGES)
        (folder / "b.npy").rename(path.with_suffix(".npz"))
    elif kind == "zip":
        write_zip(path.with_suffix(".zip"), IMAGES, LABELS)
    elif kind == "folder":
        with zipfile.ZipFile(write_zip(folder / "b.zip", IMAGES, LABELS)) as archive:
            archive.extractall(path)
    else:
        path.mkdir()
        np.savez(path / "1.npz", IMAGES[:2])
        np.savez(path / "2.npz", IMAGES[2:])
    return next(folder.glob("a*"))


KINDS = (
    "npz",
    "npz, compressed",
    "npz, otherwise named",
    "npy",
    "npy, named npz",
    "zip",
    "folder",
    "shards",
)


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_are_told_by_their_content(tmp_path, kind):
    path = write_kind(tmp_path, kind)
    for given in (path, str(path)):
        source = open_images(given)
        images, labels = read_all(source)
        np.testing.assert_array_equal(images, IMAGES)
        assert source.path == str(path) and source.num_jpegs == 0 and len(source.sha256) == 64
        if kind in ("npz", "npz, compressed", "zip", "folder"):
            np.testing.assert_array_equal(labels, LABELS)
        else:
            assert labels is None


def test_a_folder_of_batches_and_images_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", IMAGES)
    Image.fromarray(IMAGES[0]).save(tmp_path / "b.png")
    with pytest.raises(UserError, match=r"holds both batches \(a.npz\) and images \(b.png\)"):
        open_images(tmp_path)


def test_jpegs_need_to_be_asked_for(tmp_path):
    Image.fromarray(IMAGES[0]).save(tmp_path / "b.jpg")
    with pytest.raises(UserError, match=r"b.jpg: a JPEG; lossy compression moves FID"):
        open_images(tmp_path)
    assert open_images(tmp_path, allow_jpeg=True).num_jpegs == 1


def test_missing_files_are_told(tmp_path):
    for name, what in (("a.npz", ".npz"), ("a.zip", ".zip"), ("a", "file")):
        with pytest.raises(UserError, match=f"{name}: no such file; a readable {what} is needed"):
            open_images(tmp_path / name)


def test_missing_keys_are_told(tmp_path):
    np.savez(tmp_path / "a.npz", images=IMAGES)
    words = r"a.npz: holds \['images'\] and lacks \['arr_0'\]; images belong in arr_0"
    with pytest.raises(UserError, match=words):
        open_images(tmp_path / "a.npz")


def test_pickles_are_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "trapped"), "w"))

    np.savez(tmp_path / "a.npz", arr_0=np.array([Trap(), None], dtype=object))
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Trap()))
    np.savez(tmp_path / "c.npz", arr_0=IMAGES, mu=np.array([Trap(), None], dtype=object))
    np.save(tmp_path / "d.npy", np.array([Trap(), None], dtype=object))
    for name in ("a.npz", "b.npz", "d.npy"):
        with pytest.raises(UserError, match="pickled Python objects, which are never opened"):
            open_images(tmp_path / name)
    with pytest.raises(UserError, match=r"c\.npz: mu: holds pickled Python objects, which are"):
        load_statistics(tmp_path / "c.npz")
    assert open_images(tmp_path / "c.npz").num_images == 6
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_cut_files_are_told(tmp_path, share):
    np.savez(tmp_path / "a.npz", IMAGES)
    np.save(tmp_path / "a.npy", IMAGES)
    write_zip(tmp_path / "a.zip", IMAGES)
    for name in ("a.npz", "a.npy", "a.zip"):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: int(share * len(data))])
        with pytest.raises(UserError, match=f"{name}: not a readable {name[1:]}, it may be cut"):
            open_images(tmp_path / name)


def write_tar(path):
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("a.png"), io.BytesIO())


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: Image.fromarray(IMAGES[0]).save(path, "PNG"), "a single image; put the"),
        (lambda path: Image.fromarray(IMAGES[0]).save(path, "JPEG"), "a single image; put the"),
        (write_tar, "a tar file; unpack it"),
        (lambda path: path.write_bytes(gzip.compress(b"x")), "a gzip file; unpack it"),
        (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n"), "an HDF5 file; write its images to"),
        (lambda path: path.write_text("hello"), "not a readable file, it may be cut short"),
    ],
)
def test_other_kinds_are_told(tmp_path, write, words):
    write(tmp_path / "a")
    with pytest.raises(UserError, match=f"a: {words}"):
        open_images(tmp_path / "a")


def test_statistics_are_loaded_without_the_images(tmp_path):
    statistics = {
        "mu": np.arange(3.0),
        "sigma": np.eye(3),
        "num_images": np.array(7),
        "network_sha256": np.array("abc"),
    }
    images = np.zeros((6, 60, 60, 3), np.uint8)
    others = {"other": np.zeros(4), "single": np.array(4)}
    np.savez(tmp_path / "a.npz", images, LABELS, **others, **statistics)
    # With its pixels damaged, the file can only be read by who leaves them alone.
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[20_000] = 1
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(UserError, match="CRC"):
        read_all(open_images(tmp_path / "a.npz"))
    loaded = load_statistics(tmp_path / "a.npz")
    assert set(loaded) == set(statistics)
    for name, array in statistics.items():
        np.testing.assert_array_equal(loaded[name], array)


@pytest.mark.parametrize("kind", ["npz", "npy", "zip", "folder", "shards"])
def test_nothing_else_has_statistics(tmp_path, kind):
    assert load_statistics(write_kind(tmp_path, kind)) == {}


@pytest.mark.parametrize("kind", ["npz", "npz, compressed", "npy", "zip"])
def test_damage_anywhere_is_told_or_harmless(tmp_path, kind):
    path = write_kind(tmp_path, kind)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(80):
        data = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            data[rng.integers(len(data))] = rng.integers(256)
        path.write_bytes(data)
        try:
            assert sum(len(batch) for batch in open_images(path).iterate_batches(4)) <= 6
            load_statistics(path)
        except UserError as error:
            assert str(path) in str(error)


def test_a_malformed_header_is_not_called_pickled(tmp_path):
    path = write_header(tmp_path / "a.npz", HEADER + " " * 20_000)
    words = r"a\.npz: not a readable \.npz, .*malformed: Header info length \(20065\) is large"
    for read in (open_images, load_statistics):
        with pytest.raises(UserError, match=words) as caught:
            read(path)
        assert "pickle" not in str(caught.value)
