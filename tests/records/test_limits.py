"""Foreign bytes: each hazard is a ValueError or a sentence, at every door that takes such bytes."""

import json
import os
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from adm.datasets.formats import open_own_images
from adm.datasets.image_zip import ImageZip
from adm.weights.files import read_header
from eval.images.open import open_images
from records.errors import UserError
from records.files import sha256_file
from records.limits import MAX_TEXT_BYTES, demand_regular, parse_json, read_bytes, read_member
from reports.grids import read_zip_images

NAME = "dataset.json"
HOSTILE = {
    "bomb": b'{"labels": null, "x": "' + b" " * (20 << 20) + b'"}',
    "deep": b"[" * 1_000_000,
    "huge": b'{"labels": [["a.png", 1%s]]}' % (b"0" * 400),
    "digits": b'{"labels": [["a.png", %s]]}' % (b"1" * 5000),
}


@pytest.mark.parametrize("name", ["deep", "huge", "digits"])
def test_json_that_would_exhaust_the_machine_is_a_value_error(name):
    with pytest.raises(ValueError, match=r"nested too deeply|a whole number of .* digits"):
        parse_json(HOSTILE[name])


def test_json_of_usual_size_is_read_as_it_is():
    tree = {"a": [1, -1, 2**63 - 1, -(2**63), 0.5, 1e300, None, True, "x"]}
    assert parse_json(json.dumps(tree)) == tree
    assert parse_json(b"[" * 500 + b"]" * 500)


def write_zip(path, content, change=None):
    """A zip of one image and a list, whose last headers may be changed."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("a.png", "w") as file:
            Image.new("RGB", (8, 8)).save(file, "png")
        archive.writestr(NAME, content)
    data = bytearray(path.read_bytes())
    for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.rfind(magic) + flags
        if change == "encrypted":
            data[at] |= 1
        elif change == "unknown method":
            struct.pack_into("<H", data, at + 2, 99)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("content", "change", "words"),
    [
        (HOSTILE["bomb"], None, f"{NAME} unpacks to .* as decompression bombs do"),
        (b"{}", "encrypted", f"{NAME} cannot be read: .*encrypted"),
        (b"{}", "unknown method", f"{NAME} cannot be read: .*method"),
    ],
)
def test_members_that_cannot_be_are_a_value_error(tmp_path, content, change, words):
    with zipfile.ZipFile(write_zip(tmp_path / "x.zip", content, change)) as archive:
        with pytest.raises(ValueError, match=words):
            read_member(archive, NAME)
        with pytest.raises(ValueError, match=r"no b\.json in it"):
            read_member(archive, "b.json")


def test_a_large_list_that_packs_as_lists_do_is_read(tmp_path):
    names = [
        [f"{place:08}/img{place * 7919 % 10**8:08}.png", place % 997] for place in range(10**6)
    ]
    content = json.dumps({"labels": names}).encode()
    assert len(content) > 16 << 20
    with zipfile.ZipFile(write_zip(tmp_path / "x.zip", content)) as archive:
        assert parse_json(read_member(archive, NAME))["labels"] == names


def open_for_grading(path):
    found = open_images(path)
    if found.labels is None:  # labels that are none block no metric, and are told
        raise UserError(f"{path}: {found}")


DOORS = {
    "training": ImageZip,
    "preparation": lambda path: open_own_images("images", path),
    "grading": open_for_grading,
    "grids": read_zip_images,
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("hazard", [*HOSTILE, "encrypted", "unknown method"])
def test_every_door_of_lists_says_one_sentence(tmp_path, door, hazard):
    path = write_zip(tmp_path / "x.zip", HOSTILE.get(hazard, b"{}"), hazard)
    with pytest.raises(UserError, match=r"x\.zip: ") as error:
        DOORS[door](path)
    assert "\n" not in str(error.value)


def test_labels_beyond_any_number_of_classes_are_refused(tmp_path):
    path = write_zip(tmp_path / "x.zip", b'{"labels": [["a.png", 4611686018427387904]]}')
    with pytest.raises(UserError, match="has label 4611686018427387904; labels are 0 to 65535"):
        open_own_images("images", path)


@pytest.mark.parametrize(
    "spec", [b"[" * 100_000, b'{"architecture": {"channels": 1%s}}' % (b"0" * 9)]
)
def test_a_hostile_header_of_weights_is_one_sentence(tmp_path, spec):
    texts = {"spec": spec.decode(), "digest": "0", "mark": "final", "iteration": "1"}
    header = json.dumps({"__metadata__": texts}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(UserError, match=r"x\.safetensors: ") as error:
        read_header(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["a named pipe", "a device"])
def test_what_would_be_read_for_ever_is_refused(tmp_path, kind):
    path = "/dev/zero"
    if kind == "a named pipe":
        path = tmp_path / "x.zip"
        os.mkfifo(path)
    for door in (
        demand_regular, read_bytes, sha256_file, read_header, open_images, DOORS["preparation"]
    ):  # fmt: skip
        with pytest.raises(UserError, match=f"{path}: {kind}; give the name of a regular file"):
            door(path)


@pytest.mark.parametrize("name", ["b.png", NAME])
def test_a_pipe_among_images_is_refused(tmp_path, name):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    os.mkfifo(tmp_path / name)
    with pytest.raises(UserError, match=f"{name}: a named pipe"):
        open_images(tmp_path)


def test_a_shells_pipe_is_read():
    there, here = os.pipe()
    os.write(here, b"{}")
    os.close(here)
    assert read_bytes(f"/dev/fd/{there}") == b"{}"
    os.close(there)


def test_a_file_larger_than_its_kind_is_refused(tmp_path):
    (tmp_path / "x").write_bytes(np.zeros(9).tobytes())
    assert len(read_bytes(tmp_path / "x", 72)) == 72 < MAX_TEXT_BYTES
    with pytest.raises(ValueError, match="more than 71 bytes"):
        read_bytes(tmp_path / "x", 71)
