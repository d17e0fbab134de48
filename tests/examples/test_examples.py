"""Each script of examples/ is run as a user runs it: a process, from another folder."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.adm.sample_specs import (
    classifier_architecture,
    make_networks,
    model_spec,
    unet_architecture,
    weights,
)

ROOT = Path(__file__).parents[2]
NUMBER = r"(\d+\.?\d*)"


def run(script, *options, cwd):
    """Run a script with this checkout in the place of an installed one."""
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / script), *map(str, options)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def read_png(path):
    """Read a picture, which has to be a PNG and not of one colour."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB"))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 10
    return pixels


def check_mixture(folder, *options):
    """Demand that guidance raises the share of the class, and at 10 lowers the spread."""
    done = run("mixture_2d.py", "--out", "out.png", *options, cwd=folder)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    found = re.findall(rf"^(.*): {NUMBER} % of class 0, spread {NUMBER}$", done.stdout, re.M)
    shares = {title: float(share) for title, share, _ in found}
    spreads = {title: float(spread) for title, _, spread in found}
    unguided, at_1, at_10 = (f"guidance scale {scale}" for scale in (0, 1, 10))
    assert shares[unguided] < 65 and shares[at_1] > 85 and shares[at_10] > 99
    assert spreads[at_10] < spreads[at_1] < spreads[unguided]
    real = "real points of class 0"
    assert abs(spreads[at_1] - spreads[real]) < 0.1 < spreads[real] - spreads[at_10]
    height, width, _ = read_png(folder / "out.png").shape
    assert width > 3 * height  # four panels side by side


def test_points_are_closer_to_their_class_the_more_they_are_guided(tmp_path):
    check_mixture(tmp_path, "--iterations", 300)


@pytest.mark.slow
def test_the_mixture_as_it_is_shipped(tmp_path):
    check_mixture(tmp_path)


def test_samples_are_graded_and_their_faults_show(tmp_path):
    done = run("grade_samples.py", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert done.stdout.count(" samples against 1,397 reference images\n") == 3
    results = {
        name: json.loads((tmp_path / "grades" / f"{name}.json").read_text())["metrics"]
        for name in ("real", "ten-only", "noisy")
    }
    for result in results.values():
        for metric in result.values():
            assert metric["interval"][0] <= metric["value"] <= metric["interval"][1]
    values = {
        name: {m: one["value"] for m, one in result.items()} for name, result in results.items()
    }
    assert values["ten-only"]["recall"] < 0.1 < 0.6 < values["real"]["recall"]
    assert values["noisy"]["precision"] < 0.75 < values["real"]["precision"]
    for name in ("ten-only", "noisy"):
        assert values[name]["fid"] > 2 * values["real"]["fid"]


def save_miniature_models(folder):
    """Save what `make table3` leaves, of small networks with random weights."""
    model, classifier = make_networks()
    for spec, network in (
        (model_spec("diffusion", unet_architecture(), "imagenet_256"), model),
        (model_spec("classifier", classifier_architecture(), "classifier_256"), classifier),
    ):
        path = folder / spec.name / "ema-final.safetensors"
        path.parent.mkdir(parents=True)
        weights(path, spec, network)


def test_digits_are_drawn_from_trained_models(tmp_path):
    models = tmp_path / "results" / "digits" / "retrain" / "models"
    save_miniature_models(models)
    sheets = []
    for seed in (0, 1):
        done = run("draw_digits.py", "--models", models, "--seed", seed, cwd=tmp_path)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        assert done.stdout == "digits.png\n"
        sheets.append(read_png(tmp_path / "digits.png"))
    assert sheets[0].shape[1] > 600  # ten columns of 64 pixels
    assert sheets[0].shape == sheets[1].shape and (sheets[0] != sheets[1]).any()


def test_without_trained_models_one_line_says_what_to_do(tmp_path):
    done = run("draw_digits.py", "--models", tmp_path, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
    assert "imagenet_256/ema-final.safetensors: no such file; run `make table3`" in done.stderr


def test_every_script_is_listed():
    listed = re.findall(r"`(\w+\.py)`", (ROOT / "examples" / "README.md").read_text())
    assert sorted(set(listed)) == sorted(path.name for path in ROOT.glob("examples/*.py"))
