import pytest

from adm.datasets.formats import open_own_images
from adm.datasets.imagenet_classes import WNIDS
from adm.datasets.own_images import check_num_classes
from records.errors import UserError
from tests.adm.datasets.small_sources import (
    make_classes,
    make_tar,
    write_flat,
    write_imagenet_tar,
    write_lmdb,
    write_tree,
)
from tests.adm.datasets.test_image_archive import write_zip


def test_the_classes_of_ilsvrc_2012():
    assert len(WNIDS) == 1000
    assert list(WNIDS) == sorted(set(WNIDS))
    # Labels that everybody uses: tench, golden retriever, Pembroke, tabby, panda, toilet tissue.
    known = {0: "n01440764", 207: "n02099601", 263: "n02113023", 281: "n02123045"}
    known |= {388: "n02510455", 999: "n15075141"}
    assert {label: WNIDS[label] for label in known} == known


@pytest.mark.parametrize("form", ["tar", "tree", "flat", "zip"])
def test_every_form_of_imagenet_gives_the_same_labels(tmp_path, form):
    classes = make_classes()
    if form == "tar":
        path = write_imagenet_tar(tmp_path / "x.tar", classes)
    elif form == "zip":
        members = {f"{a}/{b}": c for a, one in classes.items() for b, c in one.items()}
        path = write_zip(tmp_path / "x.zip", members)
    else:
        path = (write_tree if form == "tree" else write_flat)(tmp_path / "x", classes)
    source = open_own_images("imagenet", path, num_classes=3)
    assert source.class_names == ("n01", "n02", "n03")
    assert [one.label for one in source.iterate_images()] == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_missing_inner_tars_are_named(tmp_path):
    path = tmp_path / "x.tar"
    empty = make_tar({})
    path.write_bytes(make_tar({f"{one}.tar": empty for one in WNIDS[:600] + WNIDS[601:]}))
    with pytest.raises(UserError, match=f"999 classes; 1000 are needed; missing: {WNIDS[600]}; "):
        open_own_images("imagenet", path)
    path.write_bytes(make_tar({f"{one}.tar": empty for one in [*WNIDS[:999], "n99"]}))
    words = "1000 classes; 1000 are needed; missing: n15075141; not of ILSVRC 2012: n99; get"
    with pytest.raises(UserError, match=words):
        open_own_images("imagenet", path)
    path.write_bytes(make_tar({"n01440764.tar": empty}))
    with pytest.raises(UserError, match=r"1 classes; 1000 are needed; missing: .* and 989 more"):
        open_own_images("imagenet", path)
    path.write_bytes(make_tar({f"{one}.tar": empty for one in reversed(WNIDS)}))
    assert open_own_images("imagenet", path).class_names == WNIDS


def test_another_number_of_classes(tmp_path):
    path = write_tree(tmp_path / "x", make_classes())
    with pytest.raises(UserError, match="3 classes; 10 are needed; get the rest of the data, or"):
        open_own_images("images", path, num_classes=10)
    with pytest.raises(UserError, match="no labels; 3 classes are needed: one folder per class"):
        open_own_images("images", path, labels="none", num_classes=3)
    check_num_classes("x", ("a", "b"), expected=2, imagenet=True)


def test_labels_can_be_left_out(tmp_path):
    path = write_imagenet_tar(tmp_path / "x.tar", make_classes())
    source = open_own_images("imagenet", path, labels="none", num_classes=3)
    assert (source.labelled, source.class_names) == (False, None)
    assert {one.label for one in source.iterate_images()} == {None}


@pytest.mark.parametrize("labels", ["auto", "none"])
def test_some_classes_are_labelled_in_sorted_order(tmp_path, labels):
    path = write_imagenet_tar(tmp_path / "x.tar", make_classes())
    source = open_own_images("imagenet", path, classes=["n03", "n01"], labels=labels)
    listed = list(source.iterate_images())
    assert [one.name[:3] for one in listed] == ["n01"] * 3 + ["n03"] * 3
    assert [one.label for one in listed] == ([0] * 3 + [1] * 3 if labels == "auto" else [None] * 6)
    assert source.class_names == (("n01", "n03") if labels == "auto" else None)


@pytest.mark.parametrize("classes", [["n01", "n01"], [], ["n01", "n07"]])
def test_classes_that_are_not_there(tmp_path, classes):
    path = write_imagenet_tar(tmp_path / "x.tar", make_classes())
    with pytest.raises(UserError, match=r"classes: got .* those there are: n01, n02, n03"):
        open_own_images("imagenet", path, classes=classes)
    flat = write_flat(tmp_path / "flat", make_classes())
    with pytest.raises(UserError, match="those there are: none with names"):
        open_own_images("images", flat, classes=["n01"])


def test_unknown_names(tmp_path):
    with pytest.raises(UserError, match="dataset: got 'cifar'; needed: one of imagenet, lsun, im"):
        open_own_images("cifar", tmp_path)
    with pytest.raises(UserError, match="labels: got 'names'; needed: one of auto, folders, pref"):
        open_own_images("images", tmp_path, labels="names")
    with pytest.raises(UserError, match="gone: no such file or folder; give the path of the im"):
        open_own_images("images", tmp_path / "gone")


def test_lsun(tmp_path):
    path = write_lmdb(tmp_path / "cat_lmdb", {b"1": b"2"})
    assert open_own_images("lsun", path).kind == "lmdb"


def test_what_is_no_folder_and_no_zip_is_told_by_what_it_is(tmp_path):
    path = write_imagenet_tar(tmp_path / "x.tar", make_classes())
    with pytest.raises(UserError, match=r"x\.tar: a tar; .* unpack it with `tar xf` and give the"):
        open_own_images("images", path)
    path = write_lmdb(tmp_path / "cat_lmdb", {b"1": b"2"})
    for one in (path, path / "data.mdb"):
        for dataset in ("images", "imagenet"):
            with pytest.raises(UserError, match=r": an lmdb, as LSUN comes; say --dataset lsun"):
                open_own_images(dataset, one)
