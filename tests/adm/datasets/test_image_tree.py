import os
import re
import subprocess
import sys

import pytest

from adm.datasets.image_tree import make_folder_reader, open_image_folder
from adm.datasets.own_images import HIDDEN, LINKS, OTHERS, SPECIAL, UnusableImage
from records.errors import UserError
from tests.adm.datasets.small_sources import make_classes, make_jpeg, write_flat, write_tree
from tests.ground.test_permissions import ROOT, powerless


def names_and_labels(source):
    return [(one.name, one.label) for one in source.iterate_images() if one.place]


def test_one_folder_per_class(tmp_path):
    classes = make_classes(num_images=2)
    source = open_image_folder(write_tree(tmp_path / "x", classes))
    assert source.class_names == ("n01", "n02", "n03")
    got = names_and_labels(source)
    assert got[:3] == [("n01/n01_0.JPEG", 0), ("n01/n01_1.JPEG", 0), ("n02/n02_0.JPEG", 1)]
    read = make_folder_reader(source.path)
    place = next(iter(source.iterate_images())).place
    assert read(place) == classes["n01"]["n01_0.JPEG"]


def test_the_authors_labels_by_prefix(tmp_path):
    source = open_image_folder(write_flat(tmp_path / "x", make_classes()), labels="prefix")
    assert source.class_names == ("n01", "n02", "n03")
    assert [label for _, label in names_and_labels(source)] == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_without_labels(tmp_path):
    source = open_image_folder(write_flat(tmp_path / "x", make_classes()))
    assert not source.labelled
    assert {label for _, label in names_and_labels(source)} == {None}
    tree = open_image_folder(write_tree(tmp_path / "y", make_classes()), labels="none")
    assert len(names_and_labels(tree)) == 9
    assert not tree.labelled


def test_deeper_folders_belong_to_their_class(tmp_path):
    write_tree(tmp_path, {"a": {"2.png": b"1"}, "a/b": {"1.png": b"2"}, "c": {"3.png": b"3"}})
    got = names_and_labels(open_image_folder(tmp_path))
    assert got == [("a/2.png", 0), ("a/b/1.png", 0), ("c/3.png", 1)]


def test_classes_that_lie_a_folder_deeper(tmp_path):
    folders, path = ("val/dog", "train/cat", "train/dog/big"), tmp_path / "x{y}"
    write_tree(path, {one: {"1.png": b"1"} for one in folders} | {"val/none": {}})
    words = (
        f"{path}: no image is in its folders themselves (train, val), and train holds several "
        "folders of images (cat, dog), so it is not clear what the classes are; give "
        f"{path}/train, or say --labels folders"
    )
    with pytest.raises(UserError, match=re.escape(words)):
        open_image_folder(path)
    assert open_image_folder(path / "train").class_names == ("cat", "dog")
    assert open_image_folder(path, labels="folders").class_names == ("train", "val")
    assert not open_image_folder(path, labels="none").labelled


def test_one_folder_in_each_class_is_a_part_of_it(tmp_path):
    """The layout of Tiny ImageNet."""
    write_tree(tmp_path, {f"{name}/images": {"1.png": b"1"} for name in ("n01", "n02")})
    (tmp_path / "n01" / "boxes.txt").write_text("1")
    (tmp_path / "n01" / "empty").mkdir()
    got = names_and_labels(open_image_folder(tmp_path))
    assert got == [("n01/images/1.png", 0), ("n02/images/1.png", 1)]


def test_what_is_no_image_is_listed_as_that(tmp_path):
    write_tree(tmp_path, {"a": {"1.png": b"1", "notes.txt": b"2", ".hidden.png": b"3"}})
    write_tree(tmp_path, {"__MACOSX": {"1.png": b"1"}, ".git": {"1.png": b"1"}})
    source = open_image_folder(tmp_path)
    assert source.class_names == ("a",)
    assert [(one.name, one.why) for one in source.iterate_images()] == [
        ("a/.hidden.png", HIDDEN),
        ("a/1.png", ""),
        ("a/notes.txt", OTHERS),
        (".git/1.png", HIDDEN),
        ("__MACOSX/1.png", HIDDEN),
    ]


