import gzip
import io

import pytest

from adm.datasets.imagenet_tar import make_tar_reader, open_imagenet_tar
from adm.datasets.own_images import UnusableImage
from records.errors import UserError
from tests.adm.datasets.small_sources import (
    add_member,
    make_classes,
    make_jpeg,
    make_tar,
    tarfile,
    write_imagenet_tar,
)


def list_images(path):
    return list(open_imagenet_tar(path).iterate_images())


def test_labels_follow_the_sorted_wnids_and_bytes_are_the_members(tmp_path):
    classes = make_classes()
    source = open_imagenet_tar(write_imagenet_tar(tmp_path / "x.tar", classes))
    assert source.class_names == ("n01", "n02", "n03")
    listed = list(source.iterate_images())
    assert [one.label for one in listed] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [one.name for one in listed[:3]] == [f"n01.tar/n01_{one}.JPEG" for one in range(3)]
    read = make_tar_reader(source.path)
    for one in listed:
        name, file = one.name.split(".tar/")
        assert read(one.place) == classes[name][file]


def test_paths_inside_and_other_files_do_no_harm(tmp_path):
    inner = make_tar({"./n01/a_very_long_name" + "x" * 120 + ".JPEG": b"1", "notes.txt": b"2"})
    path = tmp_path / "x.tar"
    path.write_bytes(make_tar({"./train/n01.tar": inner, "README": b"3", "._n01.tar": b"4"}))
    first, second, *outer = list_images(path)
    assert make_tar_reader(path)(first.place) == b"1"
    assert (second.name, second.place) == ("n01.tar/notes.txt", [])
    assert [(one.name, one.place) for one in outer] == [("README", []), ("._n01.tar", [])]


def test_other_kinds_of_tar(tmp_path):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as archive:
        add_member(archive, "ünï" + "x" * 150 + ".JPEG", b"123")
        folder = tarfile.TarInfo("folder.JPEG")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        link = tarfile.TarInfo("link.JPEG")
        link.type, link.linkname = tarfile.SYMTYPE, "a.JPEG"
        archive.addfile(link)
    path = tmp_path / "x.tar"
    path.write_bytes(make_tar({"n01.tar": content.getvalue()}))
    link, image = list_images(path)
    assert not link.place
    assert make_tar_reader(path)(image.place) == b"123"


@pytest.mark.parametrize("share", [0.2, 0.5, 0.7])
def test_half_an_archive(tmp_path, share):
    path = write_imagenet_tar(tmp_path / "x.tar", make_classes(num_images=6))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match=r"x\.tar: .*cut short.*get the archive again"):
        list_images(path)


def test_an_archive_that_ends_between_two_members(tmp_path):
    classes = {name: make_tar(one) for name, one in make_classes().items()}
    path = tmp_path / "x.tar"
    whole = make_tar({f"{name}.tar": one for name, one in classes.items()})
    path.write_bytes(whole[: whole.index(b"n01.tar\0")])
    with pytest.raises(UserError, match=r"neither a header nor the end of the archive is there"):
        list_images(path)


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path):
    path = write_imagenet_tar(tmp_path / "x.tar", make_classes())
    content = bytearray(path.read_bytes())
    place = content.index(b"n01_1.JPEG")
    content[place + 150] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"n01\.tar: cut short or damaged at byte \d+ of"):
        list_images(path)


def test_a_half_inner_tar(tmp_path):
    inner = make_tar({"n01_1.JPEG": make_jpeg(), "n01_2.JPEG": make_jpeg()})
    path = tmp_path / "x.tar"
    path.write_bytes(make_tar({"n01.tar": inner[:1024]}))
    with pytest.raises(UserError, match=r"n01\.tar: .*cut short"):
        list_images(path)


def test_two_inner_tars_with_one_name(tmp_path):
    path = tmp_path / "x.tar"
    path.write_bytes(make_tar({"a/n01.tar": make_tar({}), "b/n01.tar": make_tar({})}))
    with pytest.raises(UserError, match=r"two classes with one name, 'n01' and 'n01'"):
        open_imagenet_tar(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a tar, damaged or cut short"),
        (b"no tar" * 1000, "not a tar, damaged or cut short"),
        (gzip.compress(make_tar({"n01.tar": b"1"}), mtime=0), "compressed; .*decompress it first"),
        (make_tar({"n01/n01_1.JPEG": b"1"}), "no inner tars among its 1 members; needed: the"),
    ],
)
def test_no_archive_of_imagenet(tmp_path, content, words):
    path = tmp_path / "x.tar"
    path.write_bytes(content)
    with pytest.raises(UserError, match=words):
        open_imagenet_tar(path)


def test_missing(tmp_path):
    with pytest.raises(UserError, match=r"cannot be read \(No such file.*ILSVRC2012_img_train"):
        open_imagenet_tar(tmp_path / "x.tar")


def test_reader_of_a_file_that_became_shorter(tmp_path):
    path = write_imagenet_tar(tmp_path / "x.tar", make_classes())
    listed = list_images(path)
    path.write_bytes(path.read_bytes()[: listed[0].place[0] + 5])
    with pytest.raises(UnusableImage, match="the file ends after 5 of"):
        make_tar_reader(path)(listed[0].place)
    with pytest.raises(UnusableImage, match="empty file"):
        make_tar_reader(path)([0, 0])
    with pytest.raises(UnusableImage, match="more than the 268435456 that are read"):
        make_tar_reader(path)([0, 2**40])


def test_a_negative_size(tmp_path):
    """It sends tarfile back to where it was."""
    first, second = tarfile.TarInfo("a.JPEG"), bytearray(tarfile.TarInfo("b.JPEG").tobuf())
    second[124:136] = b"\xff" * 10 + b"\xfe\x00"  # -512
    second[148:156] = b" " * 8
    second[148:156] = b"%06o\0 " % sum(second)
    inner = first.tobuf() + bytes(second) + bytes(10240)
    outer = tmp_path / "x.tar"
    outer.write_bytes(make_tar({"n01.tar": inner}))
    with pytest.raises(UserError, match=r"n01\.tar: damaged: b\.JPEG has a negative size; get the"):
        list_images(outer)
    outer.write_bytes(inner)
    with pytest.raises(UserError, match=r"x\.tar: damaged: b\.JPEG has a negative size; get the"):
        list_images(outer)
