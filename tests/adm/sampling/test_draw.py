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


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_both_networks_run_in_the_precision_and_the_chain_does_not(networks, precision):
    model, classifier = networks
    seen = set()

    def note(_module, _inputs, output):
        seen.add(output.dtype)

    settings = {
        "method": "ancestral",
        "respacing": "5",
        "eta": 0.0,
        "guidance_scale": 2.0,
        "schedule": "linear",
        "num_timesteps": 1000,
    }
    # Outputs end in float32; what is inside shows the arithmetic.
    inside = [
        next(one for one in network.modules() if isinstance(one, torch.nn.Conv2d))
        for network in networks
    ]

    def draw(**changes):
        seen.clear()
        hooks = [one.register_forward_hook(note) for one in inside]
        images = draw_samples(
            range(8),
            model=model,
            spec=SPEC,
            sampler=Sampler(**settings, **changes),
            seed=3,
            labels=torch.arange(8),
            classifier=classifier,
        )
        for hook in hooks:
            hook.remove()
        assert images.dtype == torch.float32
        return images

    exact = draw()
    assert seen == {torch.float32}
    short = draw(precision=precision)
    assert seen == {torch.bfloat16 if precision == "bf16" else torch.float16}
    assert 0 < (short - exact).abs().mean() < 0.05


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
