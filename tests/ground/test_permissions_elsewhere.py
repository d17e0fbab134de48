"""Evaluation, reports, records and the workflow where nothing can be written: one clear message."""

import numpy as np
import pytest

from eval.cli import run as run_eval
from records.batches import write_batch
from records.files import sha256_file, write_json
from reports.cli import write_table
from tests.ground.test_permissions import (
    FULL,
    READ_ONLY,
    assert_refused,
    mounted,
    powerless,
    run_wrapped,
    skip_unless,
    skip_unless_bound,
)
from tests.workflow.conftest import copy_project, snakemake
from workflow.settings import load_plan
from workflow.table_spec import make_table_spec

NETWORK = {
    "recipe": 1, "seed": 0, "image_size_px": 8, "channels": 8, "iterations": 2, "batch_size": 8,
    "learning_rate": 0.002,
}  # fmt: skip
WORDS = {
    "mode": "no permission to write; change the owner or the mode",
    "mount": "the file system is read-only; choose another results",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What every command reads, in a folder that can be written."""
    folder = tmp_path_factory.mktemp("made")
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), dtype=np.uint8)
    write_batch(folder / "images.npz", images, np.arange(60) % 3, {})
    write_json(folder / "network.json", NETWORK)
    (folder / "graph.pb").write_bytes(b"weights")
    for command in (network(folder, folder), reference(folder, folder)):
        assert run_eval(command) == 0
    plan = load_plan({})
    write_json(folder / "table.json", make_table_spec(plan, "table3").content())
    write_table(folder / "table.json", folder)
    return folder


def network(made, target):
    spec, out = f"{made}/network.json", f"{target}/net.safetensors"
    return ["network", f"{made}/images.npz", "--spec", spec, "--out", out]


def reference(made, target):
    weights = ["--weights", f"{made}/net.safetensors", "--threads", "1"]
    return ["reference", f"{made}/images.npz", *weights, "--out", f"{target}/ref.npz"]


def commands(made, bad):
    """Every command with an output in the bad folder, by that output."""
    weights = ["--weights", f"{made}/net.safetensors", "--threads", "1"]
    images = f"{made}/images.npz"
    hashed, to = ["--sha256", sha256_file(made / "graph.pb")], ["--out-dir", f"{bad}"]
    return {
        f"{bad}/m.json": ["eval", f"{made}/ref.npz", images, *weights, "--json", f"{bad}/m.json"],
        f"{bad}/real.json": ["eval", "ceiling", images, *weights, "--json", f"{bad}/real.json"],
        f"{bad}/ref.npz": ["eval", *reference(made, bad)],
        f"{bad}/net.safetensors": ["eval", *network(made, bad)],
        f"{bad}/audit.json": ["eval", "audit", images, "--json", f"{bad}/audit.json"],
        f"{bad}/inception.pb": ["eval", "weights", *hashed, "--out", f"{bad}/inception.pb"],
        f"{bad}/table3.tex": ["reports", "table", "--spec", f"{made}/table.json", *to],
        f"{bad}/index.html": ["reports", "index", f"{made}/table3.json", *to],
        f"{bad}/batch.npz": ["records", "write_batch", f"{bad}/batch.npz"],
        f"{bad}/joined.npz": ["records", "join_batches", f"{bad}/joined.npz", images],
        f"{bad}/link": ["records", "link_or_copy", images, f"{bad}/link"],
        f"{bad}/event": ["records", "write_event", f"{bad}/event"],
        f"{bad}/lock": ["records", "take_lock", f"{bad}/lock"],
        f"{bad}/folder": ["records", "check_folder", f"{bad}/folder"],
    }


@pytest.fixture(params=WORDS)
def refusing(request, tmp_path):
    """A folder that refuses by its mode or its file system, and what runs a command there."""
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "old").write_text("old\n")
    if request.param == "mount":
        wrapper = mounted(READ_ONLY, str(bad))
        skip_unless(wrapper, "no private read-only mount")
    else:
        bad.chmod(0o555)
        wrapper = powerless()
        skip_unless_bound(bad)
    yield bad, wrapper, WORDS[request.param]
    bad.chmod(0o755)


def test_every_command_and_writer(made, refusing, monkeypatch):
    bad, wrapper, words = refusing
    monkeypatch.setenv("ADM_INCEPTION", str(made / "graph.pb"))
    planned = commands(made, bad)
    outcome = run_wrapped(wrapper, list(planned.values()))
    assert_refused(outcome, list(planned), words)
    assert [path.name for path in bad.iterdir()] == ["old"]
    assert (bad / "old").read_text() == "old\n"


def test_every_command_and_writer_on_a_full_disk(made, tmp_path, monkeypatch):
    monkeypatch.setenv("ADM_INCEPTION", str(made / "graph.pb"))
    wrapper = mounted(FULL, str(tmp_path), "64k")
    skip_unless(wrapper, "no private small file system")
    planned = commands(made, tmp_path)
    del planned[f"{tmp_path}/folder"]  # an empty file still fits
    outcome = run_wrapped(wrapper, list(planned.values()))
    assert_refused(outcome, list(planned), "the disk is full; free some space and run the same")
    # The lock and the event log may be there, empty; nothing that is taken for a result.
    assert set(outcome.left) <= {".", "./old", "./rest", "./lock", "./event"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return copy_project(tmp_path_factory.mktemp("project"))


def test_snakemake_with_a_results_folder_that_refuses(project, refusing):
    bad, wrapper, words = refusing
    target = f"{bad}/digits/data/imagenet_64.zip"
    process = snakemake(project, "--config", f"results={bad}", "--", target, wrapper=wrapper)
    output = process.stdout + process.stderr
    assert process.returncode == 1 and "Traceback" not in output, output
    (line,) = [one for one in output.splitlines() if one.startswith("results folder ")]
    assert line.startswith(f"results folder {bad}/digits: cannot be written (")
    assert words in line and line.endswith("or choose another with --config results=FOLDER")
    assert "localrule" not in output  # told before any job
    dry = snakemake(project, "-n", "--config", f"results={bad}", "--", target, wrapper=wrapper)
    assert dry.returncode == 0, dry.stdout + dry.stderr  # which writes nothing there


def test_snakemake_in_a_folder_that_refuses(project, refusing, tmp_path):
    bad, wrapper, words = refusing
    options = ["--directory", str(bad), "--config", f"results={tmp_path}/good"]
    process = snakemake(project, *options, "--", "datasets", wrapper=wrapper)
    output = process.stdout + process.stderr
    assert process.returncode == 1 and "Traceback" not in output, output
    (line,) = [one for one in output.splitlines() if one.startswith(".snakemake: cannot be ")]
    assert words in line and "run it in a copy of the project that you may write to" in line
    assert not (tmp_path / "good").exists()
