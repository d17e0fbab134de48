"""The commands of `python -m adm`, from data to samples, and what they refuse."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from adm.cli import main
from records.batches import read_batch
from records.files import spec_digest, write_json
from workflow.settings import load_plan


@pytest.fixture(scope="module")
def plan():
    return load_plan({})


@pytest.fixture(scope="module")
def trained(plan, tmp_path_factory):
    """Data and a model after two iterations, made by the commands."""
    folder = tmp_path_factory.mktemp("cli")
    write_json(folder / "data.json", plan.datasets["imagenet_64"])
    assert main(["dataset", "--spec", f"{folder}/data.json", "--out", f"{folder}/data.zip"]) == 0
    spec = plan.models["imagenet_64"]
    write_json(folder / "model.json", spec)
    assert main(train_arguments(folder, "--digest", spec_digest(spec))) == 0
    return folder


def train_arguments(folder, *more):
    options = {
        "--spec": "model.json",
        "--data": "data.zip",
        "--state": "state",
        "--out": "ema.safetensors",
        "--events": "events.jsonl",
    }
    paths = [part for key, name in options.items() for part in (key, f"{folder}/{name}")]
    return ["train", *paths, "--mark", "final", "--iterations", "2", *more]


def sample_spec(plan, **changes):
    spec = dict(plan.samples["t4_64_adm_dropout"], num_images=5, **changes)
    spec["model"] = {**spec["model"], "iteration": 2}
    return spec


def test_from_data_to_samples(plan, trained, tmp_path):
    write_json(tmp_path / "spec.json", sample_spec(plan))
    out = tmp_path / "s.npz"
    arguments = ["sample", "--spec", f"{tmp_path}/spec.json", "--out", str(out)]
    arguments += ["--weights", f"{trained}/ema.safetensors", "--batch-size", "2"]
    assert main(arguments) == 0
    images, labels = read_batch(out)
    assert images.shape == (5, 4, 4, 3) and labels.shape == (5,)
    assert main([*arguments, "--start", "3", "--out", str(tmp_path / "t.npz")]) == 0
    later, later_labels = read_batch(tmp_path / "t.npz")
    assert (later_labels == labels[3:]).all()
    assert np.abs(later.astype(int) - images[3:]).max() <= 1
    assert json.loads((tmp_path / "s.json").read_text())["range"] == [0, 5]


def refused(capsys, arguments, status=2):
    assert main(arguments) == status
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "Traceback" not in error
    return lines[0]


def test_refusals(plan, trained, tmp_path, capsys):
    assert "0123456789ab was planned" in refused(
        capsys, train_arguments(trained, "--digest", "0123456789abcdef")
    )
    missing = ["sample", "--spec", f"{tmp_path}/none.json", "--weights", "w", "--out", "o"]
    assert "no such file; a spec is needed" in refused(capsys, missing)
    write_json(tmp_path / "spec.json", sample_spec(plan))
    arguments = ["sample", "--spec", f"{tmp_path}/spec.json", "--out", f"{tmp_path}/s.npz"]
    assert "no such file" in refused(capsys, [*arguments, "--weights", f"{tmp_path}/none"])
    whole = (trained / "ema.safetensors").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    assert "cut" in refused(capsys, [*arguments, "--weights", f"{tmp_path}/cut"])
    torch.save({"a": torch.zeros(1)}, tmp_path / "pickle.pt")
    assert "pickle.pt" in refused(capsys, [*arguments, "--weights", f"{tmp_path}/pickle.pt"])
    weights = [*arguments, "--weights", f"{trained}/ema.safetensors"]
    assert "range 4:2" in refused(capsys, [*weights, "--start", "4", "--stop", "2"])
    if not torch.cuda.is_available():
        assert "sees no CUDA device" in refused(capsys, [*weights, "--device", "cuda"])
    assert not (tmp_path / "s.npz").exists()


def test_help_needs_no_torch():
    script = (
        "import sys, adm.cli; adm.cli.make_parser().format_help(); print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.stdout.strip() == "False", run.stderr
