"""The loss of denoisers on held-out images: unbiased, the same noise for all, files, bad input."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch

from adm.cli import main
from adm.datasets.image_zip import ImageZip
from adm.process.diffusion import from_uint8, training_losses
from adm.process.likelihood import compute_bpd
from adm.sampling.loss import compute_chances, compute_losses, draw_noising
from adm.weights.files import read_header
from records.files import write_json
from specs.results import read_loss
from specs.schedule import make_schedule
from tests.adm.training_case import IMAGES, make_spec, random_images, run, write_set


def test_timesteps_are_drawn_with_their_chances():
    chances = compute_chances(7)
    assert chances.sum() == pytest.approx(1.0) and chances.min() > 0.5 / 7
    options = {"num_strata": 3, "chances": chances, "seed": 0}
    drawn = [draw_noising(range(2000), k, torch.Size([1, 2, 2]), **options) for k in range(3)]
    counts = np.bincount(np.concatenate([t.numpy() for t, _ in drawn]), minlength=7)
    np.testing.assert_allclose(counts / 6000, chances, atol=0.02)
    eps = torch.cat([noise for _, noise in drawn])
    assert abs(float(eps.mean())) < 0.02 and abs(float(eps.std()) - 1) < 0.02


def test_strata_are_one_behind_the_other():
    options = {"num_strata": 4, "chances": compute_chances(100), "seed": 0}
    drawn = [draw_noising(range(50), k, torch.Size([1, 1, 1]), **options)[0] for k in range(4)]
    for before, after in pairwise(drawn):
        assert before.max() <= after.min()
    assert drawn[0].min() == 0 and drawn[3].max() == 99


def test_an_image_has_the_same_noise_in_any_batch():
    options = {"num_strata": 4, "chances": compute_chances(100), "seed": 0}
    t, eps = draw_noising([3, 8, 5], 2, torch.Size([1, 4, 4]), **options)
    t_alone, eps_alone = draw_noising([8], 2, torch.Size([1, 4, 4]), **options)
    assert torch.equal(t[1:2], t_alone) and torch.equal(eps[1:2], eps_alone)


def guess(x_t, t, **_):
    """A denoiser that takes all of x_t for noise, with the smaller of the two variances."""
    return torch.cat([x_t, -torch.ones_like(x_t)], dim=1)


def measure_guess(tmp_path, num_strata=48, **changes):
    schedule = make_schedule("cosine", 20)
    dataset = ImageZip(write_set(tmp_path / "x.zip", random_images(100, 4)))
    shape = make_spec(architecture={"num_classes": None}).architecture
    options = {"num_strata": num_strata, "seed": 0, "batch_size": 64, "device": "cpu"} | changes
    return schedule, dataset, compute_losses(guess, schedule, dataset, shape, **options)


def test_both_are_what_all_timesteps_give(tmp_path):
    """100 images at 48 timesteps each, against 20 draws of the noise at every timestep."""
    schedule, dataset, losses = measure_guess(tmp_path)
    x_start = from_uint8(torch.from_numpy(dataset.load(np.arange(100))[..., :1]))
    generator = torch.Generator().manual_seed(0)

    def draw(_=0):
        return torch.randn(x_start.shape, generator=generator)

    bounds = [
        compute_bpd(guess, schedule, x_start, noise_fn=draw)["total_bpd"].mean().item()
        for _ in range(20)
    ]
    hybrids = [
        training_losses(guess, schedule, x_start, torch.full((100,), t), draw())["loss"].mean()
        for t in range(20)
        for _ in range(20)
    ]
    for name, expected in (("vlb", np.mean(bounds)), ("hybrid", float(np.mean(hybrids)))):
        error = losses[name].std(ddof=1) / 10
        assert error < 0.05 * expected
        assert abs(losses[name].mean() - expected) < 4 * error, name


def test_batches_change_nothing(tmp_path):
    first, second = (measure_guess(tmp_path, 4, batch_size=size)[2] for size in (64, 7))
    for name in ("hybrid", "vlb"):
        assert first[name].dtype == np.float64 and first[name].shape == (100,)
        np.testing.assert_allclose(first[name], second[name], rtol=1e-5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("loss")
    for kind in ("diffusion", "upsampler", "classifier"):
        run(folder, make_spec(kind), 3, state=f"state-{kind}", out=kind)
    fixed = make_spec(objective="simple", architecture={"out_channels": 1})
    run(folder, fixed, 3, state="state-fixed", out="fixed")
    digits = ["dataset", "--out", f"{folder}/held.zip", "--spec", f"{folder}/images.json"]
    images = {**IMAGES, "num_classes": 10, "held_out": 40, "part": "held_out"}
    write_json(folder / "images.json", images)
    assert main(digits) == 0
    return folder


def measure(trained, tmp_path, kind="diffusion", data="held", **changes):
    weights = trained / f"{kind}.safetensors"
    about = read_header(weights)
    model = {"name": about.spec.name, "digest": about.digest, "mark": "final", "iteration": 3}
    content = {"recipe": 1, "name": "tiny", "model": {**model, **changes}, "dataset": IMAGES}
    write_json(tmp_path / "spec.json", {**content, "loss_timesteps": 4, "seed": 0})
    out = tmp_path / f"{kind}.json"
    arguments = ["loss", "--spec", f"{tmp_path}/spec.json", "--weights", str(weights)]
    return main([*arguments, "--data", f"{trained}/{data}.zip", "--out", str(out)]), out


@pytest.mark.parametrize("kind", ["diffusion", "upsampler"])
def test_the_command_writes_means_and_the_images_own_losses(trained, tmp_path, kind):
    status, out = measure(trained, tmp_path, kind)
    assert status == 0
    content, found = json.loads(out.read_text()), read_loss(out)
    assert (found.counts.samples, found.counts.timesteps, found.counts.reference) == (40, 4, None)
    assert content["digest"] == content["protocol"]["loss"]["digest"]
    assert content["protocol"]["weights"]["kind"] == "weights"
    contributions = tmp_path / f"{kind}.contributions.npz"
    with np.load(contributions, allow_pickle=False) as images:
        assert sorted(images) == [".about", "hybrid", "vlb"]
        for name in found.metrics:
            values, mean = images[name], found.metrics[name]
            assert values.shape == (40,) and values.dtype == np.float64
            assert mean.value == pytest.approx(values.mean())
            assert mean.std_error == pytest.approx(values.std(ddof=1) / 40**0.5)
            half = 1.959964 * mean.std_error
            assert mean.interval == pytest.approx((mean.value - half, mean.value + half))
    before = contributions.read_bytes()
    assert measure(trained, tmp_path, kind)[0] == 0
    assert contributions.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "classifier"}, "tiny_classifier is a classifier model; a loss needs the weights"),
        ({"kind": "fixed"}, "with the objective simple, which learns no variance"),
        ({"digest": "0" * 64}, "(spec 000000000000, iteration 3) is needed"),
        ({"data": "absent"}, "absent.zip: no such file"),
    ],
)
def test_refusals(trained, tmp_path, capsys, options, words):
    status, out = measure(trained, tmp_path, **options)
    error = capsys.readouterr().err
    assert status == 2 and not out.exists()
    assert words in error and "Traceback" not in error
