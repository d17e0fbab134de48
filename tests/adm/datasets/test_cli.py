import argparse
import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from adm.datasets.cli import add_arguments, run
from adm.datasets.digits import make_digits
from adm.datasets.image_zip import ImageZip
from records.errors import main_guard
from records.files import write_json
from tests.adm.datasets.small_sources import (
    encode,
    make_classes,
    make_jpeg,
    make_pixels,
    write_imagenet_tar,
    write_lmdb,
    write_tree,
)


def command(*arguments):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return main_guard(lambda _: run(parser.parse_args([str(one) for one in arguments])))()


def spec_file(tmp_path, **spec):
    write_json(tmp_path / "spec.json", spec)
    return tmp_path / "spec.json"


def test_digits_by_spec_are_as_before(tmp_path):
    spec = spec_file(tmp_path, dataset="digits", image_size_px=4, classes=[1, 7])
    assert command("--spec", spec, "--out", tmp_path / "a" / "x.zip") == 0
    make_digits(tmp_path / "b" / "x.zip", image_size_px=4, classes=[1, 7])
    digests = [hashlib.sha256((tmp_path / one / "x.zip").read_bytes()).digest() for one in "ab"]
    assert digests[0] == digests[1]


def test_by_hand(tmp_path, capsys):
    path = write_tree(tmp_path / "in", make_classes())
    options = ["--dataset", "images", "--image-size-px", 16, "--workers", 1, "--licence", "CC0"]
    assert command(*options, "--path", path, "--out", tmp_path / "x.zip") == 0
    said = capsys.readouterr().out
    assert "x.zip: 9 images of 16x16 px, 3 classes, " in said
    assert "images/s; " in said
    assert json.loads((tmp_path / "x.manifest.json").read_text())["licence"] == "CC0"
    small = [*options[:2], "--image-size-px", 64, *options[4:6]]
    assert command(*small, "--path", path, "--out", tmp_path / "y.zip") == 0
    assert "note: 9 of 9 images were smaller than the size asked for" in capsys.readouterr().out


def test_all_that_is_left_out_is_said(tmp_path, capsys):
    clear = encode(Image.new("RGBA", (16, 16), (9, 9, 9, 0)), "PNG")
    for name, files in {
        "10": {"1.jfif": make_jpeg()},
        "9": {"2.png": clear, "read.me": b""},
    }.items():
        write_tree(tmp_path / "in", {name: {**files, ".DS_Store": b"1"}})
    (tmp_path / "in" / "9" / "more").symlink_to(tmp_path)
    options = ["--dataset", "images", "--image-size-px", 16, "--workers", 1]
    assert command(*options, "--path", tmp_path / "in", "--out", tmp_path / "x.zip") == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "classes: 0 9, 1 10",
        "note: left out: 1 files that are no images by their names, 2 hidden files, 1 links to "
        "folders, as 9/.DS_Store, 9/more, 9/read.me",
        "note: 1 of 2 images are transparent in places; that is dropped, and the colour behind it "
        "shows",
        "note: 1 of 2 images were not square; what is beside the middle square was cut off",
    ]
    assert ImageZip(tmp_path / "x.zip").class_names == ("9", "10")


@pytest.mark.parametrize("by", ["hand", "spec"])
def test_grey_images(tmp_path, capsys, by):
    grey = Image.fromarray(make_pixels(16, 16)[..., 0])
    images = {"1.png": encode(grey, "PNG"), "2.png": encode(grey.convert("RGB"), "PNG")}
    path = write_tree(
        tmp_path / "in", {"a": {**images, "3.png": encode(make_pixels(16, 16), "PNG")}}
    )
    options = ["--dataset", "images", "--image-size-px", 16, "--channels", 1]
    if by == "spec":
        options = ["--spec", spec_file(tmp_path, dataset="images", image_size_px=16,
                   image_channels=1, num_classes=1)]  # fmt: skip
    out = tmp_path / "x.zip"
    assert command(*options, "--workers", 1, "--path", path, "--out", out) == 0
    said = capsys.readouterr().out
    assert "3 images of 16x16 px, grey, 1 classes" in said
    assert "note: 1 of 3 images were coloured and are grey now" in said
    dataset = ImageZip(out)
    assert dataset.image_channels == 1
    for index in (0, 1):  # what is grey keeps its values
        assert (dataset.read(index) == np.asarray(grey)[..., None]).all()
    luma = make_pixels(16, 16).astype(float) @ (0.299, 0.587, 0.114)
    assert abs(dataset.read(2)[..., 0] - luma).max() <= 0.5 + 1e-3
    assert command(*options, "--channels", 3, "--path", path, "--out", out) == (2 * (by == "spec"))


def test_a_set_of_grey_images_is_told_of(tmp_path, capsys):
    image = encode(Image.fromarray(make_pixels(16, 16)[..., 0]), "PNG")
    path = write_tree(tmp_path / "in", {"a": {"1.png": image}})
    options = ["--dataset", "images", "--image-size-px", 16, "--workers", 1]
    assert command(*options, "--path", path, "--out", tmp_path / "x.zip") == 0
    assert "note: all images are grey; `--channels 1` makes a grey set" in capsys.readouterr().out


def test_whole_images_by_hand(tmp_path, capsys):
    path = write_tree(tmp_path / "in", {"a": {"1.jpg": make_jpeg(), "2.jpg": b"x"}})
    options = ["--dataset", "images", "--crop", "none", "--workers", 1, "--labels", "none"]
    out = tmp_path / "x.zip"
    assert command(*options, "--path", path, "--out", out, "--skip-broken") == 0
    assert "1 images of their own sizes, without labels" in capsys.readouterr().out
    assert ImageZip(out).image_size_px is None


