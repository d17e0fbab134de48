import json
import zipfile

import numpy as np
import pytest

from eval.audit import audit, format_audit
from records.batches import write_batch
from records.errors import UserError
from records.files import sha256_file
from tests.eval.conftest import write_zip

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (9, 64, 64, 3), dtype=np.uint8)
LABELS = np.array([3, 1, 4, 1, 5, 9, 3, 3, 0])


def write(path, images=IMAGES, **arrays):
    np.savez(path, arr_0=images, **arrays)
    return path


def has(result, words):
    return any(words in sentence for sentence in result["odd"])


def test_what_a_batch_holds(tmp_path):
    path = write(tmp_path / "a.npz", arr_1=LABELS)
    result = audit(path)
    assert json.loads(json.dumps(result)) == result
    assert result["path"] == str(path) and result["kind"] == ".npz file"
    assert result["sha256"] == sha256_file(path)
    assert (result["num_images"], result["shape"], result["dtype"]) == (9, [64, 64, 3], "uint8")
    assert result["compressed"] is False
    assert result["arrays"] == {"arr_0": "uint8 [9, 64, 64, 3]", "arr_1": "int64 [9]"}
    assert result["statistics"]["names"] == []
    assert result["labels"] == {
        "num_classes": 6,
        "min": 0,
        "max": 9,
        "smallest_class": {"label": 0, "num_images": 1},
        "largest_class": {"label": 3, "num_images": 3},
        "sorted": False,
    }
    pixels = result["pixels"]
    assert (pixels["min"], pixels["max"]) == (IMAGES.min(), IMAGES.max())
    np.testing.assert_allclose(pixels["mean"], IMAGES.mean(axis=(0, 1, 2)), rtol=1e-12)
    assert pixels["min_by_channel"] == IMAGES.min(axis=(0, 1, 2)).tolist()
    assert pixels["max_by_channel"] == IMAGES.max(axis=(0, 1, 2)).tolist()
    assert result["duplicates"] == {"count": 0, "first_pair": None}
    assert (result["num_constant"], result["num_grey"], result["num_jpegs"]) == (0, 0, 0)


def test_compression_is_told(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", IMAGES)
    assert audit(tmp_path / "a.npz")["compressed"] is True


@pytest.mark.parametrize("kind", ["zip", "folder", "shards", "npy"])
def test_all_kinds_are_looked_through(tmp_path, kind):
    images = IMAGES[[0, 1, 2, 3, 1]]
    path = tmp_path / "a"
    if kind in ("zip", "folder"):
        path = write_zip(tmp_path / "a.zip", images, LABELS[:5])
        if kind == "folder":
            with zipfile.ZipFile(path) as archive:
                archive.extractall(tmp_path / "b")
            path = tmp_path / "b"
    elif kind == "shards":
        path.mkdir()
        write(path / "1.npz", images[:2], arr_1=LABELS[:2])
        write(path / "2.npz", images[2:], arr_1=LABELS[2:5])
    else:
        np.save(tmp_path / "a.npy", images)
        path = tmp_path / "a.npy"
    result = audit(path)
    json.dumps(result)
    assert result["num_images"] == 5 and result["compressed"] is None
    assert result["duplicates"] == {"count": 1, "first_pair": [1, 4]}
    assert (result["labels"] is None) == (kind == "npy")
    assert "rows 1 and 4" in format_audit(result)


def test_duplicates_are_counted_and_the_first_pair_is_named(tmp_path):
    images = np.concatenate([IMAGES] * 20)[RNG.permutation(180)]
    images[7, 0, 0, 0] ^= 1
    result = audit(write(tmp_path / "a.npz", images))
    flat = images.reshape(180, -1)
    earlier = [np.flatnonzero((flat[:i] == flat[i]).all(axis=1)) for i in range(180)]
    second = next(i for i in range(180) if len(earlier[i]))
    assert result["duplicates"]["count"] == sum(bool(len(one)) for one in earlier) == 170
    assert result["duplicates"]["first_pair"] == [earlier[second][0], second]
    assert has(result, "170 of 180 images equal an earlier one, pixel by pixel (first: rows")


def test_small_counts_of_samples_are_odd(tmp_path):
    result = audit(write(tmp_path / "a.npz", arr_1=LABELS))
    assert has(result, "only 9 images: FID is biased upwards by small counts")
    assert has(result, "of 50000 samples; compare equal counts alone")
    assert has(
        result, "no statistics: as a reference, FID and sFID would be against these 9 images"
    )
    assert len(result["odd"]) == 2


@pytest.mark.parametrize("count", [1000, 300, 10_000])
def test_small_references_are_odd(tmp_path, count):
    images = RNG.integers(0, 256, (count, 1, 1, 3), dtype=np.uint8)
    result = audit(write(tmp_path / "a.npz", images, mu=np.zeros(3), sigma=np.eye(3)))
    words = f"only {count} images for precision and recall"
    assert has(result, words) == (count < 10_000)
    assert has(result, words + ", as the published imagenet_512 reference has") == (count == 1000)
    assert not has(result, "FID is biased") and not has(result, "no statistics")


def test_only_the_missing_statistics_of_full_samples_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr("eval.audit.FULL_SAMPLES", 9)
    (sentence,) = audit(write(tmp_path / "a.npz", arr_1=LABELS))["odd"]
    assert sentence.startswith("no statistics: ") and sentence.endswith("(samples need none)")


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (IMAGES[:, :32, :32], "images are 32x32 px; the published batches are square, of 64, 128"),
        (IMAGES[:, :32], "images are 32x64 px"),
        (IMAGES[..., :1], "images have 1 channel; the published batches are RGB"),
        (np.repeat(IMAGES[..., :1], 3, axis=3), "all images are grey, though they have 3 channels"),
        (IMAGES // 255, "no pixel is above 1: values of 0 to 1 (or -1 to 1) were probably made"),
        (
            np.concatenate([IMAGES, np.full((2, 64, 64, 3), (1, 2, 3), np.uint8)]),
            "2 of 11 images are of one colour; samplers that failed",
        ),
    ],
)
def test_odd_images(tmp_path, images, words):
    assert has(audit(write(tmp_path / "a.npz", images)), words)
    assert not has(audit(write(tmp_path / "a.npz")), words)


