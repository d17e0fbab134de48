"""Bits per dimension, and DDIM backwards, of images by the shell."""

import json

import numpy as np
import pytest
import torch

from adm.cli import main
from adm.networks.model import make_network
from adm.process.diffusion import from_uint8
from adm.process.likelihood import compute_bpd
from adm.process.seeds import make_generator
from adm.published.read import join_by_arc
from adm.weights.files import load_network_of, save_weights
from records.files import sha256_file
from records.manifest import read_manifest
from specs.schedule import make_schedule
from tests.adm.training_case import make_data, make_spec


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Weights that are not zero anywhere, and the digits."""
    folder = tmp_path_factory.mktemp("read")
    for kind in ("diffusion", "classifier"):
        spec = make_spec(kind)
        torch.manual_seed(0)
        model = make_network(spec.architecture)
        weights = [one + 0.02 * torch.randn_like(one) for one in model.parameters()]
        path = folder / f"{kind}.safetensors"
        save_weights(path, model, weights, spec=spec, mark="final", iteration=1)
    return folder, make_data(folder)


def run(case, command, out, *more):
    folder, data = case
    words = [command, folder / "diffusion.safetensors", data, "--out", out, *more]
    return main([*map(str, words), "--threads", "1"])


def test_bits_are_those_of_the_bound(case, tmp_path, capsys):
    options = ("--num-images", 5, "--respacing", 10, "--seed", 3)
    for name, size in (("a", 2), ("b", 5)):
        assert run(case, "nll", tmp_path / f"{name}.json", *options, "--batch-size", size) == 0
    got, again = (json.loads((tmp_path / f"{name}.json").read_text()) for name in "ab")
    np.testing.assert_allclose(got["by_image"], again["by_image"], rtol=1e-5)
    said = capsys.readouterr().out
    assert (
        f"{got['bits_per_dimension']:.4f} +- {got['std_error']:.4f} (standard error) bits" in said
    )
    from adm.datasets.image_zip import ImageZip

    dataset = ImageZip(case[1])
    indices = np.array(got["indices"])
    x_start = from_uint8(torch.from_numpy(dataset.load(indices)[..., :1]))
    generators = [make_generator("nll", 3, int(index)) for index in indices]
    path = case[0] / "diffusion.safetensors"
    terms = compute_bpd(
        load_network_of(path, lambda spec: make_network(spec.architecture), device="cpu"),
        make_schedule("linear", 100, "10"),
        x_start,
        noise_fn=lambda _: torch.stack([torch.randn(1, 8, 8, generator=g) for g in generators]),
        model_kwargs={"y": torch.from_numpy(dataset.labels[indices])},
    )
    np.testing.assert_allclose(got["by_image"], terms["total_bpd"], rtol=1e-5)
    assert got["bits_per_dimension"] == pytest.approx(np.mean(got["by_image"]))
    assert got["kind"] == "nll" and got["respacing"] == "10"


def test_ddim_backwards_and_forwards_gives_the_images_back(case, tmp_path):
    far = {}
    for steps in (10, 100):
        out, grid = tmp_path / f"{steps}.npz", tmp_path / f"{steps}.png"
        options = ("--num-images", 3, "--respacing", steps, "--grid", grid)
        assert run(case, "invert", out, *options) == 0
        with np.load(out) as found:
            assert found["latents"].shape == (3, 1, 8, 8)
            assert found["latents"].dtype == np.float32
            difference = found["images"].astype(int) - found["reconstructions"]
            far[steps] = np.abs(difference).mean()
        assert read_manifest(out)["mean_difference"] == pytest.approx(far[steps])
        assert grid.stat().st_size > 0
    assert far[100] < far[10] / 2 and far[100] < 10


@pytest.mark.parametrize(
    ("command", "out", "more", "words"),
    [
        ("nll", "x.json", ["--respacing", "1000"], "--respacing 1000: "),
        ("nll", "x.json", ["--weights", "raw"], "holds the averaged weights alone"),
        ("invert", "x.json", [], "give an .npz as --out"),
    ],
)
def test_what_cannot_be_done(case, tmp_path, capsys, command, out, more, words):
    assert run(case, command, tmp_path / out, *more) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_classifier_reads_no_bits(case, tmp_path, capsys):
    folder, data = case
    words = ["nll", folder / "classifier.safetensors", data, "--out", tmp_path / "x.json"]
    assert main(list(map(str, words))) == 2
    assert "not one diffusion model or upsampler; name one" in capsys.readouterr().err


@pytest.fixture(scope="module")
def unconditional(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unconditional")
    spec = make_spec(architecture={"num_classes": None})
    torch.manual_seed(0)
    model = make_network(spec.architecture)
    weights = [one + 0.02 * torch.randn_like(one) for one in model.parameters()]
    path = folder / "diffusion.safetensors"
    save_weights(path, model, weights, spec=spec, mark="final", iteration=1)
    return folder, make_data(folder)


def test_between_images_lie_both_drawn_again_and_what_is_on_the_arc(unconditional, tmp_path):
    options = ("--num-images", 6, "--respacing", 50, "--seed", 1)
    more = ("--num-steps", 5, "--digest", "d" * 64)
    assert run(unconditional, "interpolate", tmp_path / "between.npz", *options, *more) == 0
    assert run(unconditional, "invert", tmp_path / "invert.npz", *options) == 0
    with np.load(tmp_path / "between.npz") as found, np.load(tmp_path / "invert.npz") as own:
        assert found["strips"].shape == (5, 3, 8, 8, 1)
        again = found["strips"][[0, -1]].astype(int)
        for end in (0, 1):
            np.testing.assert_array_equal(found["images"][end], own["images"][end::2])
            assert np.abs(again[end] - own["reconstructions"][end::2]).max() <= 1
        np.testing.assert_array_equal(found["indices"], own["indices"].reshape(3, 2).T)
    manifest = read_manifest(tmp_path / "between.npz")
    weights, data = unconditional[0] / "diffusion.safetensors", unconditional[1]
    assert manifest["digest"] == "d" * 64
    assert manifest["inputs"] == {"weights": sha256_file(weights), "data": sha256_file(data)}


def test_an_arc_between_orthogonal_latents_keeps_their_length():
    start, end = torch.zeros(2, 1, 2, 2), torch.zeros(2, 1, 2, 2)
    start[:, 0, 0, 0], end[:, 0, 1, 1] = 3.0, 3.0
    end[1] = start[1]  # the same latent twice: the way is nowhere
    halfway = join_by_arc(start, end, 0.5)
    torch.testing.assert_close(halfway[0].norm(), torch.tensor(3.0))
    torch.testing.assert_close(halfway[0, 0, 0, 0], torch.tensor(3 / 2**0.5))
    torch.testing.assert_close(halfway[1], start[1])
    torch.testing.assert_close(join_by_arc(start, end, 0.0), start)
    torch.testing.assert_close(join_by_arc(start, end, 1.0), end)


def test_what_cannot_be_interpolated(case, unconditional, tmp_path, capsys):
    out = tmp_path / "x.npz"
    for files, more, words in (
        (case, ("--num-images", 2), "interpolate with an unconditional model"),
        (unconditional, ("--num-images", 3), "got 3 images and 7 steps; needed: pairs of images"),
        (unconditional, ("--num-images", 2, "--num-steps", 1), "1 steps"),
    ):
        assert run(files, "interpolate", out, *more) == 2
        assert words in capsys.readouterr().err
        assert not list(tmp_path.iterdir())
    assert run(unconditional, "interpolate", tmp_path / "x.json") == 2
