"""Sample i depends on the weights, the seed and i: not on batches, shards or order."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch

from adm.classifier import make_classifier
from adm.diffusion import to_uint8
from adm.sampling import draw_labels, draw_samples, write_samples
from adm.schedule import make_schedule
from adm.seeds import make_generator
from adm.state import save_weights
from adm.unet import make_unet
from records.batches import read_batch, write_batch
from records.errors import UserError
from records.files import spec_digest

SHAPE = dict(
    channels=16,
    depth=1,
    channel_mult=[1, 2],
    heads=None,
    head_channels=16,
    attention_resolutions=[4],
    biggan_updown=True,
    embedding="adagn",
    qkv_order="legacy",
    num_groups=8,
)


def randomise(network, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


def unet_architecture(**changes):
    return dict(
        image_size_px=8, in_channels=1, out_channels=2, num_classes=10, dropout=0.0,
        rescale_residual=False, **SHAPE, **changes,
    )  # fmt: skip


@pytest.fixture(scope="module")
def networks():
    model = randomise(make_unet(**unet_architecture()), 1)
    classifier = randomise(
        make_classifier(image_size_px=8, in_channels=1, num_classes=10, pool="attention", **SHAPE),
        2,
    )
    return model, classifier


@pytest.mark.parametrize("method", ["ancestral", "ddim"])
def test_samples_do_not_depend_on_batches_or_shards(networks, method):
    model, classifier = networks
    schedule = make_schedule("linear", 1000, "10" if method == "ancestral" else "ddim10")

    def draw(indices):
        labels = draw_labels(indices, seed=3, num_classes=10, label_policy="random")
        images = draw_samples(
            indices,
            model=model,
            schedule=schedule,
            shape=(1, 8, 8),
            method=method,
            eta=0.5,
            seed=3,
            stage="diffusion",
            labels=labels,
            conditional=True,
            classifier=classifier,
            guidance_scale=2.0,
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


def test_noise_is_the_samples_own():
    draws = [
        torch.randn(5, generator=make_generator("noise", "diffusion", 0, i)) for i in (0, 1, 0)
    ]
    assert torch.equal(draws[0], draws[2]) and not torch.equal(draws[0], draws[1])
    other = torch.randn(5, generator=make_generator("noise", "upsampler", 0, 0))
    assert not torch.equal(draws[0], other)


def test_label_policies():
    random = draw_labels(range(5000), seed=0, num_classes=10, label_policy="random")
    counts = torch.bincount(random, minlength=10)
    assert counts.sum() == 5000 and counts.min() > 400 and counts.max() < 600
    assert len(set(counts.tolist())) > 1
    balanced = draw_labels(range(30), seed=0, num_classes=10, label_policy="balanced")
    assert torch.bincount(balanced).tolist() == [3] * 10


def model_spec(kind, architecture):
    return {
        "kind": kind,
        "recipe": 1,
        "name": kind,
        "task": "digits",
        "architecture": architecture,
        "training": {"schedule": "linear", "num_timesteps": 1000, "objective": "hybrid"},
    }


def weights(path, spec, network):
    tensors = [parameter.detach() for parameter in network.parameters()]
    save_weights(path, network, tensors, spec=spec, mark="final", iteration=1)
    return {"name": spec["name"], "digest": spec_digest(spec), "mark": "final", "iteration": 1}


@pytest.fixture(scope="module")
def stack(tmp_path_factory, networks):
    """A guided base, an upsampler, and their sample specs."""
    folder = tmp_path_factory.mktemp("stack")
    small = {**SHAPE, "attention_resolutions": [4]}
    base_architecture = {**unet_architecture(), "image_size_px": 4, **small}
    base = randomise(make_unet(**base_architecture), 5)
    classifier_architecture = dict(
        image_size_px=4, in_channels=1, num_classes=10, pool="attention", **small
    )
    classifier = randomise(make_classifier(**classifier_architecture), 6)
    upsampler_architecture = unet_architecture(low_res_px=4)
    upsampler = randomise(make_unet(**upsampler_architecture), 7)
    common = {
        "recipe": 1,
        "task": "digits",
        "num_images": 12,
        "seed": 0,
        "label_policy": "random",
        "num_classes": 10,
    }
    sampler = {
        "method": "ancestral",
        "respacing": "5",
        "eta": 0.0,
        "guidance_scale": 1.0,
        "schedule": "linear",
        "num_timesteps": 1000,
    }
    base_spec = {
        **common,
        "name": "base",
        "model": weights(folder / "b", model_spec("diffusion", base_architecture), base),
        "classifier": weights(
            folder / "c", model_spec("classifier", classifier_architecture), classifier
        ),
        "sampler": sampler,
        "low_res": None,
    }
    spec = {
        **common,
        "name": "stack",
        "model": weights(folder / "u", model_spec("upsampler", upsampler_architecture), upsampler),
        "classifier": None,
        "sampler": {**sampler, "guidance_scale": None},
        "low_res": {"name": "base", "digest": spec_digest(base_spec)},
    }
    write_samples(
        base_spec,
        weights_path=folder / "b",
        classifier_path=folder / "c",
        low_res_path=None,
        out_path=folder / "base.npz",
        start=0,
        stop=12,
        batch_size=5,
    )
    return folder, base_spec, spec


def draw_stack(folder, spec, out, start=0, stop=12, **changes):
    options = {
        "weights_path": folder / "u",
        "classifier_path": None,
        "low_res_path": folder / "base.npz",
        **changes,
    }
    write_samples(spec, out_path=out, start=start, stop=stop, batch_size=4, **options)
    return read_batch(out)


def test_a_stack_carries_labels_from_base_to_upsampler(stack, tmp_path):
    folder, _, spec = stack
    low, low_labels = read_batch(folder / "base.npz")
    images, labels = draw_stack(folder, spec, tmp_path / "s.npz")
    assert low.shape == (12, 4, 4, 3) and images.shape == (12, 8, 8, 3)
    assert (labels == low_labels).all() and images.dtype == np.uint8
    protocol = json.loads((tmp_path / "s.json").read_text())
    assert protocol["digest"] == spec_digest(spec) and protocol["num_images"] == 12
    first, first_labels = draw_stack(folder, spec, tmp_path / "a.npz", 0, 7)
    second, second_labels = draw_stack(folder, spec, tmp_path / "b.npz", 7, 12)
    assert (np.concatenate([first_labels, second_labels]) == labels).all()
    assert np.abs(np.concatenate([first, second]).astype(int) - images).max() <= 1


def test_the_low_resolution_image_decides(stack, tmp_path):
    folder, _, spec = stack
    low, labels = read_batch(folder / "base.npz")
    write_batch(tmp_path / "other.npz", 255 - low, labels, {})
    images, _ = draw_stack(folder, spec, tmp_path / "s.npz")
    others, _ = draw_stack(folder, spec, tmp_path / "t.npz", low_res_path=tmp_path / "other.npz")
    assert (images != others).any()


def test_refusals(stack, tmp_path):
    folder, _, spec = stack
    out = tmp_path / "s.npz"
    with pytest.raises(UserError, match=r"range 5:3; 0 <= start < stop <= 12"):
        draw_stack(folder, spec, out, 5, 3)
    with pytest.raises(UserError, match=r"range 0:13"):
        draw_stack(folder, spec, out, 0, 13)
    with pytest.raises(UserError, match="low_res is"):
        draw_stack(folder, spec, out, low_res_path=None)
    with pytest.raises(UserError, match="classifier is None"):
        draw_stack(folder, spec, out, classifier_path=folder / "c")
    with pytest.raises(UserError, match=r"holds diffusion .* upsampler .* is needed"):
        draw_stack(folder, spec, out, weights_path=folder / "b")
    later = {**spec, "model": {**spec["model"], "iteration": 2}}
    with pytest.raises(UserError, match=r"iteration 1\); upsampler .*iteration 2"):
        draw_stack(folder, later, out)
    low, labels = read_batch(folder / "base.npz")
    write_batch(tmp_path / "short.npz", low[:5], labels[:5], {})
    with pytest.raises(UserError, match="5 images with labels; stack needs at least 12"):
        draw_stack(folder, spec, out, low_res_path=tmp_path / "short.npz")
    write_batch(tmp_path / "bare.npz", low, None, {})
    with pytest.raises(UserError, match="without labels"):
        draw_stack(folder, spec, out, low_res_path=tmp_path / "bare.npz")
    assert not out.exists()


def test_a_guided_unconditional_model_stores_the_label_it_was_guided_to(tmp_path, networks):
    architecture = {**unet_architecture(), "num_classes": None}
    model = randomise(make_unet(**architecture), 8)
    classifier_architecture = dict(
        image_size_px=8, in_channels=1, num_classes=10, pool="attention", **SHAPE
    )
    spec = {
        "recipe": 1,
        "name": "guided",
        "task": "digits",
        "num_images": 6,
        "seed": 0,
        "label_policy": "balanced",
        "num_classes": 10,
        "model": weights(tmp_path / "m", model_spec("diffusion", architecture), model),
        "classifier": weights(
            tmp_path / "c", model_spec("classifier", classifier_architecture), networks[1]
        ),
        "sampler": {
            "method": "ddim",
            "respacing": "ddim5",
            "eta": 0.0,
            "guidance_scale": 10.0,
            "schedule": "linear",
            "num_timesteps": 1000,
        },
        "low_res": None,
    }
    options = {"weights_path": tmp_path / "m", "low_res_path": None, "start": 0, "stop": 6}
    write_samples(
        spec, classifier_path=tmp_path / "c", out_path=tmp_path / "g.npz", batch_size=6, **options
    )
    guided, labels = read_batch(tmp_path / "g.npz")
    assert labels.tolist() == [0, 1, 2, 3, 4, 5]
    bare = {**spec, "classifier": None, "num_classes": None}
    bare["sampler"] = {**spec["sampler"], "guidance_scale": None}
    write_samples(bare, classifier_path=None, out_path=tmp_path / "u.npz", batch_size=6, **options)
    unguided, none = read_batch(tmp_path / "u.npz")
    assert none is None and (guided != unguided).any()
