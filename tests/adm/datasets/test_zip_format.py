import io
import zipfile
import zlib

from adm.datasets.image_zip import _write_member
from adm.datasets.zip_format import make_directory_end, make_directory_entry, make_local_header


def write_ours(members, start=0):
    content, directory = bytearray(), bytearray()
    for name, data in members.items():
        crc32 = zlib.crc32(data)
        offset = start + len(content)
        content += make_local_header(name, num_bytes=len(data), crc32=crc32) + data
        directory += make_directory_entry(name, num_bytes=len(data), crc32=crc32, offset=offset)
    end = make_directory_end(
        num_files=len(members), num_bytes=len(directory), offset=start + len(content)
    )
    return bytes(content + directory) + end


def write_pythons(file, members):
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            _write_member(archive, name, data)


def test_the_same_bytes_as_the_other_datasets():
    members = {"00000/img00000000.png": b"abc", "dataset.json": b"{}", "e": b""}
    theirs = io.BytesIO()
    write_pythons(theirs, members)
    assert write_ours(members) == theirs.getvalue()


def test_beyond_two_gigabytes(tmp_path):
    """Python's own writer, begun at an offset of a file full of holes."""
    members = {"00000/img00000000.png": b"abc", "dataset.json": b"{}"}
    path, start = tmp_path / "x.zip", 3 * 2**30
    with open(path, "wb+") as file:
        file.seek(start)
        write_pythons(file, members)
        file.seek(start)
        assert file.read() == write_ours(members, start)


def test_more_files_than_sixteen_bits_count():
    members = {f"{one:06d}": b"" for one in range(2**16)}
    theirs = io.BytesIO()
    write_pythons(theirs, members)
    assert write_ours(members) == theirs.getvalue()
    assert len(make_directory_end(num_files=2**16 - 1, num_bytes=1, offset=1)) == 22
    assert len(make_directory_end(num_files=2**16, num_bytes=1, offset=1)) == 22 + 56 + 20
