"""A run that is killed at any moment ends, resumed, in the same bits as one that was not."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from adm.training.state import PREVIOUS_NAME, STATE_NAME
from adm.weights.tensors import read_tensors
from records.errors import UserError
from records.events import read_events
from tests.adm.training_case import make_spec, run

ROOT = Path(__file__).resolve().parents[2]
ITERATIONS = 7
# Dropout, annealing, decay, accumulation and clipping: all that could lose its place.
SPEC = make_spec(
    batch_size=9,
    weight_decay=0.1,
    anneal_iterations=20,
    grad_clip=1.0,
    learning_rate=5e-3,
)

# Runs in its own process, and has itself killed at the n-th call of a function.
KILLED_RUN = """
import os, signal, sys
from pathlib import Path

from tests.adm.test_resume import ITERATIONS, SPEC
from tests.adm.training_case import make_data, run

folder, module, name, count = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
make_data(folder)
target = sys.modules[module]
original, calls = getattr(target, name), []


def kill_at_last(*arguments, **options):
    calls.append(None)
    if len(calls) == count:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **options)


setattr(target, name, kill_at_last)
run(folder, SPEC, ITERATIONS, save_every_iterations=2)
"""


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Weights file and state of a run that is saved at its end only."""
    folder = tmp_path_factory.mktemp("whole")
    return run(folder, SPEC, ITERATIONS), folder / "state"


def assert_same_run(folder, uninterrupted):
    path, state_dir = uninterrupted
    assert (folder / "out.safetensors").read_bytes() == path.read_bytes()
    expected, expected_texts = read_tensors(state_dir / STATE_NAME, "state")
    got, texts = read_tensors(folder / "state" / STATE_NAME, "state")
    assert texts == expected_texts
    assert got.keys() == expected.keys()
    assert all(torch.equal(got[name], expected[name]) for name in expected)


def resumed_from(folder):
    events = read_events(folder / "events.jsonl")[0]
    return [one["iteration"] for one in events if one["event"] == "resume"]


@pytest.mark.parametrize("first", [1, 4, 6])
def test_two_marks_equal_one_run(tmp_path, uninterrupted, first):
    run(tmp_path, SPEC, first, mark="first")
    run(tmp_path, SPEC, ITERATIONS)
    assert resumed_from(tmp_path) == [first]
    assert_same_run(tmp_path, uninterrupted)


@pytest.mark.parametrize(
    ("module", "name", "count", "resumes", "num_leftovers"),
    [
        # Iteration 6: the weights have moved, their average has not.
        ("adm.training.step", "update_ema", 6, [4], 0),
        # Iteration 1, in the second microbatch: nothing was saved yet.
        ("adm.training.losses", "training_losses", 2, [], 0),
        # The second save: the data are written, not yet known to be on the disk.
        ("os", "fsync", 2, [2], 1),
        # The third save: the temporary file is whole and has not got its name.
        ("os", "replace", 5, [4], 1),
        # The second save: the state before it is about to be given its second name.
        ("os", "link", 1, [2], 0),
    ],
)
def test_killed_runs_go_on_to_the_same_bits(
    tmp_path, uninterrupted, module, name, count, resumes, num_leftovers
):
    """SIGKILL to a real process in the middle of a step and at each stage of a save."""
    command = [sys.executable, "-c", KILLED_RUN, str(tmp_path), module, name, str(count)]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "out.safetensors").exists()
    assert len(list((tmp_path / "state").glob(".*.tmp"))) == num_leftovers
    run(tmp_path, SPEC, ITERATIONS)
    assert resumed_from(tmp_path) == resumes
    assert_same_run(tmp_path, uninterrupted)
    assert not list((tmp_path / "state").glob(".*"))


def test_a_damaged_state_costs_the_way_from_the_one_before_only(tmp_path, uninterrupted, capsys):
    run(tmp_path, SPEC, 5, mark="first", save_every_iterations=3)
    path = tmp_path / "state" / STATE_NAME
    path.write_bytes(path.read_bytes()[:1000])
    run(tmp_path, SPEC, ITERATIONS)
    assert resumed_from(tmp_path) == [3]
    assert f"Continuing from {tmp_path / 'state' / PREVIOUS_NAME}" in capsys.readouterr().err
    assert_same_run(tmp_path, uninterrupted)


def test_a_full_disk_in_the_middle_of_a_run_loses_nothing(tmp_path, uninterrupted, monkeypatch):
    import adm.training.state

    write, calls = adm.training.state.write_tensors, []

    def write_until_full(path, tensors, metadata):
        calls.append(None)
        if len(calls) == 3:
            raise UserError(f"{path}: cannot be written: the disk is full")
        write(path, tensors, metadata)

    with monkeypatch.context() as patch:
        patch.setattr("adm.training.state.write_tensors", write_until_full)
        with pytest.raises(UserError, match="the disk is full"):
            run(tmp_path, SPEC, ITERATIONS, save_every_iterations=2)
    run(tmp_path, SPEC, ITERATIONS)
    assert resumed_from(tmp_path) == [4]
    assert_same_run(tmp_path, uninterrupted)
