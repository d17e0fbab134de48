"""docs/own-images.md, word by word: its commands, with smaller numbers and a small network."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adm.cli import main as adm
from adm.weights.files import read_header
from eval.cli import main as evaluate
from eval.networks.small import save_small_network
from eval.networks.small_training import train_small_network
from records.batches import read_batch
from records.manifest import read_manifest
from tests.eval.conftest import QUICK_SPEC

ROOT = Path(__file__).parents[2]
SMALLER = {"32": "8", "2000": "6", "20000": "6", "500": "8", "50": "8"}


def read_commands():
    """The words of every command in the page, with smaller numbers."""
    text = (ROOT / "docs" / "own-images.md").read_text()
    lines = re.findall(r"(?m)^ {4,}python -m (.*)$", text)
    return [[SMALLER.get(word, word) for word in shlex.split(line)] for line in lines]


def write_images(folder, grey):
    """Twelve photographs of each class, oblong and larger than they are trained at."""
    values = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(12):
            pixels = values.integers(0, 256, (2, 3, 3), dtype=np.uint8)
            image = Image.fromarray(pixels).resize((24, 16), Image.Resampling.BICUBIC)
            image.convert("L" if grey else "RGB").save(folder / name / f"{number}.png")


def run(words):
    """Run one command of the page."""
    program, *rest = words
    # a shell would fill in the pattern
    rest = [str(next(iter(Path().glob(one)))) if "*" in one else one for one in rest]
    threads = ["--threads", "1"] if rest[0] in ("fit", "draw", "train") else []
    assert {"adm": adm, "eval": evaluate}[program]([*rest, *threads]) == 0, words


@pytest.mark.parametrize("grey", [False, True])
def test_the_commands_of_the_page(tmp_path, monkeypatch, capsys, grey):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "pets", grey)
    dataset, fit, draw, grade, raw, *longer = read_commands()
    assert (len(longer), grade[0]) == (3, "eval")
    run([*dataset, *(("--channels", "1") if grey else ())])
    run(fit)
    header = read_header("pets_model/model.safetensors")
    assert header.class_names == ("cat", "dog")
    assert header.spec.architecture.in_channels == (1 if grey else 3)
    run([*draw, "--label", "dog"])
    images, labels = read_batch("samples.npz")
    assert images.shape == (8, 8, 8, 3) and labels.tolist() == [1] * 8
    manifest = read_manifest("samples.npz")
    assert manifest["class_names"] == ["cat", "dog"]
    assert manifest["sampling"]["halves"][0]["classifier"] == "pets_model_classifier"
    with Image.open("grid.png") as grid:
        assert json.loads(grid.text["manifest"])["labels"] == [1] * 8
    values = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
    network = train_small_network(values, np.arange(60) % 2, QUICK_SPEC)
    save_small_network(tmp_path / "network.safetensors", *network)
    capsys.readouterr()
    run([*grade, "--weights", "network.safetensors", "--metrics", "fid"])
    assert re.search(r"^FID: [0-9.]+$", capsys.readouterr().out, re.MULTILINE)
    if not grey:
        run([*raw, "--respacing", "8", "--num-images", "2"])
        for words in longer[:2]:
            run(words)
        run([*longer[2], "--respacing", "8"])