def test_grey_and_plain_images_are_counted(tmp_path):
    images = IMAGES.copy()
    images[2] = images[2, ..., :1]
    images[5] = 7
    images[6] = 7
    images[6, 63, 62] = 8  # nearly of one colour
    images[7] = 9
    images[7, 1, 1] = (9, 9, 8)  # nearly grey
    result = audit(write(tmp_path / "a.npz", images))
    assert (result["num_grey"], result["num_constant"]) == (3, 1)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (None, "no labels (arr_1 or dataset.json): the share of each class cannot be checked"),
        (np.sort(LABELS), "labels are sorted by class: each split of 5,000 that the Incep"),
        (LABELS[np.argsort(LABELS)[::-1]], "labels are sorted by class: each split of 5,000"),
        (LABELS - 1, "a label is -1; classes are numbered from 0"),
    ],
)
def test_odd_labels(tmp_path, labels, words):
    arrays = {} if labels is None else {"arr_1": labels}
    assert has(audit(write(tmp_path / "a.npz", **arrays)), words)
    assert not has(audit(write(tmp_path / "a.npz", arr_1=LABELS)), words)


def test_labels_that_are_none(tmp_path):
    words = f"labels cannot be used: {tmp_path / 'a.npz'}: arr_1: labels are int64 [3] for 9"
    assert has(audit(write(tmp_path / "a.npz", arr_1=LABELS[:3])), words)


def test_unbalanced_and_single_classes(tmp_path):
    images = RNG.integers(0, 256, (13, 2, 2, 3), dtype=np.uint8)
    labels = np.array([0, 1] + [1] * 11)
    words = "classes are far from balanced: class 1 has 12 images, class 0 has 1"
    assert has(audit(write(tmp_path / "a.npz", images, arr_1=labels)), words)
    result = audit(write(tmp_path / "a.npz", images, arr_1=np.zeros(13, np.int64)))
    assert not has(result, "balanced") and not has(result, "sorted by class")


def test_arrays_that_nobody_reads(tmp_path):
    result = audit(write(tmp_path / "a.npz", extra=np.zeros(2), more=np.zeros(1)))
    assert has(result, "holds arrays that grading does not read: extra, more")


def test_a_manifest_of_another_file(tmp_path):
    path = tmp_path / "a.npz"
    write_batch(path, IMAGES, LABELS, {"name": "x"})
    assert not has(audit(path), "beside it")
    write(path, IMAGES[:5])
    assert has(audit(path), "a.json beside it is of another file (sha256 ")
    path.with_suffix(".json").write_text("[]")
    words = "the manifest beside it cannot be read: "
    assert has(audit(path), f"{words}{path.with_suffix('.json')}: not a manifest of a.npz")


def test_jpegs(tmp_path):
    from PIL import Image

    for index, image in enumerate(IMAGES[:3]):
        Image.fromarray(image).save(tmp_path / f"{index}.{'jpg' if index else 'png'}")
    with pytest.raises(UserError, match="a JPEG"):
        audit(tmp_path)
    assert has(audit(tmp_path, allow_jpeg=True), "2 of 3 images are JPEGs: lossy compression")


def test_what_cannot_be_graded_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"a.npz: arr_0: images are float64"):
        audit(write(tmp_path / "a.npz", IMAGES / 255))


def test_the_text(tmp_path):
    path = write(tmp_path / "a.npz", arr_1=LABELS)
    result = audit(path)
    lines = format_audit(result).splitlines()
    assert lines[0] == f"file:       {path} (.npz file, not compressed)"
    assert lines[1] == f"sha256:     {sha256_file(path)}"
    assert lines[2] == "images:     9 of 64x64 px with 3 channels, uint8"
    assert lines[3].startswith("pixels:     0 to 255, mean 12")
    assert lines[4] == "labels:     6 classes, 0 to 9, of 1 to 3 images, not sorted"
    assert lines[5] == "statistics: none"
    assert lines[6] == "duplicates: 0, 0 of one colour, 0 grey"
    assert lines[8] == "Odd about it:"
    assert [line[2:] for line in lines[9:]] == result["odd"]
    text = format_audit({**result, "odd": [], "labels": None})
    assert text.endswith("\n\nNothing odd about it.") and "labels:     none" in text


def test_the_text_of_a_reference(tmp_path):
    arrays = {"mu": np.zeros(3), "sigma": np.eye(3), "mu_s": np.zeros(2), "sigma_s": np.eye(2)}
    text = format_audit(audit(write(tmp_path / "a.npz", **arrays)))
    assert (
        "statistics: mu, sigma, mu_s, sigma_s (dims: mu 3, mu_s 2) of an untold number of images, "
        "made with an unnamed network\n"
    ) in text
    arrays |= {"num_images": np.array(70), "network_sha256": np.array("abc")}
    text = format_audit(audit(write(tmp_path / "a.npz", **arrays)))
    assert "of 70 images, made with abc\n" in text
