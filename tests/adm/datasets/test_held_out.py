"""Which images are kept out of training: of digits, and of a user's own images."""

import json

import numpy as np
import pytest

from adm.cli import main
from adm.datasets.held_out import choose_part
from adm.datasets.image_zip import ImageZip
from records.errors import UserError
from records.files import write_json
from tests.adm.datasets.small_sources import make_classes, prepare, write_imagenet_tar, write_tree


def make(tmp_path, part, held_out=297, classes=None):
    num_classes = len(classes or range(10))
    spec = {"dataset": "digits", "image_size_px": 8, "classes": classes}
    spec |= {"num_classes": num_classes, "held_out": held_out, "part": part}
    write_json(tmp_path / "spec.json", spec)
    out = tmp_path / f"{part}.zip"
    assert main(["dataset", "--spec", f"{tmp_path}/spec.json", "--out", str(out)]) == 0
    dataset = ImageZip(out)
    return dataset.load(np.arange(len(dataset)))[..., 0], dataset.labels


def test_digits_are_in_one_of_two_parts_in_their_order(tmp_path):
    pixels, labels = make(tmp_path, None, held_out=None)
    held, held_labels = make(tmp_path, "held_out")
    rest, rest_labels = make(tmp_path, "training")
    assert (len(held), len(rest)) == (297, 1500)
    chosen = choose_part("digits", 1797, held_out=297, part="held_out")
    for part, part_labels, which in ((held, held_labels, chosen), (rest, rest_labels, ~chosen)):
        np.testing.assert_array_equal(part, pixels[which])
        np.testing.assert_array_equal(part_labels, labels[which])
    assert np.bincount(held_labels).min() >= 20


def test_held_out_images_are_evenly_spread():
    assert np.flatnonzero(choose_part("x", 10, held_out=3, part="held_out")).tolist() == [1, 5, 8]
    assert np.flatnonzero(choose_part("x", 10, held_out=3, part="training")).tolist() == [
        *(0, 2, 3, 4, 6, 7, 9)
    ]
    for num_images, held_out in ((2, 1), (100, 99), (100, 50), (1_281_167, 50_000)):
        chosen = np.flatnonzero(choose_part("x", num_images, held_out=held_out, part="held_out"))
        assert len(chosen) == held_out
        assert set(np.diff(chosen)) <= {num_images // held_out, -(-num_images // held_out)}
    assert choose_part("x", 4, held_out=None, part=None).all()


@pytest.mark.parametrize(
    ("held_out", "part", "words"),
    [
        (10, "training", "x: held_out: got 10 of 10 images; some must be left to train on"),
        (3, None, "x: held_out 3 with part None; give both"),
        (None, "held_out", "x: held_out None with part held_out; give both"),
    ],
)
def test_what_cannot_be_held_out(held_out, part, words):
    with pytest.raises(UserError, match=words):
        choose_part("x", 10, held_out=held_out, part=part)


@pytest.mark.parametrize("write", [write_tree, write_imagenet_tar])
def test_own_images_are_in_one_of_two_parts(tmp_path, write):
    """Files beside the images are no images: they move nothing."""
    path = write(tmp_path / "in.tar", make_classes(num_images=4))
    options = {"dataset": "imagenet", "num_classes": 3, "held_out": 6}
    read = {}
    for part in (None, "training", "held_out"):
        (tmp_path / str(part)).mkdir()
        if path.is_dir():
            (path / "n01" / "a_note.txt").write_text("no image")
        given = options if part else {**options, "held_out": None}
        out, manifest = prepare(tmp_path / str(part), path, **given, part=part)
        dataset = ImageZip(out)
        read[part] = (dataset.load(np.arange(len(dataset))), dataset.labels)
        assert dataset.num_classes == 3 and manifest["count"] == len(dataset)
    odd = np.arange(12) % 2 == 1
    for part, chosen in (("held_out", odd), ("training", ~odd)):
        np.testing.assert_array_equal(read[part][0], read[None][0][chosen])
        np.testing.assert_array_equal(read[part][1], read[None][1][chosen])


def test_a_class_without_an_image_in_a_part(tmp_path):
    path = write_tree(tmp_path / "in", make_classes(num_images=3))
    with pytest.raises(UserError, match=r"held_out: 2 of 9 images leave no image of n02 in the "):
        prepare(tmp_path, path, held_out=2, part="held_out", num_classes=3)


def test_the_spec_says_the_part(tmp_path):
    make(tmp_path, "held_out", held_out=10, classes=[1, 2])
    manifest = json.loads((tmp_path / "held_out.manifest.json").read_text())
    assert (manifest["spec"]["held_out"], manifest["spec"]["part"]) == (10, "held_out")
