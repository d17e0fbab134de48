"""Several processes train as one does, stop together and end together."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from adm.training.ranks import ALONE, Ranks, join_ranks
from records.errors import UserError
from records.events import read_events
from tests.adm.training_case import make_data, make_spec, run

ITERATIONS = 50
EVERY = {"TORCH_DISTRIBUTED_DEBUG": "OFF", "OMP_NUM_THREADS": "1"}


def start(folder, spec, num_processes, iterations=ITERATIONS, *, state="state", extra=()):
    """Start torchrun on a spec; its events and weights are named after the state."""
    path = folder / "spec.json"
    path.write_text(json.dumps(spec.content()))
    command = [
        *("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", num_processes),
        *("-m", "adm", "train", "--spec", path, "--data", make_data(folder)),
        *("--state", folder / state, "--out", folder / f"{state}.safetensors", "--mark", "final"),
        *("--iterations", iterations, "--events", folder / f"{state}.jsonl", "--threads", 1),
        *extra,
    ]
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        env={**os.environ, **EVERY},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def losses_of(path):
    events = read_events(path)[0]
    return {one["iteration"]: one["loss"] for one in events if one["event"] == "progress"}


@pytest.mark.parametrize(
    ("num_processes", "kind", "microbatch_size"),
    [
        (2, "diffusion", 8),
        pytest.param(4, "diffusion", 1, marks=pytest.mark.slow),
        pytest.param(2, "classifier", 2, marks=pytest.mark.slow),
        pytest.param(2, "upsampler", 2, marks=pytest.mark.slow),
    ],
)
def test_losses_are_those_of_one_process(tmp_path, num_processes, kind, microbatch_size):
    """Dropout, flips, noise and labels follow the sample, not the process."""
    flips = {"augmentation": {"flip": True, "random_crop": False}}
    options = flips if kind == "classifier" else {**flips, "architecture": {"dropout": 0.3}}
    alone = make_spec(kind, **options)
    run(tmp_path, alone, ITERATIONS, state="alone", out="alone", log_every_iterations=1)
    (tmp_path / "events.jsonl").rename(tmp_path / "alone.jsonl")
    extra = ("--log-every-iterations", 1, "--microbatch-size", microbatch_size)
    process = start(tmp_path, alone, num_processes, extra=extra)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    expected, found = (losses_of(tmp_path / f"{name}.jsonl") for name in ("alone", "state"))
    assert list(found) == list(expected) == list(range(1, ITERATIONS + 1))
    assert list(found.values()) == pytest.approx(list(expected.values()), rel=1e-4)
    one, other = (load_file(tmp_path / f"{name}.safetensors") for name in ("alone", "state"))
    away = sum(((other[name] - tensor) ** 2).sum() for name, tensor in one.items())
    # Where a gradient is 0 but for rounding, as of keys' biases, AdamW follows the rounding.
    assert away < 1e-4 * sum((tensor**2).sum() for tensor in one.values())
    begun = [e for e in read_events(tmp_path / "state.jsonl")[0] if e["event"] == "start"]
    assert [one["processes"] for one in begun] == [num_processes]  # the first one alone writes


@pytest.mark.parametrize("microbatch_size", [1, 3, 8, 100])
def test_losses_are_those_of_any_microbatch(tmp_path, microbatch_size):
    spec = make_spec(architecture={"dropout": 0.3})
    losses = []
    for name, size in (("whole", None), ("cut", microbatch_size)):
        options = {"state": name, "out": name, "log_every_iterations": 1}
        run(tmp_path, spec, 20, microbatch_size=size, **options)
        (tmp_path / "events.jsonl").rename(tmp_path / f"{name}.jsonl")
        losses.append(list(losses_of(tmp_path / f"{name}.jsonl").values()))
    assert len(losses[0]) == 20 and losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert (losses[1] == losses[0]) == (microbatch_size >= 8)


def test_processes_stop_together_and_others_go_on(tmp_path):
    spec = make_spec()
    process = start(tmp_path, spec, 2, 100_000)
    state = tmp_path / "state" / "state.safetensors"
    deadline = time.monotonic() + 120
    while not re.search('"event": ?"start"', _read(tmp_path / "state.jsonl")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.2)
    time.sleep(2)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0 and state.exists()
    assert errors.count("stopped by SIGTERM after iteration") == 1
    (stopped,) = [e for e in read_events(tmp_path / "state.jsonl")[0] if e["event"] == "stopped"]
    done = stopped["iteration"]
    assert done > 0
    # Another number of processes continues: here one.
    path = run(tmp_path, spec, done + 1)
    assert path.exists()
    resumed = [e for e in read_events(tmp_path / "events.jsonl")[0] if e["event"] == "resume"]
    assert [one["iteration"] for one in resumed] == [done]


def _read(path):
    return path.read_text() if path.exists() else ""


def test_one_that_fails_ends_all_with_its_message(tmp_path):
    spec = make_spec(batch_size=9)
    process = start(tmp_path, spec, 2)
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "batch_size 9 cannot be dealt to 2 processes evenly" in errors


def test_rows_are_dealt_in_order():
    found = [list(Ranks(rank, 4).find_rows(8)) for rank in range(4)]
    assert found == [[0, 1], [2, 3], [4, 5], [6, 7]]
    with pytest.raises(UserError, match="batch_size 9 cannot be dealt to 4 processes evenly"):
        Ranks(0, 4).find_rows(9)


def test_alone_nothing_is_shared(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with join_ranks("cpu") as (ranks, device):
        assert (ranks, device) == (ALONE, "cpu")
    model = torch.nn.Linear(1, 1)
    assert ALONE.wrap(model)[0] is model
    assert ALONE.share_first((1, "a")) == (1, "a")
    assert ALONE.find_largest([3, 0]) == [3, 0]


def test_several_processes_take_a_gpu_each(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    words = r"process 1 of this machine takes GPU 1 of 1; give"
    with pytest.raises(UserError, match=words), join_ranks("cuda"):
        pass
    words = r"--device cuda:0: .* give --device cuda"
    with pytest.raises(UserError, match=words), join_ranks("cuda:0"):
        pass
