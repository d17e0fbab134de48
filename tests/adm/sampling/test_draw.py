"""Sample i depends on the weights, the seed and i: not on batches or order."""

import copy
import re
from itertools import pairwise

import pytest
import torch

from adm.process.diffusion import to_uint8
from adm.process.seeds import make_generator
from adm.sampling.draw import draw_samples
from adm.sampling.labels import draw_labels
from records.errors import UserError
from specs.sampling import Sampler
from tests.adm.sample_specs import make_networks, model_spec, unet_architecture

SPEC = model_spec("diffusion", unet_architecture())


@pytest.fixture(scope="module")
def networks():
    return make_networks()


@pytest.mark.parametrize("method", ["ancestral", "ddim"])
def test_samples_do_not_depend_on_batches_or_shards(networks, method):
    model, classifier = networks
    sampler = Sampler(
        method=method,
        respacing="10" if method == "ancestral" else "ddim10",
        eta=0.5,
        guidance_scale=2.0,
        schedule="linear",
        num_timesteps=1000,
    )

    def draw(indices):
        labels = draw_labels(indices, seed=3, num_classes=10, label_policy="random")
        images = draw_samples(
            indices,
            model=model,
            spec=SPEC,
            sampler=sampler,
            seed=3,
            labels=labels,
            classifier=classifier,
        )
        return labels, images

    labels, images = draw(range(64))
    for cut in ([*range(64)], [*range(0, 64, 7)], [0, 16, 32, 48]):
        parts = [draw(range(a, b)) for a, b in pairwise([*cut, 64])]
        assert torch.equal(torch.cat([part[0] for part in parts]), labels)
        again = torch.cat([part[1] for part in parts])
        assert (again - images).abs().max() < 1e-4
        pixels, other = to_uint8(images).int(), to_uint8(again).int()
        assert (pixels == other).float().mean() >= 0.999
        assert (pixels - other).abs().max() <= 1


@pytest.mark.parametrize("fault", ["weights", "guidance"])
def test_samples_that_are_no_images_are_refused(networks, fault):
    """They would be stored as black images."""
    model, classifier = networks
    scale = 1e38 if fault == "guidance" else 2.0
    if fault == "weights":
        model = copy.deepcopy(model)
        with torch.no_grad():
            next(model.parameters())[0] = torch.nan
    sampler = Sampler(
        method="ancestral",
        respacing="5",
        eta=0.0,
        guidance_scale=scale,
        schedule="linear",
        num_timesteps=1000,
    )
    words = re.escape(f"guidance_scale {scale:g} is too large")
    with pytest.raises(UserError, match=f"sample 3 holds NaN or infinity: .* {words}"):
        draw_samples(
            range(3, 5),
            model=model,
            spec=SPEC,
            sampler=sampler,
            seed=3,
            labels=torch.tensor([1, 2]),
            classifier=classifier,
        )


def test_noise_is_the_samples_own():
    draws = [
        torch.randn(5, generator=make_generator("noise", "diffusion", 0, i)) for i in (0, 1, 0)
    ]
    assert torch.equal(draws[0], draws[2]) and not torch.equal(draws[0], draws[1])
    other = torch.randn(5, generator=make_generator("noise", "upsampler", 0, 0))
    assert not torch.equal(draws[0], other)
