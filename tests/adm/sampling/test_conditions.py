"""What samples are drawn for: a base's images and labels reach the upsampler, a shard at a time."""

import json

import numpy as np
import pytest

from adm.sampling import conditions
from adm.sampling.shards import write_samples
from records.batches import read_batch, write_batch
from records.errors import UserError
from specs.sampling import BatchRef
from tests.adm.sample_specs import (
    classifier_architecture,
    make_random,
    model_spec,
    sample_spec,
    unet_architecture,
    weights,
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """A guided base, an upsampler, and their sample specs."""
    folder = tmp_path_factory.mktemp("stack")

    def save(name, kind, architecture, seed):
        return weights(
            folder / name, model_spec(kind, architecture), make_random(architecture, seed)
        )

    base_spec = sample_spec(
        name="base",
        num_images=12,
        sampler={"respacing": "5", "guidance_scale": 1.0},
        model=save("b", "diffusion", unet_architecture(image_size_px=4), 5),
        classifier=save("c", "classifier", classifier_architecture(image_size_px=4), 6),
    )
    spec = sample_spec(
        name="stack",
        num_images=12,
        sampler={"respacing": "5"},
        model=save("u", "upsampler", unet_architecture(low_res_px=4), 7),
        low_res=BatchRef(name="base", digest=base_spec.digest),
    )
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
    manifest = json.loads((tmp_path / "s.json").read_text())
    assert manifest["digest"] == spec.digest and manifest["num_images"] == 12
    first, first_labels = draw_stack(folder, spec, tmp_path / "a.npz", 0, 7)
    second, second_labels = draw_stack(folder, spec, tmp_path / "b.npz", 7, 12)
    assert (np.concatenate([first_labels, second_labels]) == labels).all()
    assert np.abs(np.concatenate([first, second]).astype(int) - images).max() <= 1


def test_of_the_low_resolution_batch_no_more_is_read_than_a_shard_needs(
    stack, tmp_path, monkeypatch
):
    folder, _, spec = stack
    whole, _ = draw_stack(folder, spec, tmp_path / "whole.npz", images_per_shard=4)
    read, rows = conditions.read_batch, []

    def watch(path, wanted=None):
        rows.append(wanted)
        return read(path, wanted)

    monkeypatch.setattr(conditions, "read_batch", watch)
    images, _ = draw_stack(folder, spec, tmp_path / "s.npz", 4, 12, images_per_shard=4)
    assert rows == [range(11, 12), range(4, 8), range(8, 12)]  # the first: are there so many?
    assert (images == whole[4:]).all()


def test_the_low_resolution_image_decides(stack, tmp_path):
    folder, _, spec = stack
    low, labels = read_batch(folder / "base.npz")
    digest = spec.low_res.digest
    write_batch(tmp_path / "other.npz", 255 - low, labels, {"digest": digest})
    images, _ = draw_stack(folder, spec, tmp_path / "s.npz")
    others, _ = draw_stack(folder, spec, tmp_path / "t.npz", low_res_path=tmp_path / "other.npz")
    assert (images != others).any()


def test_refusals(stack, tmp_path):
    folder, base_spec, spec = stack
    out = tmp_path / "s.npz"
    with pytest.raises(UserError, match=r"range 5:3; 0 <= start < stop <= 12"):
        draw_stack(folder, spec, out, 5, 3)
    with pytest.raises(UserError, match=r"range 0:13"):
        draw_stack(folder, spec, out, 0, 13)
    with pytest.raises(UserError, match=r"no low_res given; its spec needs base: .* --low-res"):
        draw_stack(folder, spec, out, low_res_path=None)
    with pytest.raises(UserError, match="its spec has none: leave --classifier out"):
        draw_stack(folder, spec, out, classifier_path=folder / "c")
    with pytest.raises(UserError, match=r"holds diffusion .* upsampler .* is needed"):
        draw_stack(folder, spec, out, weights_path=folder / "b")
    classifier = spec.model_copy(update={"model": base_spec.classifier})
    with pytest.raises(UserError, match=r"c: a classifier, which draws nothing; give a denoiser"):
        draw_stack(folder, classifier, out, weights_path=folder / "c")
    later = spec.model_copy(update={"model": spec.model.model_copy(update={"iteration": 2})})
    with pytest.raises(UserError, match=r"iteration 1\); upsampler .*iteration 2"):
        draw_stack(folder, later, out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"part": slice(0, 5)}, "5 images with labels; stack needs at least 12 with"),
        ({"labelled": False}, "12 images without labels; stack needs"),
        ({"large": True}, "images of 8x8 pixels; stack enlarges 4x4"),
        ({"manifest": {"digest": "0" * 64}}, "spec 000000000000; stack enlarges base, spec"),
        ({"manifest": {}}, "no manifest beside it that names a spec; stack enlarges base"),
    ],
)
def test_another_base_is_refused(stack, tmp_path, changes, message):
    folder, _, spec = stack
    low, labels = read_batch(folder / "base.npz")
    part = changes.get("part", slice(None))
    images = np.repeat(np.repeat(low, 2, axis=1), 2, axis=2) if "large" in changes else low
    kept = labels[part] if changes.get("labelled", True) else None
    manifest = changes.get("manifest", {"digest": spec.low_res.digest})
    write_batch(tmp_path / "base.npz", images[part], kept, manifest)
    with pytest.raises(UserError, match=message):
        draw_stack(folder, spec, tmp_path / "s.npz", low_res_path=tmp_path / "base.npz")
    assert not (tmp_path / "s.npz").exists()
