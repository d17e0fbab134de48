"""The commands of `python -m adm`, from data to samples, and what they refuse."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from adm.cli import main
from records.batches import read_batch
from records.files import write_json
from specs.sampling import AccuracySpec, WeightsAt
from workflow.settings import load_plan


@pytest.fixture(scope="module")
def plan():
    return load_plan({})


@pytest.fixture(scope="module")
def trained(plan, tmp_path_factory):
    """Data and a model after two iterations, made by the commands."""
    folder = tmp_path_factory.mktemp("cli")
    write_json(folder / "data.json", plan.datasets["imagenet_64"].content())
    assert main(["dataset", "--spec", f"{folder}/data.json", "--out", f"{folder}/data.zip"]) == 0
    spec = plan.models["imagenet_64"]
    write_json(folder / "model.json", spec.content())
    assert main(train_arguments(folder, "--digest", spec.digest)) == 0
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


def sample_spec(plan):
    spec = plan.samples["t4_64_adm_dropout"]
    model = spec.model.model_copy(update={"iteration": 2})
    return spec.model_copy(update={"num_samples": 5, "model": model}).content()


def accuracy_spec(plan):
    digest = plan.models["classifier_64"].digest
    spec = AccuracySpec(
        recipe=1,
        name="classifier_64",
        classifier=WeightsAt(name="classifier_64", digest=digest, mark="final", iteration=2),
        dataset=plan.datasets["imagenet_64"],
        num_ranges=10,
        max_images=100,
        seed=0,
    )
    return spec.content()


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
    assert "no such file; a sample spec is needed" in refused(capsys, missing)
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
        assert "--config device=cpu" in refused(capsys, [*weights, "--device", "cuda"])
    assert not (tmp_path / "s.npz").exists()


@pytest.fixture
def work(plan, trained, tmp_path, monkeypatch):
    """Inputs of every command in one folder, which is gone into."""
    for name in ("data.json", "data.zip", "model.json", "ema.safetensors"):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    (tmp_path / "ema.npz").symlink_to("ema.safetensors")
    write_json(tmp_path / "s.json", sample_spec(plan))
    write_json(tmp_path / "accuracy.json", accuracy_spec(plan))
    images = {"dataset": "images", "image_size_px": 4, "num_classes": None}
    for name in ("x", "data"):
        write_json(tmp_path / f"{name}.manifest.json", images)
    (tmp_path / "tables.yaml").write_bytes(Path("params/tables.yaml").read_bytes())
    os.mkfifo(tmp_path / "pipe.zip")
    assert main(["export", f"{trained}/ema.safetensors", "--out", f"{tmp_path}/back.pt"]) == 0
    monkeypatch.chdir(tmp_path)
    return tmp_path


IMAGES = "dataset --dataset images --image-size-px 4 --path data.zip"
TRAIN = "train --spec model.json --data data.zip --state state --mark final --iterations 2"
SAMPLE = "sample --spec s.json --weights ema.safetensors"
ACCURACY = "accuracy --spec accuracy.json --weights ema.safetensors --data data.zip"


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("export ema.safetensors --out ema.safetensors", None),
        ("export ema.npz --out ema.safetensors", None),
        ("import back.pt --model imagenet_64 --scale digits --out ../{folder}/back.pt", None),
        ("import back.pt --spec s.json --mark final --iteration 2 --out s.json", None),
        ("spec ADM_U --tables tables.yaml --out tables.yaml", None),
        ("dataset --spec data.json --out data.json", None),
        (f"{IMAGES} --out data.zip", None),
        ("dataset --spec x.manifest.json --path data.zip --out x.zip", "x.manifest.json, which"),
        ("draw ema.npz --out ema.npz", None),
        (f"{SAMPLE} --out ema.safetensors", None),
        (f"{ACCURACY} --out data.manifest.json", None),
        (f"{SAMPLE} --out s.npz", "s.json, which is written beside it,"),
        (f"{SAMPLE} --low-res back.npz --out s.json", None),
        (f"{TRAIN} --events events.jsonl --out data.zip", None),
        (f"{TRAIN} --events events.jsonl --out model.json", None),
        (f"{TRAIN} --out new.safetensors --events data.zip", None),
        (f"{ACCURACY} --out data.zip", None),
        (f"{ACCURACY} --out accuracy.json", None),
    ],
)
def test_no_command_replaces_what_it_reads(work, capsys, command, named):
    before = {one.name: one.is_file() and one.read_bytes() for one in work.iterdir()}
    error = refused(capsys, command.format(folder=work.name).split())
    assert "an input of the same command; give the output another name" in error
    assert named is None or named in error
    assert {one.name: one.is_file() and one.read_bytes() for one in work.iterdir()} == before


@pytest.mark.parametrize(
    "command",
    ["export ema.safetensors", "spec ADM_U", "dataset --spec data.json", IMAGES, SAMPLE, ACCURACY],
)
def test_no_command_replaces_a_pipe(work, capsys, command):
    error = refused(capsys, [*command.split(), "--out", "pipe.zip"])
    assert error.startswith("error: pipe.zip: a device, a pipe or a socket, which the output would")
    assert (work / "pipe.zip").is_fifo()


def test_a_wrong_path_of_the_data_is_told_also_where_nothing_is_trained(trained, capsys):
    arguments = train_arguments(trained)
    assert main(arguments) == 0
    arguments[arguments.index("--data") + 1] = f"{trained}/gone.zip"
    assert "gone.zip: no such file; make the dataset first" in refused(capsys, arguments)
    arguments[arguments.index("--data") + 1] = str(trained)
    arguments[arguments.index("--state") + 1] = f"{trained}/another"
    assert "cannot be read (Is a directory); give the zip of a data" in refused(capsys, arguments)


@pytest.mark.parametrize("command", [TRAIN, SAMPLE, ACCURACY, "draw ema.safetensors"])
def test_a_device_that_is_not_there_is_told(work, capsys, command):
    error = refused(capsys, [*command.split(), "--out", "new.png", "--device", "cuda:77"])
    assert error.startswith("error: device cuda:77: cannot be used (")
    assert not (work / "new.png").exists() and not (work / "state").exists()


@pytest.mark.parametrize("number", ["-4", "0"])
@pytest.mark.parametrize(
    ("command", "option"),
    [(ACCURACY, "--batch-size"), (SAMPLE, "--batch-size"), (SAMPLE, "--images-per-shard")],
)
def test_nothing_is_made_in_batches_or_shards_of_none(work, capsys, command, option, number):
    with pytest.raises(SystemExit, match="2"):
        main([*command.split(), "--out", "new.npz", option, number])
    assert f"argument {option}: got '{number}'" in capsys.readouterr().err
    assert not (work / "new.npz").exists()


def test_help_needs_no_torch():
    script = (
        "import sys, adm.cli; adm.cli.make_parser().format_help(); print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.stdout.strip() == "False", run.stderr
