import json
import zipfile

import pytest

from adm.datasets.image_archive import make_archive_reader, open_image_archive
from adm.datasets.own_images import UnusableImage
from records.errors import UserError
from tests.adm.datasets.small_sources import make_jpeg


def write_zip(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def labels_of(source):
    return {one.name: one.label for one in source.iterate_images() if one.place}


def edm(labels):
    return json.dumps({"labels": labels})


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_folders_are_classes_and_bytes_are_the_members(tmp_path, method):
    members = {"b/1.jpg": make_jpeg(seed=1), "a/2.jpg": make_jpeg(seed=2), "a/1.jpg": b"x" * 5000}
    source = open_image_archive(write_zip(tmp_path / "x.zip", members, method))
    assert source.class_names == ("a", "b")
    assert list(labels_of(source).items()) == [("a/1.jpg", 0), ("a/2.jpg", 0), ("b/1.jpg", 1)]
    read = make_archive_reader(source.path)
    for one in source.iterate_images():
        assert read(one.place) == members[one.name]


def test_one_folder_around_everything_is_passed_over(tmp_path):
    members = {"all/train/b/1.jpg": b"1", "all/train/a/1.jpg": b"2", "all/train/a/readme": b"3"}
    source = open_image_archive(write_zip(tmp_path / "x.zip", members))
    assert source.class_names == ("a", "b")


def test_a_folder_without_images_is_a_class_too(tmp_path):
    members = {"in/dog/1.jpg": b"1", "in/cat/1.jpg": b"2", "in/": b"", "in/bird/": b""}
    members |= {"in/fish/notes.txt": b"3", "in/.git/": b"", "beside/": b""}
    source = open_image_archive(write_zip(tmp_path / "x.zip", members))
    assert source.class_names == ("bird", "cat", "dog", "fish")
    assert labels_of(source) == {"in/cat/1.jpg": 1, "in/dog/1.jpg": 2}


def test_classes_that_lie_a_folder_deeper(tmp_path):
    names = ("in/val/dog/1.png", "in/train/dog/1.png", "in/train/cat/1.png")
    path = write_zip(tmp_path / "x.zip", dict.fromkeys(names, b"1"))
    words = (
        r"x\.zip: no image is in its folders themselves \(train, val\), and train holds several "
        r"folders of images \(cat, dog\), .*; give its folder in/train alone, as a folder or in"
    )
    with pytest.raises(UserError, match=words):
        open_image_archive(path)
    assert open_image_archive(path, labels="folders").class_names == ("train", "val")
    path = write_zip(tmp_path / "y.zip", dict.fromkeys((*names, "in/val/1.png"), b"1"))
    assert open_image_archive(path).class_names == ("train", "val")


def test_one_folder_in_each_class_is_a_part_of_it(tmp_path):
    members = {"n01/images/1.png": b"1", "n02/images/1.png": b"2", "n01/boxes.txt": b"3"}
    source = open_image_archive(write_zip(tmp_path / "x.zip", members))
    assert labels_of(source) == {"n01/images/1.png": 0, "n02/images/1.png": 1}


def test_edm_labels_come_first(tmp_path):
    members = {
        "00000/a.png": b"1",
        "00000/b.png": b"2",
        "dataset.json": edm([["00000/b.png", 0], ["00000/a.png", 2]]),
    }
    source = open_image_archive(write_zip(tmp_path / "x.zip", members))
    assert labels_of(source) == {"00000/a.png": 2, "00000/b.png": 0}
    assert (source.class_names, source.labelled) == (None, True)
    unlabelled = open_image_archive(
        write_zip(tmp_path / "y.zip", {"00000/a.png": b"1", "dataset.json": edm(None)})
    )
    assert not unlabelled.labelled
    by_folder = open_image_archive(tmp_path / "x.zip", labels="folders")
    assert by_folder.class_names == ("00000",)


def test_prefix_and_none(tmp_path):
    path = write_zip(tmp_path / "x.zip", {"n02_1.JPEG": b"1", "n01_7.JPEG": b"2"})
    assert labels_of(open_image_archive(path, labels="prefix")) == {
        "n02_1.JPEG": 1,
        "n01_7.JPEG": 0,
    }
    assert not open_image_archive(path).labelled


def test_hidden_files_are_passed_over(tmp_path):
    members = {"a/1.jpg": b"1", "b/1.jpg": b"2", "__MACOSX/a/._1.jpg": b"3", ".DS_Store": b"4"}
    assert open_image_archive(write_zip(tmp_path / "x.zip", members)).class_names == ("a", "b")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([["a.png", 3], ["b.png", 0]], r"a\.png has label 3; labels are 0 to 2"),
        ([["a.png", -1], ["b.png", 0]], r"a\.png has label -1; labels are 0 to 2"),
        ([["a.png", 1.5], ["b.png", 0]], r"a\.png has label 1\.5"),
        ([["a.png", True], ["b.png", 0]], r"a\.png has label True"),
        ([["c.png", 0]], r"names 'c\.png', which is not there"),
        ([["a.png", 0]], r"no label for 'b\.png'"),
        ([["a.png"]], r"dataset\.json is not"),
        (7, r"dataset\.json is not"),
    ],
)
def test_wrong_labels(tmp_path, labels, words):
    members = {"a.png": b"1", "b.png": b"2", "dataset.json": edm(labels)}
    with pytest.raises(UserError, match=words):
        open_image_archive(write_zip(tmp_path / "x.zip", members), num_classes=3)


