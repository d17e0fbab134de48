import re

import numpy as np
import pytest

from eval.images.npz_images import find_shards, open_npy, open_npz, open_npz_folder
from eval.images.open import read_all
from records.batches import write_batch
from records.errors import UserError
from records.files import digest, sha256_file

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
LABELS = np.array([3, 1, 4, 1, 5, 9])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_as_the_authors_write_it(tmp_path, save):
    save(tmp_path / "a.npz", IMAGES, LABELS)
    source = open_npz(tmp_path / "a.npz")
    assert source.path == str(tmp_path / "a.npz")
    assert source.sha256 == sha256_file(tmp_path / "a.npz")
    assert (source.num_images, source.shape, source.kind) == (6, (4, 5, 3), ".npz file")
    for _ in range(2):
        images, labels = read_all(source, batch_size=4)
        np.testing.assert_array_equal(images, IMAGES)
        np.testing.assert_array_equal(labels, LABELS)
        assert labels.dtype == np.int64


def test_this_projects_batches_are_read(tmp_path):
    write_batch(tmp_path / "samples.npz", IMAGES, LABELS, {"name": "x"})
    for source in (open_npz(tmp_path / "samples.npz"), open_npz_folder(tmp_path)):
        images, labels = read_all(source)
        np.testing.assert_array_equal(images, IMAGES)
        np.testing.assert_array_equal(labels, LABELS)


def test_a_bare_array_is_read(tmp_path):
    np.save(tmp_path / "a.npy", IMAGES[..., :1])
    source = open_npy(tmp_path / "a.npy")
    assert source.labels is None and source.shape == (4, 5, 1)
    np.testing.assert_array_equal(read_all(source)[0], IMAGES[..., :1])


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (LABELS[:5], r"labels are int64 \[5\] for 6 images; one label per image is needed"),
        (np.eye(6), r"labels are float64 \[6, 6\]; .*one-hot rows take the argmax"),
        (LABELS + 0.5, r"labels are float64 \[6\]; whole numbers, int64 \[6\]"),
        (LABELS.astype("U"), "whole numbers"),
        (LABELS.astype(object), "pickled Python objects, which are never opened"),
        (LABELS.astype(object)[:3], r"object \[3\] for 6 images"),
    ],
)
def test_wrong_labels_are_told_and_block_nothing(tmp_path, labels, words):
    np.savez(tmp_path / "a.npz", IMAGES, labels)
    source = open_npz(tmp_path / "a.npz")
    assert source.labels is None
    assert re.search(f"a.npz: arr_1: .*{words}", source.label_fault)
    np.testing.assert_array_equal(read_all(source)[0], IMAGES)


def write_shards(folder, *parts):
    for index, part in enumerate(parts):
        np.savez(folder / f"shard-{index}.npz", **part)
    return folder


def test_shards_are_read_by_name_and_their_labels_joined(tmp_path):
    write_shards(
        tmp_path,
        {"arr_0": IMAGES[:1], "arr_1": LABELS[:1]},
        {"arr_0": IMAGES[1:5], "arr_1": LABELS[1:5]},
        {"arr_0": IMAGES[5:], "arr_1": LABELS[5:]},
    )
    (tmp_path / "protocol.json").write_text("{}")
    (tmp_path / ".shard-3.npz").write_text("half written")
    source = open_npz_folder(tmp_path)
    assert [one.name for one in find_shards(tmp_path)] == [f"shard-{i}.npz" for i in range(3)]
    images, labels = read_all(source, batch_size=4)
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)
    assert source.kind == "folder of 3 .npz files"
    before = digest([[one.name, sha256_file(one)] for one in find_shards(tmp_path)])
    assert source.sha256 == before
    (tmp_path / "shard-2.npz").rename(tmp_path / "shard-9.npz")
    assert open_npz_folder(tmp_path).sha256 != before


def test_labels_that_only_some_shards_have_are_told(tmp_path):
    write_shards(tmp_path, {"arr_0": IMAGES, "arr_1": LABELS}, {"arr_0": IMAGES})
    source = open_npz_folder(tmp_path)
    assert source.labels is None and source.num_images == 2 * len(IMAGES)
    assert source.label_fault == (
        f"{tmp_path}: 1 of 2 files have no labels (arr_1; first: shard-1.npz); give labels to all "
        "batches of a folder or to none"
    )


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([], "holds no .npz file; batches of images are needed"),
        (
            [{"arr_0": IMAGES}, {"arr_0": IMAGES[:, :3]}],
            "shard-0.npz holds images of 4x5 px with 3 channels, shard-1.npz of 3x5 px with 3",
        ),
        (
            [{"arr_0": IMAGES}, {"arr_0": IMAGES[..., :1]}],
            "shard-1.npz of 4x5 px with 1 channel; batches of one folder must be alike",
        ),
        (
            [{"arr_0": IMAGES, "mu": np.zeros(3)}],
            "shard-0.npz holds statistics .*give that file itself",
        ),
    ],
)
def test_shards_that_do_not_go_together_are_told(tmp_path, parts, words):
    with pytest.raises(UserError, match=words):
        open_npz_folder(write_shards(tmp_path, *parts))
