import io
import zipfile
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

from adm.datasets.image_zip import ImageZip
from adm.training.batches import (
    compute_batch_indices,
    crop_image,
    iterate_batches,
    load_training_batch,
    make_inputs,
    open_dataset,
)
from records.errors import UserError
from tests.adm.training_case import make_spec, random_images, write_set

REFERENCE = Path(__file__).parents[2] / "data" / "reference" / "preprocessing.npz"
CROPPED = {"flip": False, "random_crop": True}
OPTIONS = {"image_size_px": 4, "batch_size": 3, "seed": 5, "flip": False, "random_crop": False}


def indices(iteration, num_images=10, batch_size=4, seed=0):
    return compute_batch_indices(
        num_images, batch_size=batch_size, seed=seed, iteration=iteration
    ).tolist()


def test_every_epoch_is_a_permutation_and_batches_run_across_epochs():
    drawn = np.concatenate([indices(k) for k in range(15)])
    epochs = drawn.reshape(6, 10)
    assert (np.sort(epochs, axis=1) == np.arange(10)).all()
    assert len({tuple(epoch) for epoch in epochs}) == 6


def test_a_batch_is_a_function_of_seed_and_iteration():
    forward = [indices(k) for k in range(8)]
    assert [indices(k) for k in reversed(range(8))] == forward[::-1]
    assert indices(3, seed=1) != indices(3, seed=0)


def test_a_batch_larger_than_the_set_takes_several_epochs():
    drawn = indices(2, num_images=3, batch_size=9)
    assert sorted(drawn) == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_batches_do_not_depend_on_cache_threads_or_start(tmp_path, monkeypatch):
    path = write_set(
        tmp_path / "x.zip", random_images(10, 4), labels=[i % 3 for i in range(10)], num_classes=3
    )
    options = {**OPTIONS, "flip": True}

    def batches(first, num_threads):
        return list(
            iterate_batches(
                ImageZip(path),
                first_iteration=first,
                stop_iteration=30,
                num_threads=num_threads,
                **options,
            )
        )

    cached = batches(0, 1)
    monkeypatch.setattr("adm.datasets.image_zip.CACHE_BYTES", 0)
    for first, num_threads in ((0, 1), (0, 3), (11, 2)):
        for one, two in zip(cached[first:], batches(first, num_threads), strict=True):
            np.testing.assert_array_equal(one[0], two[0])
            np.testing.assert_array_equal(one[1], two[1])


def test_loading_threads_end_when_the_loop_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr("adm.datasets.image_zip.CACHE_BYTES", 0)
    dataset = ImageZip(write_set(tmp_path / "x.zip", random_images(10, 4)))
    batches = iterate_batches(
        dataset, first_iteration=0, stop_iteration=10**6, num_threads=2, **OPTIONS
    )
    assert len(list(islice(batches, 3))) == 3
    batches.close()


