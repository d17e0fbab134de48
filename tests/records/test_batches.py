"""Batches in the authors' layout."""

import json
import struct
import zipfile

import numpy as np
import pytest

from records.batches import join_batches, read_arrays, read_batch, write_batch
from records.errors import UserError
from records.files import sha256_file
from records.manifest import manifest_path, read_manifest

IMAGES = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
LABELS = np.array([3, 1], dtype=np.int64)


def test_numpy_reads_what_is_written(tmp_path):
    path = tmp_path / "samples.npz"
    write_batch(path, IMAGES, LABELS, {"seed": 0})
    with np.load(path, allow_pickle=False) as arrays:
        assert arrays.files == ["arr_0", "arr_1"]
        assert (arrays["arr_0"] == IMAGES).all() and arrays["arr_0"].dtype == np.uint8
        assert (arrays["arr_1"] == LABELS).all() and arrays["arr_1"].dtype == np.int64
    manifest = json.loads(manifest_path(path).read_text())
    assert manifest["seed"] == 0 and manifest["num_images"] == 2
    assert manifest["sha256"] == sha256_file(path)
    assert read_manifest(path) == manifest


def test_rows_are_read_without_the_others(tmp_path):
    images = np.arange(10 * 4 * 4 * 3, dtype=np.uint8).reshape(10, 4, 4, 3)
    write_batch(tmp_path / "b.npz", images, np.arange(10), {})
    for rows in (range(10), range(3, 7), range(9, 10), range(8, 12), range(12, 13)):
        there, labels = read_batch(tmp_path / "b.npz", rows)
        assert (there == images[rows.start : rows.stop]).all() and there.dtype == np.uint8
        assert labels.tolist() == list(range(10))[rows.start : rows.stop]
    np.savez_compressed(tmp_path / "c.npz", arr_0=images)
    assert (read_batch(tmp_path / "c.npz", range(2, 4))[0] == images[2:4]).all()
    np.savez(tmp_path / "f.npz", arr_0=np.asfortranarray(images))
    with pytest.raises(UserError, match="arr_0 has no rows one after the other"):
        read_batch(tmp_path / "f.npz", range(2, 4))


def test_we_read_what_numpy_writes(tmp_path):
    path = tmp_path / "theirs.npz"
    np.savez(path, IMAGES, LABELS.astype(np.int32))
    images, labels = read_batch(path)
    assert (images == IMAGES).all() and labels is not None and (labels == LABELS).all()
    assert read_manifest(path) is None


def test_same_arrays_make_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_batch(tmp_path / f"{name}.npz", IMAGES, None, {})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert read_batch(tmp_path / "a.npz")[1] is None


def test_refusals(tmp_path):
    path = tmp_path / "x.npz"
    with pytest.raises(UserError, match=r"uint8 \[n, h, w, 3\]"):
        write_batch(path, IMAGES.astype(np.float32), None, {})
    with pytest.raises(UserError, match=r"int64 \[2\]"):
        write_batch(path, IMAGES, LABELS[:1], {})
    with pytest.raises(UserError, match="no such file"):
        read_batch(path)
    path.write_bytes(b"not a zip")
    with pytest.raises(UserError, match="not a readable"):
        read_batch(path)
    np.savez(path, other=IMAGES)
    with pytest.raises(UserError, match="needs arr_0"):
        read_batch(path)
    np.savez(path, np.array([{"a": 1}], dtype=object))
    with pytest.raises(UserError, match="not a readable"):
        read_batch(path)
    write_batch(path, IMAGES, LABELS, {})
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match="not a readable"):
        read_batch(path)


def test_joined_batches_have_the_bytes_of_one_batch(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (7, 4, 4, 3), dtype=np.uint8)
    for labels in (np.arange(7), None):
        write_batch(tmp_path / "whole.npz", images, labels, {"seed": 0})
        parts = []
        for first, last in ((0, 3), (3, 4), (4, 7)):
            parts.append(tmp_path / f"{first}.npz")
            part = None if labels is None else labels[first:last]
            write_batch(parts[-1], images[first:last], part, {})
        join_batches(tmp_path / "joined.npz", parts, {"seed": 0})
        assert (tmp_path / "joined.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
        assert read_manifest(tmp_path / "joined.npz") == read_manifest(tmp_path / "whole.npz")


@pytest.mark.parametrize(
    ("images", "labels", "got"),
    [
        (IMAGES[:, :2], LABELS, r"images \[2, 2, 4, 3\] with labels do not fit"),
        (IMAGES, None, r"images \[2, 4, 4, 3\] without labels do not fit"),
    ],
)
def test_batches_that_do_not_fit_are_not_joined(tmp_path, images, labels, got):
    write_batch(tmp_path / "a.npz", IMAGES, LABELS, {})
    write_batch(tmp_path / "b.npz", images, labels, {})
    with pytest.raises(UserError, match=got):
        join_batches(tmp_path / "joined.npz", [tmp_path / "a.npz", tmp_path / "b.npz"], {})
    assert not (tmp_path / "joined.npz").exists()


HEADER = "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 4, 4, 3), }"


def write_header(path, header, magic=b"\x93NUMPY\1\0"):
    """Write an .npz whose arr_0 has a header of its own, and 48 bytes of values."""
    with zipfile.ZipFile(path, "w") as archive:
        head = magic + struct.pack("<H", len(header)) + header.encode()
        archive.writestr("arr_0.npy", head + bytes(48))
    return path


MALFORMED = {
    "long": (HEADER + " " * 20_000, r"arr_0 is malformed: Header info length \(20065\) is large"),
    "nulls": ("\0" * 5_000, r"arr_0 is malformed: Cannot parse header: .{,120}\.\.\."),
    "words": ("pickle", "arr_0 is malformed: malformed node or string"),
    "open": ("(" * 3_000, "arr_0 is malformed: "),
    "deep": ("(" * 4_000 + ")" * 4_000, "arr_0 is malformed: "),
    "type": (HEADER.replace("|u1", "|q9"), "arr_0 is malformed: descr is not a valid dtype"),
    "size": (HEADER.replace("(1,", "(-1,"), r"arr_0 is malformed: a negative size in \[-1, 4"),
    "huge": (
        HEADER.replace("(1,", f"({10**30},"),
        rf"arr_0 is uint8 \[{10**30}, .* holds 48 bytes",
    ),
    "objects": (HEADER.replace("|u1", "|O"), "arr_0 holds pickled Python objects, which are never"),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_header_is_called_so(tmp_path, kind):
    header, words = MALFORMED[kind]
    path = write_header(tmp_path / "x.npz", header)
    with pytest.raises(UserError, match=rf"x.npz: not a readable .npz .*{words}") as caught:
        read_batch(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    assert ("pickled" in str(caught.value)) == (kind == "objects")


def test_what_is_no_array_is_not_called_pickled(tmp_path):
    path = write_header(tmp_path / "x.npz", HEADER, magic=b"nonsense")
    with pytest.raises(UserError, match="arr_0 is malformed: the magic string is not correct"):
        read_batch(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(UserError, match="File is not a zip file"):
        read_batch(path)
    assert read_arrays(write_header(path, HEADER), ["arr_1"]) == {}