def test_a_changed_file_is_another_place(tmp_path):
    source = open_image_folder(write_tree(tmp_path, {"a": {"1.png": b"1"}}))
    before = next(iter(source.iterate_images()))
    os.utime(tmp_path / "a" / "1.png", ns=(1, 1))
    assert next(iter(source.iterate_images())) != before


def test_links(tmp_path):
    write_tree(tmp_path / "elsewhere", {"a": {"1.png": b"1"}})
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a").symlink_to(tmp_path / "elsewhere" / "a")
    write_tree(tmp_path / "x", {"b": {}})
    (tmp_path / "x" / "b" / "nothing.png").symlink_to(tmp_path / "gone")
    (tmp_path / "x" / "b" / "circle").symlink_to(tmp_path / "x")
    source = open_image_folder(tmp_path / "x")
    assert names_and_labels(source) == [("a/1.png", 0), ("b/nothing.png", 1)]
    assert [(one.name, one.why) for one in source.iterate_images() if not one.place] == [
        ("b/circle", LINKS)
    ]
    with pytest.raises(UnusableImage, match="cannot be read \\(No such file"):
        make_folder_reader(tmp_path / "x")(["b/nothing.png", 0, 0])


def test_two_classes_with_one_name(tmp_path):
    write_tree(tmp_path, {"cat": {"1.png": b"1"}, "Cat": {"1.png": b"1"}})
    with pytest.raises(UserError, match=r"two classes with one name, 'Cat' and 'cat'; every class"):
        open_image_folder(tmp_path)
    (tmp_path / "x").mkdir()
    write_tree(tmp_path / "x", {"\u00e9t": {"1.png": b""}, "e\u0301t": {"1.png": b""}})
    with pytest.raises(UserError, match="two classes with one name"):
        open_image_folder(tmp_path / "x")


def test_images_beside_folders(tmp_path):
    write_tree(tmp_path, {"a": {"1.png": b"1"}})
    (tmp_path / "2.png").write_bytes(make_jpeg())
    with pytest.raises(
        UserError, match=r"1 images \(as 2\.png\) are beside folders of images \(as a\)"
    ):
        open_image_folder(tmp_path)


def test_name_without_prefix(tmp_path):
    write_flat(tmp_path / "x", {"a": {"a_1.png": b"1", "b.png": b"2"}})
    with pytest.raises(UserError, match=r"'b\.png' has no underscore; .* <class>_<anything>"):
        open_image_folder(tmp_path / "x", labels="prefix")


def test_no_folders_and_no_folder(tmp_path):
    write_flat(tmp_path / "x", {"a": {"a_1.png": b"1"}})
    with pytest.raises(UserError, match="no folders in it; one folder per class is needed"):
        open_image_folder(tmp_path / "x", labels="folders")
    with pytest.raises(UserError, match=r"cannot be read \(No such file"):
        open_image_folder(tmp_path / "y")


def test_folder_without_permission(tmp_path):
    """In a process without root's powers, so that the folder's mode binds whoever runs this."""
    (tmp_path / "x").mkdir(mode=0)
    program = f"from adm.datasets.image_tree import *; open_image_folder({str(tmp_path / 'x')!r})"
    done = subprocess.run(
        [*powerless(), sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True
    )
    assert "UserError" in done.stderr and "cannot be read (Permission denied)" in done.stderr


def test_a_named_pipe_is_left_out(tmp_path):
    write_tree(tmp_path, {"a": {"1.png": b"1"}})
    os.mkfifo(tmp_path / "a" / "2.png")
    listed = list(open_image_folder(tmp_path).iterate_images())
    assert [(one.name, one.why) for one in listed] == [("a/1.png", ""), ("a/2.png", SPECIAL)]
