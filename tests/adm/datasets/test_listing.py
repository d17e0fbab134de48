import os
import shutil

import pytest

from adm.datasets import listing
from adm.datasets.formats import open_own_images
from adm.datasets.image_archive import open_image_archive
from adm.datasets.image_tree import open_image_folder
from adm.datasets.imagenet_tar import open_imagenet_tar
from adm.datasets.listing import iterate_listing, make_listing
from adm.datasets.own_images import OTHERS
from records.errors import UserError
from tests.adm.datasets.small_sources import make_classes, write_imagenet_tar, write_tree


def list_tree(tmp_path):
    (tmp_path / "state").mkdir(exist_ok=True)
    return make_listing(open_image_folder(tmp_path / "x"), tmp_path / "state")


def test_a_list_holds_what_the_source_lists(tmp_path):
    write_tree(tmp_path / "x", {**make_classes(), "n04": {"1.png": b"1", "notes.txt": b"2"}})
    summary, num_same = list_tree(tmp_path)
    assert (summary.num_images, summary.num_classes, num_same) == (10, 4, 0)
    assert (summary.num_ignored, summary.some_ignored) == (1, ["n04/notes.txt"])
    assert summary.ignored == {OTHERS: 1}
    images = [one for one in open_image_folder(tmp_path / "x").iterate_images() if one.place]
    assert list(iterate_listing(tmp_path / "state")) == images
    assert list(iterate_listing(tmp_path / "state", 7)) == images[7:]


def test_a_folder_is_listed_anew_and_compared(tmp_path):
    write_tree(tmp_path / "x", make_classes())
    list_tree(tmp_path)
    assert list_tree(tmp_path)[1] == 9
    os.utime(tmp_path / "x" / "n02" / "n02_1.JPEG", ns=(1, 1))
    assert list_tree(tmp_path)[1] == 4
    (tmp_path / "x" / "n01" / "n01_0.JPEG").unlink()
    summary, num_same = list_tree(tmp_path)
    assert (summary.num_images, num_same) == (8, 0)


def test_an_archive_is_listed_once_unless_it_changed(tmp_path, monkeypatch):
    path = write_imagenet_tar(tmp_path / "x.tar", make_classes())
    first = make_listing(open_imagenet_tar(path), tmp_path)
    calls = []
    write = listing._write_listing
    monkeypatch.setattr(listing, "_write_listing", lambda *all_: calls.append(1) or write(*all_))
    assert make_listing(open_imagenet_tar(path), tmp_path) == (first[0], 9)
    assert calls == []
    os.utime(path, ns=(1, 1))
    assert make_listing(open_imagenet_tar(path), tmp_path)[1] == 0
    assert make_listing(open_imagenet_tar(path), tmp_path)[1] == 9
    (tmp_path / "listing.jsonl").write_text("[]\n")
    assert make_listing(open_imagenet_tar(path), tmp_path)[1] == 0
    assert calls == [1, 1]


def test_a_list_of_other_classes_or_labels_is_not_taken(tmp_path):
    path = tmp_path / "x.tar"
    write_imagenet_tar(path, make_classes())
    make_listing(open_imagenet_tar(path), tmp_path)
    chosen = open_own_images("imagenet", path, classes=["n01", "n03"])
    summary, num_same = make_listing(chosen, tmp_path)
    assert (summary.num_images, summary.num_classes, num_same) == (6, 2, 0)
    assert {one.label for one in iterate_listing(tmp_path)} == {0, 1}
    unlabelled = open_own_images("imagenet", path, labels="none", num_classes=3)
    summary, num_same = make_listing(unlabelled, tmp_path)
    assert (summary.num_images, summary.num_classes, num_same) == (9, None, 0)


def test_empty_classes_are_named(tmp_path):
    write_tree(tmp_path / "x", {**make_classes(), "n00": {}, "n05": {"notes.txt": b"1"}})
    words = "no image in 2 of 5 classes: n00, n05; fill or remove"
    with pytest.raises(UserError, match=words):
        list_tree(tmp_path)
    archive = shutil.make_archive(str(tmp_path / "x"), "zip", tmp_path / "x")
    with pytest.raises(UserError, match=rf"x\.zip: {words}"):
        make_listing(open_image_archive(archive), tmp_path / "state")


def test_no_image_at_all(tmp_path):
    write_tree(tmp_path / "x", {"a": {"notes.txt": b"1"}})
    with pytest.raises(UserError, match="no image in it; 1 files that are no images by their na"):
        list_tree(tmp_path)