def test_broken_images_are_left_out_where_the_spec_says_so(tmp_path, capsys):
    path = write_tree(tmp_path / "in", {"a": {"1.jpg": make_jpeg(), "2.jpg": b"x"}})
    out = tmp_path / "x.zip"
    for skip_broken, code in ((False, 2), (True, 0)):
        options = {"image_size_px": 16, "num_classes": None, "skip_broken": skip_broken}
        spec = spec_file(tmp_path, dataset="images", **options)
        assert command("--spec", spec, "--out", out, "--path", path, "--workers", 1) == code
    assert "`skip_broken: true` in the tasks of this place" in capsys.readouterr().err
    skipped = json.loads((tmp_path / "x.manifest.json").read_text())["skipped"]
    assert [name for name, _ in skipped] == ["a/2.jpg"] and len(ImageZip(out)) == 1


@pytest.mark.parametrize("by", ["option", "variable", "both"])
def test_by_spec_with_the_users_path(tmp_path, monkeypatch, by):
    path = write_imagenet_tar(tmp_path / "in.tar", make_classes())
    spec = spec_file(
        tmp_path,
        dataset="imagenet",
        image_size_px=16,
        image_channels=3,
        classes=None,
        num_classes=3,
        recipe=1,
        task="imagenet_64",
    )
    options = []
    if by != "option":
        monkeypatch.setenv("ADM_TEST_IMAGENET", str(path))
        options = ["--path-variable", "ADM_TEST_IMAGENET"]
    if by != "variable":
        options += ["--path", path if by == "option" else tmp_path / "gone"]
    out = tmp_path / "x.zip"
    assert command("--spec", spec, "--out", out, "--workers", 1, *options) == 0
    assert ImageZip(out, 16).num_classes == 3


def test_lsun_by_spec(tmp_path):
    path = write_lmdb(tmp_path / "cat_lmdb", {b"1": make_jpeg()})
    spec = spec_file(tmp_path, dataset="lsun", image_size_px=16, num_classes=None)
    out = tmp_path / "x.zip"
    assert command("--spec", spec, "--out", out, "--path", path, "--workers", 1) == 0
    manifest = json.loads((tmp_path / "x.manifest.json").read_text())
    assert "LSUN" in manifest["preprocessing"]
    assert manifest["num_classes"] is None


def test_a_spec_without_classes_takes_no_labels_from_folders(tmp_path):
    path = write_tree(tmp_path / "in", make_classes())
    spec = spec_file(tmp_path, dataset="images", image_size_px=16, num_classes=None)
    out = tmp_path / "x.zip"
    assert command("--spec", spec, "--out", out, "--path", path, "--workers", 1) == 0
    assert ImageZip(out).labels is None


@pytest.mark.parametrize(("num_classes", "labels"), [(None, None), (2, [0, 0, 0, 1, 1, 1])])
def test_some_classes_of_the_users_images(tmp_path, num_classes, labels):
    path = write_tree(tmp_path / "in", make_classes())
    options = {"image_size_px": 16, "classes": ["n03", "n01"], "num_classes": num_classes}
    spec = spec_file(tmp_path, dataset="images", **options)
    out = tmp_path / "x.zip"
    assert command("--spec", spec, "--out", out, "--path", path, "--workers", 1) == 0
    dataset = ImageZip(out)
    assert len(dataset) == 6
    assert (None if dataset.labels is None else dataset.labels.tolist()) == labels


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "dataset: give --dataset (imagenet, lsun, images) with --path and"),
        (["--dataset", "images", "--image-size-px", "16"], "is not known; give --path"),
        (
            ["--dataset", "images", "--image-size-px", "16", "--path", "/gone"],
            "/gone: no such file or folder",
        ),
        (["--spec", "SPEC"], "imagenet: where the images are is not known; give --path"),
        (
            ["--spec", "SPEC", "--path-variable", "ADM_NOT_SET"],
            "is not known; set ADM_NOT_SET=/path/to/the/images, or give --path",
        ),
        (["--spec", "SPEC", "--image-size-px", "8"], "--image-size-px: the spec says that"),
        (["--spec", "SPEC", "--skip-broken"], "--skip-broken: the spec says that"),
    ],
)
def test_what_is_missing_is_said(tmp_path, capsys, options, words):
    spec = spec_file(tmp_path, dataset="imagenet", image_size_px=16, num_classes=3)
    options = [str(spec) if one == "SPEC" else one for one in options]
    assert command("--out", tmp_path / "x.zip", *options) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"dataset": "cifar"}, "dataset: got 'cifar'; needed: digits, imagenet, lsun, images"),
        ({"dataset": "imagenet", "classes": [0]}, "classes: 0: got 0 (int); Input should be a"),
        ({"dataset": "imagenet", "classes": ["n9"]}, "different classes out of those there are: n"),
        ({"dataset": "imagenet", "image_channels": 2}, "image_channels: got 2 (int); Input s"),
        ({"dataset": "imagenet", "skip_broken": 1}, "skip_broken: got 1 (int); Input should"),
        ({"dataset": "imagenet", "image_size_px": "64"}, "image_size_px: got '64' (str); Input"),
    ],
)
def test_impossible_specs(tmp_path, capsys, spec, words):
    path = write_imagenet_tar(tmp_path / "in.tar", make_classes())
    file = spec_file(tmp_path, **{"image_size_px": 16, "num_classes": 3, **spec})
    status = 2 if "there are" in words else 3  # with other images that spec would do
    assert command("--spec", file, "--out", tmp_path / "x.zip", "--path", path) == status
    assert words in capsys.readouterr().err
