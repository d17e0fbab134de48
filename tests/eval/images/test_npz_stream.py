import re
import zipfile

import numpy as np
import pytest

from eval.images.npz_stream import describe_npz, inspect_images, iterate_rows, read_header
from records.errors import UserError
from tests.eval.peak_memory import measure_peaks

IMAGES = np.random.default_rng(0).integers(0, 256, (11, 6, 5, 3), dtype=np.uint8)


def write_big_npz(path, num_images, compression):
    """Write images of 64x64 px without ever holding them all."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (num_images, 64, 64, 3)}
    block = np.arange(64 * 64 * 3).astype(np.uint8).tobytes() * 50
    with (
        zipfile.ZipFile(path, "w", compression) as archive,
        archive.open("arr_0.npy", "w", force_zip64=True) as member,
    ):
        np.lib.format.write_array_header_1_0(member, header)
        for _ in range(num_images // 50):
            member.write(block)
    return path


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_peak_memory_does_not_grow_with_the_number_of_images(tmp_path, compression):
    few = write_big_npz(tmp_path / "few.npz", 250, compression)
    many = write_big_npz(tmp_path / "many.npz", 5000, compression)  # 59 MiB
    (small, large), counts = measure_peaks(few, many)
    assert counts == [250, 5000]
    assert large - small < 6, (small, large)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("batch_size", [1, 4, 11, 100])
def test_rows_come_in_order_whatever_the_batch_size(tmp_path, save, batch_size):
    save(tmp_path / "a.npz", IMAGES)
    batches = list(iterate_rows([tmp_path / "a.npz"], [11], (6, 5, 3), batch_size))
    assert {len(batch) for batch in batches[:-1]} <= {batch_size}
    np.testing.assert_array_equal(np.concatenate(batches), IMAGES)


def test_batches_go_on_across_files_and_stay_as_they_were(tmp_path):
    paths, counts = [], []
    for start, stop in ((0, 3), (3, 4), (4, 11)):
        paths.append(tmp_path / f"{start}.npz")
        counts.append(stop - start)
        np.savez(paths[-1], IMAGES[start:stop])
    batches = list(iterate_rows(paths, counts, (6, 5, 3), 4))
    assert [len(batch) for batch in batches] == [4, 4, 3]
    np.testing.assert_array_equal(np.concatenate(batches), IMAGES)


def test_a_consumer_that_stops_leaves_no_open_file(tmp_path):
    np.savez(tmp_path / "a.npz", IMAGES)
    rows = iterate_rows([tmp_path / "a.npz"], [11], (6, 5, 3), 2)
    next(rows)
    rows.close()
    assert list(rows) == []


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_headers_of_both_versions(tmp_path, version):
    with open(tmp_path / "a.npy", "wb") as file:
        np.lib.format.write_array(file, IMAGES, version=version)
    with open(tmp_path / "a.npy", "rb") as file:
        stored = read_header(file)
        assert file.read(5) == IMAGES.tobytes()[:5]
    assert (stored.dtype, stored.shape, stored.fortran_order) == (np.uint8, IMAGES.shape, False)


def test_other_versions_are_told(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x03\x00" + bytes(100))
    with pytest.raises(UserError, match=r"a.npy: not a readable .npy.*version \(3, 0\)"):
        inspect_images(tmp_path / "a.npy")


def test_the_arrays_of_an_npz_are_told_from_headers(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", IMAGES, mu=np.zeros(4))
    stored = describe_npz(tmp_path / "a.npz")
    assert stored["arr_0"].shape == (11, 6, 5, 3) and stored["arr_0"].compressed
    assert stored["mu"].dtype == np.float64
    np.savez(tmp_path / "a.npz", IMAGES)
    assert not describe_npz(tmp_path / "a.npz")["arr_0"].compressed


def test_fortran_order_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", np.asfortranarray(IMAGES))
    with pytest.raises(UserError, match=r"a.npz: arr_0: stored in Fortran order.*ascontiguous"):
        inspect_images(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (IMAGES / 255, "float64 [11, 6, 5, 3]; uint8 .* from 0 to 1, so 0 to 1 it seems"),
        (IMAGES / np.float32(127.5) - 1, "float32 .* from -1 to 1, so -1 to 1 it seems"),
        (IMAGES.astype(np.int64), "int64 .* from 0 to 255 and so fit: .*astype"),
        (IMAGES[..., [0, 1, 2, 2]], "so 4 channels; .*the fourth is alpha"),
        (IMAGES[:0], "holds no image; at least one"),
        (IMAGES[0], r"images are uint8 [6, 5, 3]; uint8 [n, h, w, 3] is needed"),
    ],
)
def test_wrong_images_are_told_from_their_first_values(tmp_path, images, words):
    np.savez_compressed(tmp_path / "a.npz", images)
    words = words.replace("[", r"\[").replace("]", r"\]")
    with pytest.raises(UserError, match=f"a.npz: arr_0: .*{words}"):
        inspect_images(tmp_path / "a.npz")


def write_with_header(path, shape, data):
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with zipfile.ZipFile(path, "w") as archive, archive.open("arr_0.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, header)
        member.write(data)


@pytest.mark.parametrize("shape", [(12, 6, 5, 3), (10, 6, 5, 3)])
def test_a_header_that_does_not_fit_its_data_is_told(tmp_path, shape):
    write_with_header(tmp_path / "a.npz", shape, IMAGES.tobytes())
    words = re.escape(f"{list(shape)} needs {90 * shape[0]} bytes, it holds 990")
    with pytest.raises(UserError, match=f"a.npz: not a readable .npz.*{words}"):
        inspect_images(tmp_path / "a.npz")


def test_headers_that_lie_are_told(tmp_path):
    write_with_header(tmp_path / "a.npz", (-11, 6, 5, 3), IMAGES.tobytes())
    with pytest.raises(UserError, match=r"a.npz: not a readable .npz.*a negative size"):
        inspect_images(tmp_path / "a.npz")
    write_with_header(tmp_path / "a.npz", (1, 100_000, 100_000, 3), b"")
    with pytest.raises(UserError, match=r"100000x100000 px are beyond the limit.*decompression"):
        inspect_images(tmp_path / "a.npz")


def damage(path, start, num_bytes):
    data = bytearray(path.read_bytes())
    data[start : start + num_bytes] = bytes(255 - one for one in data[start : start + num_bytes])
    path.write_bytes(data)


def test_a_wrong_checksum_is_found_with_the_last_row(tmp_path):
    path = tmp_path / "a.npz"
    images = np.zeros((11, 40, 40, 3), np.uint8)
    np.savez(path, images)
    damage(path, 20_000, 5)
    assert inspect_images(path) == images.shape
    rows = iterate_rows([path], [11], images.shape[1:], 4)
    assert [len(next(rows)) for _ in range(2)] == [4, 4]
    with pytest.raises(
        UserError, match=r"a.npz: arr_0: damaged at row 8 of 11, or before \(Bad CRC-32"
    ):
        next(rows)


def test_damage_of_compressed_rows_is_told_with_the_row(tmp_path):
    path = tmp_path / "a.npz"
    images = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    np.savez_compressed(path, images)
    damage(path, path.stat().st_size // 2, 3000)
    inspect_images(path)
    with pytest.raises(UserError, match=r"a.npz: arr_0: damaged at row \d+ of 40, or before"):
        list(iterate_rows([path], [40], (64, 64, 3), 8))


def test_a_file_that_changes_meanwhile_is_told(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, IMAGES[:5])
    with pytest.raises(UserError, match=r"a.npz: changed while it was read; run the same"):
        list(iterate_rows([path], [11], (6, 5, 3), 4))
    np.save(tmp_path / "a.npy", IMAGES)
    data = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(data[:-100])
    with pytest.raises(UserError, match=r"a.npy: damaged at row 9 of 11, or before \(it ends"):
        list(iterate_rows([tmp_path / "a.npy"], [11], (6, 5, 3), 4))
