import pytest

from adm.datasets.lsun_lmdb import make_lmdb_reader, open_lsun
from adm.datasets.own_images import UnusableImage
from records.errors import UserError
from tests.adm.datasets.small_sources import encode, make_jpeg, make_pixels, write_lmdb

VALUES = {
    b"b2": encode(make_pixels(20, 30), "WEBP", lossless=True),
    b"a1": make_jpeg(),
    b"\xff\x00c": b"no image",
}


def test_values_in_the_order_of_keys(tmp_path):
    source = open_lsun(write_lmdb(tmp_path / "x_lmdb", VALUES))
    assert not source.labelled
    listed = list(source.iterate_images())
    assert [one.place[0].encode("latin-1") for one in listed] == [b"a1", b"b2", b"\xff\x00c"]
    read = make_lmdb_reader(source.path)
    assert [read(one.place) for one in listed] == [VALUES[one] for one in sorted(VALUES)]
    with pytest.raises(UnusableImage, match="no such key"):
        read(["zz"])


def test_the_file_itself(tmp_path):
    path = write_lmdb(tmp_path / "x_lmdb", VALUES) / "data.mdb"
    assert len(list(open_lsun(path).iterate_images())) == 3


def test_no_lmdb(tmp_path):
    with pytest.raises(UserError, match=r"data\.mdb: no such file; give the folder of data\.mdb"):
        open_lsun(tmp_path)
    (tmp_path / "data.mdb").write_bytes(b"PK no lmdb" * 1000)
    with pytest.raises(UserError, match=r"not an lmdb, or damaged .* unpacked from LSUN's zip"):
        open_lsun(tmp_path)


def test_cut_short(tmp_path):
    """Reading behind the end of the file would end the process without a word."""
    values = {b"%03d" % one: bytes(9000) for one in range(50)}
    data = write_lmdb(tmp_path / "x", values) / "data.mdb"
    content = data.read_bytes()
    data.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"data\.mdb: cut short: \d+ of \d+ bytes; unpack it again"):
        open_lsun(tmp_path / "x")


@pytest.mark.parametrize("page", [2, 3, 5, -1])
def test_a_zeroed_page(tmp_path, page):
    """The library ends the process at some of them."""
    values = {b"%03d" % one: bytes(700) for one in range(200)}
    path = write_lmdb(tmp_path / "x", values)
    content = bytearray((path / "data.mdb").read_bytes())
    start = page * 4096 % len(content)
    content[start : start + 4096] = bytes(4096)
    (path / "data.mdb").write_bytes(content)
    with pytest.raises(UserError, match=r"x: damaged \(.*\); unpack it again"):
        list(open_lsun(path).iterate_images())
