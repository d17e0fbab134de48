"""What samples were taken to be while they were drawn: the same noise, and the same end."""

import json

import numpy as np
import pytest
import torch

from adm.cli import main
from adm.process.diffusion import to_uint8
from adm.process.sampler import sample_ancestral
from adm.process.seeds import make_generator
from adm.sampling.conditions import make_conditions
from adm.sampling.draw import load_network, make_respaced
from adm.sampling.shards import write_samples
from records.batches import read_batch
from records.manifest import read_manifest
from specs.load import parse_spec
from tests.adm.sample_specs import (
    classifier_architecture,
    make_networks,
    make_sample,
    model_spec,
    weights,
)


def make_guided(folder, **changes):
    """Return a sample spec whose classifier's weights lie at `folder`/c."""
    guide = model_spec("classifier", classifier_architecture(), "guide")
    named = weights(folder / "c", guide, make_networks()[1])
    sampler = {"guidance_scale": 3.0, **changes.pop("sampler", {})}
    return make_sample(folder, 5, classifier=named, sampler=sampler, **changes)


def denoise(folder, batch, *, num_images=3, num_steps=4, guided=False, **options):
    content = {"recipe": 1, "name": "way", "batch": batch.content()}
    content |= {"num_images": num_images, "num_steps": num_steps}
    (folder / "way.spec.json").write_text(json.dumps(content))
    given = {"spec": "way.spec.json", "weights": "m", "out": "way.npz"}
    given |= {"classifier": "c"} if guided else {}
    words = [word for key, name in given.items() for word in (f"--{key}", f"{folder / name}")]
    words += [word for key, one in options.items() for word in (f"--{key}", str(one))]
    return main(["denoise", *words])


def read_way(folder):
    with np.load(folder / "way.npz") as found:
        return found["strips"], found["timesteps"]


@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize(
    "sampler", [{"respacing": "10"}, {"method": "ddim", "respacing": "ddim10"}]
)
def test_the_way_ends_in_what_ordinary_sampling_draws(tmp_path, sampler, guided):
    batch = (make_guided if guided else make_sample)(
        tmp_path, **({} if guided else {"num_samples": 5}), sampler=sampler
    )
    assert denoise(tmp_path, batch, guided=guided, **{"batch-size": 2}) == 0
    strips, timesteps = read_way(tmp_path)
    assert strips.shape == (4, 3, 8, 8, 1) and strips.dtype == np.uint8
    write_samples(
        batch,
        weights_path=tmp_path / "m",
        classifier_path=tmp_path / "c" if guided else None,
        low_res_path=None,
        out_path=tmp_path / "s.npz",
        start=0,
        stop=5,
        batch_size=5,
    )
    samples = read_batch(tmp_path / "s.npz")[0][:3]
    np.testing.assert_array_equal(np.repeat(strips[-1], 3, axis=-1), samples)
    assert len(np.unique(strips, axis=0)) == 4  # no two of them are the same
    expected = [1000, 667, 223, 0] if "method" not in sampler else [901, 601, 201, 0]
    assert timesteps.tolist() == expected


def test_what_is_kept_on_the_way_is_the_predicted_image_at_that_step(tmp_path):
    batch = make_sample(tmp_path, 5, sampler={"respacing": "10"})
    assert denoise(tmp_path, batch, num_steps=6) == 0
    model, spec = load_network(tmp_path / "m", batch.model, "cpu")
    generators = [make_generator("noise", spec.kind, batch.seed, i) for i in range(3)]

    def draw_noise(_=0):
        return torch.stack([torch.randn((1, 8, 8), generator=one) for one in generators])

    predicted, schedule = {}, make_respaced(batch.sampler)
    sample_ancestral(
        model,
        schedule,
        draw_noise(),
        noise_fn=draw_noise,
        model_kwargs={"y": make_conditions(batch, range(3), None, 1)[0]},
        callback=lambda step, _, pred_xstart: predicted.update({step: pred_xstart}),
    )
    strips, timesteps = read_way(tmp_path)
    for place, step in enumerate((0, 2, 4, 6, 8)):
        np.testing.assert_array_equal(strips[place], to_uint8(predicted[step]).numpy())
        assert timesteps[place] == schedule.timestep_map[9 - step] + 1
    manifest = read_manifest(tmp_path / "way.npz")
    assert manifest["kind"] == "denoising" and manifest["seeds"] == {"sampling": batch.seed}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_images": 6}, "num_images: got 6; its batch has 5 at most"),
        ({"num_steps": 4}, "num_steps: got 4; its batch has 3 at most"),
        ({"num_steps": 1}, "num_steps: "),
    ],
)
def test_more_than_its_batch_has_is_refused(tmp_path, capsys, change, words):
    batch = make_sample(tmp_path, 5)  # of two steps
    assert denoise(tmp_path, batch, **{"num_steps": 3, **change}) == 3
    assert words in capsys.readouterr().err and not (tmp_path / "way.npz").exists()
    content = {"recipe": 1, "name": "way", "batch": batch.content()}
    parse_spec({**content, "num_images": 5, "num_steps": 3}, "denoising", "test")


def test_files_that_the_batch_does_not_have_are_refused(tmp_path, capsys):
    guided = make_guided(tmp_path)
    assert denoise(tmp_path, guided, num_steps=3) == 2
    assert "no classifier given; its spec needs guide" in capsys.readouterr().err
    assert denoise(tmp_path, make_sample(tmp_path, 5), num_steps=3, guided=True) == 2
    assert "and its spec has none: leave --classifier out" in capsys.readouterr().err
    assert not (tmp_path / "way.npz").exists()