def test_flip_mirrors_about_half_of_the_images(tmp_path):
    images = random_images(40, 4, 3)
    dataset = ImageZip(write_set(tmp_path / "x.zip", images))
    options = {**OPTIONS, "batch_size": 40, "flip": True}
    loaded, labels = load_training_batch(dataset, iteration=1, **options)
    order = compute_batch_indices(40, batch_size=40, seed=5, iteration=1)
    same = (loaded == images[order]).all(axis=(1, 2, 3))
    mirrored = (loaded == images[order][:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    assert 10 < mirrored.sum() < 30
    assert labels is None


@pytest.mark.parametrize("name", ["china", "flower"])
def test_random_crop_is_the_authors(name):
    with np.load(REFERENCE, allow_pickle=False) as stored:
        expected = stored[f"{name}.random_crop_64"]
    short, top, left = {"china": (71, 2, 33), "flower": (77, 6, 35)}[name]
    # The served draws as fractions of their ranges; the middle of each cell is on no edge.
    width = {"china": 44, "flower": 53}[name]
    fractions = [(short - 64 + 0.5) / 17, (top + 0.5) / (short - 63), (left + 0.5) / width]
    crop = crop_image(load_sample_image(f"{name}.jpg"), image_size_px=64, fractions=fractions)
    assert np.abs(crop.astype(int) - expected.astype(int)).max() <= 1


def test_random_crop_takes_images_of_any_size(tmp_path):
    path = write_set(tmp_path / "x.zip", random_images(4, 9, 3))
    options = {**OPTIONS, "random_crop": True}
    first, _ = load_training_batch(ImageZip(path), iteration=2, **options)
    again, _ = load_training_batch(ImageZip(path), iteration=2, **options)
    assert first.shape == (3, 4, 4, 3)
    np.testing.assert_array_equal(first, again)
    batches = iterate_batches(
        ImageZip(path), first_iteration=2, stop_iteration=3, num_threads=2, **options
    )
    np.testing.assert_array_equal(next(batches)[0], first)
    batches.close()


def test_inputs_are_in_range_and_follow_the_iteration():
    spec, images = make_spec(), np.stack([random_images(8, 8)] * 3, axis=-1)
    labels = np.arange(8)

    def inputs(iteration):
        return make_inputs(
            images, labels, spec=spec, iteration=iteration, device="cpu", rows=range(8)
        )

    x_start, y, t, eps = inputs(3)
    assert x_start.shape == eps.shape == (8, 1, 8, 8)
    assert (x_start.min() >= -1) and (x_start.max() <= 1)
    assert y.tolist() == labels.tolist()
    assert ((t >= 0) & (t < 100)).all()
    assert all(torch.equal(a, b) for a, b in zip(inputs(3), (x_start, y, t, eps), strict=True))
    assert not torch.equal(inputs(4)[3], eps)
    assert inputs(3)[1] is not None
    spec = make_spec(architecture={"num_classes": None})
    assert inputs(3)[1] is None


def test_timesteps_are_uniform():
    spec = make_spec(batch_size=500)
    images = np.zeros((500, 8, 8, 3), np.uint8)
    draws = [
        make_inputs(
            images,
            np.zeros(500, int),
            spec=spec,
            iteration=k,
            device="cpu",
            rows=range(500),
        )[2]
        for k in range(40)
    ]
    counts = torch.bincount(torch.cat(draws), minlength=100)
    assert (counts - 200).abs().max() < 70


def test_dataset_must_fit_the_model(tmp_path):
    labels = {"labels": [0, 1], "num_classes": 2}
    grey = write_set(tmp_path / "grey.zip", random_images(2, 8), **labels)
    colour = write_set(tmp_path / "colour.zip", random_images(2, 8, 3), **labels)
    plain = write_set(tmp_path / "plain.zip", random_images(2, 8))
    spec = make_spec(architecture={"num_classes": 2})
    open_dataset(spec, grey)
    with pytest.raises(UserError, match=r"colour images; tiny_diffusion has in_channels 1"):
        open_dataset(spec, colour)
    with pytest.raises(UserError, match=r"no classes; tiny_diffusion needs labels of 2"):
        open_dataset(spec, plain)
    with pytest.raises(UserError, match=r"2 classes; tiny_diffusion needs labels of 10"):
        open_dataset(make_spec(), grey)
    open_dataset(make_spec(architecture={"num_classes": None}), plain)
    shape = {"image_size_px": 4, "num_classes": 2}
    small = make_spec(architecture=shape)
    with pytest.raises(UserError, match=r"images of 8 px; 4 px are needed"):
        open_dataset(small, grey)
    open_dataset(make_spec(architecture=shape, augmentation=CROPPED), grey)


def test_sets_of_several_sizes_are_for_random_crops_only(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, size in (("a.png", (8, 12)), ("b.png", (20, 9))):
            content = io.BytesIO()
            Image.new("L", size, 77).save(content, format="PNG")
            archive.writestr(name, content.getvalue())
        archive.writestr("dataset.json", '{"labels": null, "image_size_px": null}')
    spec = make_spec(architecture={"num_classes": None})
    with pytest.raises(UserError, match=r"images of several sizes; 8 px are needed"):
        open_dataset(spec, path)
    spec = make_spec(architecture={"num_classes": None}, augmentation=CROPPED)
    dataset = open_dataset(spec, path)
    images, _ = load_training_batch(dataset, iteration=0, **{**OPTIONS, "random_crop": True})
    assert (images == 77).all()
