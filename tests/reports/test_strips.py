"""Strips of samples: the same samples of every batch, in their own size."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from records.batches import write_arrays, write_batch
from records.manifest import make_manifest, write_manifest
from reports.cli import write_figures
from reports.figures.strips import (
    choose_columns,
    make_between,
    make_denoising,
    make_nearest,
    make_strips,
)
from tests.reports.test_figures import evaluate, figure_content

LABELS = np.array([1, 1, 0, 2, 0], dtype=np.int64)


def write_samples(project, name, brightness=0, num_images=5, digest="d" * 64, labels=LABELS):
    images = np.arange(num_images, dtype=np.uint8)[:, None, None, None] * 10 + brightness
    images = np.broadcast_to(images, (num_images, 8, 8, 3)).astype(np.uint8)
    path = project.folder / f"{name}.npz"
    about = make_manifest(kind="samples", name=name, digest=digest, inputs={})
    write_batch(path, images, labels if labels is None else labels[:num_images], about)


def picture_content(project, num_images=3):
    content = figure_content(project)
    figure = content["figures"][0]
    figure |= {"shows": "samples", "num_images": num_images, "panels": []}
    for row in [*content["tables"]["table3"]["rows"], *content["rows"]["table3"]]:
        row["cells"]["final"]["samples"] = {"path": f"{row['id']}.npz", "digest": "d" * 64}
    return content


def read_strip(strip):
    data = base64.b64decode(strip["png"].partition(",")[2])
    image = Image.open(io.BytesIO(data))
    # Gaps of a grey sheet may be a level that stands for nothing.
    return np.asarray(image.convert("LA") if "transparency" in image.info else image)


@pytest.mark.parametrize(
    ("labels", "num_images", "indices"),
    [(LABELS, 3, [2, 0, 3]), (LABELS, 2, [0, 1]), (None, 4, [0, 1, 2, 3]), (LABELS[:2], 2, [0, 1])],
)
def test_columns_are_the_first_of_each_class_where_they_fit(labels, num_images, indices):
    assert choose_columns(labels, num_images)[0] == indices


def test_every_batch_shows_the_same_samples_in_their_own_size(project):
    for place, name in enumerate(("cond", "cond_1", "cond_3", "cond_10")):
        write_samples(project, name, brightness=51 * place, labels=LABELS if place else None)
    figure, problems = evaluate(picture_content(project))
    (line,) = make_strips(figure, problems)
    assert problems == [] and line["indices"] == [2, 0, 3]
    assert [one["words"] for one in line["strips"]] == [
        f"guidance scale {scale}" for scale in (0, 1, 3, 10)
    ]
    strip = read_strip(line["strips"][2])
    assert strip.shape == (8, 3 * 8 + 2, 2)  # grey and alpha; one transparent pixel between
    assert strip[0, :8, 0].tolist() == [20 + 102] * 8 and strip[0, 18:, 0].tolist() == [132] * 8
    assert strip[0, 8].tolist() == [0, 0] and strip[0, 0, 1] == 255
    assert "60\u00a0%" in line["change"]  # 153 of 255


def test_batches_that_are_missing_broken_short_or_of_other_settings_are_left_out(project):
    write_samples(project, "cond")
    write_samples(project, "cond_1", digest="e" * 64)
    (project.folder / "cond_3.npz").write_bytes(b"PK")
    figure, problems = evaluate(picture_content(project))
    (line,) = make_strips(figure, problems)
    assert [one["words"] for one in line["strips"]] == ["guidance scale 0"] and not line["change"]
    assert any("cond_1.npz" in one for one in problems)
    assert any("cond_3.npz" in one for one in problems)
    write_samples(project, "cond_10", num_images=2)
    assert len(make_strips(figure, problems)[0]["strips"]) == 1


def test_a_page_without_any_batch_is_written(project):
    write_figures(project.write_spec(picture_content(project)), project.folder / "report")
    page = (project.folder / "report" / "figures.html").read_text()
    assert "<img" not in page and "Images: imagenet_256" in page


def test_the_page_enlarges_strips_without_blurring(project):
    write_samples(project, "cond")
    write_figures(project.write_spec(picture_content(project)), project.folder / "report")
    page = (project.folder / "report" / "figures.html").read_text()
    (image,) = re.findall(r"<img [^>]*>", page)
    assert 'width="104" height="32"' in image and "image-rendering: pixelated" in page
    assert 'alt="guidance scale 0: the first sample of each class (0 to 2)' in image


def nearest_content(project, digest="d" * 64, **arrays):
    content = picture_content(project)
    content["figures"][0] |= {"shows": "nearest", "num_images": 2, "num_neighbours": 3}
    point = content["figures"][0]["lines"][0]["points"][0]
    point["pictures"] = {"path": "nearest.npz", "digest": "d" * 64}
    shapes = {"samples": (2, 8, 8, 3), "neighbours": (2, 3, 8, 8, 1)}
    images = {name: np.full(shape, 9, np.uint8) for name, shape in shapes.items()}
    images["neighbours"][1, 2] = 200
    stored = {
        **images,
        "distances": np.array([[1.0, 2.0, 3.0], [5.0, 6.0, 7.0]]),
        "own_distances": np.array([2.0, 4.0]),
        **arrays,
    }
    write_arrays(project.folder / "nearest.npz", stored)
    manifest = make_manifest(kind="nearest", name="nearest", digest=digest, inputs={})
    write_manifest(project.folder / "nearest.npz", manifest)
    return content


def test_the_nearest_images_are_beneath_their_samples(project):
    figure, problems = evaluate(nearest_content(project))
    (line,) = make_nearest(figure, problems)
    words = [one["words"] for one in line["strips"]]
    assert words == ["samples", "nearest real image", "2. nearest", "3. nearest"]
    last = read_strip(line["strips"][3])
    assert last[0, 0, 0] == 9 and last[0, 9, 0] == 200  # of the second sample
    assert line["change"].startswith("1 of 2 samples lie nearer to a real image")
    assert "0.88 times as far away" in line["change"]  # the median of 1/2 and 5/4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"digest": "e" * 64}, "made for another row or scale"),
        ({"samples": np.zeros((3, 8, 8, 3), np.uint8)}, "3 samples and 2 own_distances"),
    ],
)
def test_neighbours_of_other_settings_or_broken_are_left_out(project, options, words):
    figure, problems = evaluate(nearest_content(project, **options))
    assert make_nearest(figure, problems) == []
    assert any(words in one for one in problems)


def between_content(project, **arrays):
    content = picture_content(project)
    content["figures"][0] |= {"shows": "between", "num_images": 2, "num_steps": 3}
    point = content["figures"][0]["lines"][0]["points"][0]
    point["pictures"] = {"path": "between.npz", "digest": "d" * 64}
    strips = np.full((3, 2, 8, 8, 1), 51, np.uint8)
    images = np.zeros((2, 2, 8, 8, 1), np.uint8)
    stored = {"strips": strips, "images": images, "fractions": np.array([0, 0.5, 1]), **arrays}
    write_arrays(project.folder / "between.npz", stored)
    manifest = make_manifest(kind="interpolate", name="x", digest="d" * 64, inputs={})
    write_manifest(project.folder / "between.npz", manifest)
    return content


def test_what_lies_between_two_images_stands_between_them(project):
    figure, problems = evaluate(between_content(project))
    (line,) = make_between(figure, problems)
    words = [one["words"] for one in line["strips"]]
    assert words == ["real image", "drawn again", "1/2 of the way", "drawn again", "real image"]
    assert "differs by 20.0\u00a0%" in line["change"]


@pytest.mark.parametrize(
    "arrays",
    [{"fractions": np.zeros(4)}, {"images": np.zeros((2, 3, 8, 8, 1), np.uint8)}],
)
def test_pictures_that_do_not_fit_together_are_left_out_and_the_page_is_written(project, arrays):
    content = between_content(project, **arrays)
    figure, problems = evaluate(content)
    assert make_between(figure, problems) == [] and "between.npz" in problems[-1]
    write_figures(project.write_spec(content), project.folder / "report")
    assert "Nothing of it was drawn yet" in (project.folder / "report" / "figures.html").read_text()


def denoising_content(project, **arrays):
    content = picture_content(project)
    content["figures"][0] |= {"shows": "denoising", "num_images": 2, "num_steps": 4}
    point = content["figures"][0]["lines"][0]["points"][0]
    point["pictures"] = {"path": "way.npz", "digest": "d" * 64}
    strips = np.zeros((4, 2, 8, 8, 1), np.uint8)
    strips[:3] += np.array([102, 51, 26], np.uint8)[:, None, None, None, None]
    stored = {"strips": strips, "timesteps": np.array([1000, 667, 334, 0]), **arrays}
    write_arrays(project.folder / "way.npz", stored)
    manifest = make_manifest(kind="denoising", name="x", digest="d" * 64, inputs={})
    write_manifest(project.folder / "way.npz", manifest)
    return content


def test_what_samples_were_taken_to_be_ends_in_the_samples(project):
    figure, problems = evaluate(denoising_content(project))
    (line,) = make_denoising(figure, problems)
    words = [one["words"] for one in line["strips"]]
    assert problems == [] and words == ["t = 1000", "t = 667", "t = 334", "t = 0, the sample"]
    assert read_strip(line["strips"][0])[0, 0, 0] == 102
    assert read_strip(line["strips"][3])[0, 0, 0] == 0
    assert line["strips"][3]["alt"].startswith("t = 0, the sample: the first 2 samples, 8 by 8 pix")
    assert line["change"].endswith(
        "by 40.0\u00a0% at t = 1000, 20.0\u00a0% at t = 667, 10.2\u00a0% at t = 334"
    )


def test_a_way_that_does_not_fit_its_steps_is_left_out(project):
    figure, problems = evaluate(denoising_content(project, timesteps=np.array([1000, 0])))
    assert make_denoising(figure, problems) == []
    assert "way.npz: its images cannot be read (4 strips and 2 timesteps)" in problems[-1]
