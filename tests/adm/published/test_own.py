"""Specs for a user's own images, made from known models."""

import pytest

from adm.networks.model import make_network
from adm.published.names import find_model, load_catalogue
from adm.published.own import adapt_spec, describe_data, find_small
from records.errors import UserError
from tests.adm.training_case import random_images, write_set


def small(name="small"):
    return find_small(name).spec


def test_nothing_asked_for_changes_nothing():
    spec = find_model("ADM_diffusion_256_conditioned", load_catalogue()).spec
    assert adapt_spec(spec).digest == spec.digest
    assert find_small("imagenet_256") is None


@pytest.mark.parametrize(
    ("size", "levels", "attention"),
    [(8, 2, [8]), (16, 3, [16, 8]), (24, 3, [12, 6]), (32, 4, [16, 8]), (64, 4, [16, 8])],
)
def test_a_size_decides_levels_and_attention(size, levels, attention):
    for name in ("small", "small_classifier"):
        spec = adapt_spec(small(name), image_size_px=size)
        shape = spec.architecture
        assert (shape.image_size_px, len(shape.channel_mult)) == (size, levels)
        assert shape.attention_resolutions == attention
        assert spec.training.dataset.image_size_px == size
        make_network(shape)


def test_a_model_of_the_paper_keeps_what_fits():
    paper = find_model("ADM_diffusion_256_conditioned", load_catalogue()).spec
    spec = adapt_spec(paper, name="pets", image_size_px=64, num_classes=5)
    assert spec.architecture.channel_mult == [1, 1, 2, 2, 4]  # down to 4 px
    assert spec.architecture.attention_resolutions == [32, 16, 8]
    assert (spec.name, spec.task, spec.training.dataset.task) == ("pets", "pets", "pets")
    assert spec.architecture.num_classes == spec.training.dataset.num_classes == 5
    assert spec.training.ema_decay == 0.9999


def test_channels_and_classes():
    spec = adapt_spec(small(), image_channels=1, num_classes=0)
    assert (spec.architecture.in_channels, spec.architecture.out_channels) == (1, 2)
    assert spec.architecture.num_classes is None and spec.training.dataset.num_classes is None
    plain = find_model("imagenet_256_uncond", load_catalogue("digits")).spec
    assert adapt_spec(plain, num_classes=7).architecture.num_classes is None


@pytest.mark.parametrize(
    ("iterations", "decay"), [(5, 0.0), (150, 0.93333), (2000, 0.995), (10**7, 0.9999)]
)
def test_the_average_fits_the_run(iterations, decay):
    spec = adapt_spec(small(), iterations=iterations)
    assert spec.training.ema_decay == decay
    assert spec.training.ema_decay**iterations < 1e-4
    classifier = adapt_spec(small("small_classifier"), iterations=iterations)
    assert classifier.training.anneal_iterations == iterations
    assert classifier.training.ema_decay == 0


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        ("small", {"image_size_px": 31}, "31 px: images are square here, with a side that can be"),
        ("small", {"image_size_px": 33}, "make the dataset again with --image-size-px 32 or 36"),
        ("small", {"image_size_px": 6}, "--image-size-px 8 or 12"),
        ("small", {"name": "a/b"}, "--name a/b: take letters, digits and _"),
        ("small_classifier", {"num_classes": 1}, "a classifier of one class has nothing to tell"),
        ("ADM_U", {"image_size_px": 64}, "an upsampler's size goes with that of its base"),
    ],
)
def test_what_cannot_be(model, options, words):
    named = find_small(model) or find_model(model, load_catalogue())
    with pytest.raises(UserError) as error:
        adapt_spec(named.spec, **options)
    assert words in str(error.value)


def test_what_an_image_set_decides(tmp_path):
    images = random_images(4, 8, 3)
    write_set(tmp_path / "x.zip", images, labels=[0, 1, 2, 1], num_classes=3)
    got = describe_data(tmp_path / "x.zip")
    assert got == {"image_size_px": 8, "image_channels": 3, "num_classes": 3}