def test_names_that_are_there_twice(tmp_path):
    with (
        pytest.warns(UserWarning, match="Duplicate name"),
        zipfile.ZipFile(tmp_path / "x.zip", "w") as archive,
    ):
        archive.writestr("a/1.png", b"1")
        archive.writestr("a/1.png", b"2")
    with pytest.raises(UserError, match=r"the name 'a/1\.png' is there twice"):
        open_image_archive(tmp_path / "x.zip")
    path = write_zip(tmp_path / "y.zip", {"cat/1.png": b"1", "CAT/1.png": b"2"})
    with pytest.raises(UserError, match="two classes with one name, 'CAT' and 'cat'"):
        open_image_archive(path)


def test_unclear_classes(tmp_path):
    path = write_zip(tmp_path / "x.zip", {"1.png": b"1", "a/1.png": b"2"})
    with pytest.raises(UserError, match=r"1 images \(as 1\.png\) are beside folders of images"):
        open_image_archive(path)
    with pytest.raises(UserError, match=r"'1\.png' has no underscore"):
        open_image_archive(path, labels="prefix")


def test_cut_short_foreign_and_missing(tmp_path):
    path = write_zip(tmp_path / "x.zip", {"a/1.png": make_jpeg()})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UserError, match=r"not a zip, or cut short .* get it again"):
        open_image_archive(path)
    with pytest.raises(UserError, match=r"cannot be read \(No such file"):
        open_image_archive(tmp_path / "y.zip")


def test_members_that_cannot_be_used(tmp_path):
    path = write_zip(tmp_path / "x.zip", {"a/1.png": make_jpeg()})
    (place,) = (one.place for one in open_image_archive(path).iterate_images())
    offset, packed_bytes, num_bytes, method, crc = place
    read = make_archive_reader(path)
    for wrong, words in [
        ([offset, packed_bytes, num_bytes, -1, crc], "encrypted"),
        ([offset, packed_bytes, num_bytes, 14, crc], "packed by method 14"),
        ([offset + 1, packed_bytes, num_bytes, method, crc], "directory does not fit"),
        ([offset, packed_bytes, num_bytes, method, crc ^ 1], "its size or CRC-32 is another"),
        ([offset, packed_bytes, num_bytes - 1, method, crc], "its size or CRC-32 is another"),
        ([offset, packed_bytes, 2**33, method, crc], "more than the 268435456"),
        ([offset, packed_bytes, 0, method, crc], "empty file"),
    ]:
        with pytest.raises(UnusableImage, match=words):
            read(wrong)
    content = bytearray(path.read_bytes())
    content[40:60] = b"\xff" * 20
    path.write_bytes(content)
    with pytest.raises(UnusableImage, match=r"cannot be unpacked|CRC-32 is another"):
        make_archive_reader(path)(place)
