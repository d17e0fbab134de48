"""Folders that really refuse to be written: no permission, a read-only file system, a full disk.

Root may write anywhere, so a command under test gives up the capabilities that make it so; a
read-only or full file system is mounted in a mount namespace that only the command can see.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from adm.cli import main
from records.files import write_json
from workflow.accuracy import make_accuracy_spec
from workflow.figures import make_denoising_spec
from workflow.losses import make_loss_spec
from workflow.settings import load_plan

ROOT = Path(__file__).resolve().parents[2]

# Gives up CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH and CAP_FOWNER (1, 2, 3) for what it executes.
POWERLESS = """
import ctypes, os, sys
if os.geteuid() == 0:
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (1, 2, 3):
        if libc.prctl(24, capability, 0, 0, 0):
            sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
os.execv(sys.argv[1], sys.argv[1:])
"""
# $1 is the folder; afterwards every name in it is printed, as nobody outside can see the mount.
LIST = '"$@"; status=$?; echo "left:"; cd "$folder" && find . | LC_ALL=C sort; exit $status'
READ_ONLY = """
mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" || exit 99
folder=$1; shift
"""
SMALL = """
mount -t tmpfs -o size="$2" none "$1" && echo old > "$1/old" || exit 99
folder=$1; shift 2
"""
FULL = SMALL + 'cat /dev/zero > "$folder/rest" 2>/dev/null\n'
# Runs commands one after the other in one process; each is judged by its status and last line.
RUN = """
import contextlib, importlib, io, json, sys
from records.errors import UserError, main_guard

def write(argv):
    from records.files import atomic_write
    with atomic_write(argv[0]) as file:
        file.write(bytes(2**20))

def record(argv):
    import numpy as np
    from records import batches, events, files, locks
    def take_lock(path):
        with locks.exclusive_lock(path, "work"):
            pass
    {
        "write_batch": lambda to: batches.write_batch(to, np.zeros((1, 8, 8, 3), "u1"), None, {}),
        "join_batches": lambda to, *parts: batches.join_batches(to, parts, {}),
        "link_or_copy": files.link_or_copy,
        "write_event": lambda to: events.EventLog(to).write("start"),
        "take_lock": take_lock,
        "check_folder": files.check_folder,
    }[argv[0]](*argv[1:])

OTHERS = {"eval": ("eval.cli", "main"), "reports": ("reports.cli", "main")}
for name, *argv in json.loads(sys.argv[1]):
    if name in ("write", "records"):
        command = main_guard(write if name == "write" else record)
    elif name in OTHERS:
        module, function = OTHERS[name]
        command = main_guard(getattr(importlib.import_module(module), function))
    else:
        from adm.cli import main as command
        argv = [name, *argv]
    stderr = io.StringIO()
    with contextlib.redirect_stderr(stderr):
        status = command(argv)
    print(json.dumps([status, stderr.getvalue()]))
"""


@dataclass(frozen=True)
class Outcome:
    """What commands answered, and which files were in the folder when they had ended."""

    answers: list[tuple[int, str]]
    left: list[str]


def run_wrapped(wrapper: list[str], commands: list[list[str]]) -> Outcome:
    process = subprocess.run(
        [*wrapper, sys.executable, "-c", RUN, json.dumps(commands)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    answers, _, left = process.stdout.partition("left:\n")
    told = [line for line in answers.splitlines() if line.startswith("[")]  # else a result
    return Outcome([tuple(json.loads(line)) for line in told], left.splitlines())


def powerless(*_: str) -> list[str]:
    return [sys.executable, "-c", POWERLESS]


def mounted(script: str, *arguments: str) -> list[str]:
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--mount", *user, "sh", "-c", script + LIST, "sh", *arguments]


def skip_unless(wrapper: list[str], why: str) -> None:
    """Skip, saying why, where Python cannot be run in a wrapper."""
    try:
        command = [*wrapper, sys.executable, "-c", ""]
        process = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError as error:
        pytest.skip(f"{why}: {error}")
    if process.returncode:
        pytest.skip(f"{why}: {process.stderr.strip()[-200:]}")


def skip_unless_bound(closed: Path) -> None:
    """Skip where a powerless user may write into a folder of mode 0555, or below one of mode 0."""
    probe = [*powerless(), sys.executable, "-c", "import sys; open(sys.argv[1], 'w')"]
    process = subprocess.run([*probe, str(closed / "probe")], capture_output=True, text=True)
    if "Permission denied" not in process.stderr:
        pytest.skip(f"modes do not bind this user: {process.stderr.strip()[-200:]}")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Data and a model after two iterations, in a folder that can be written."""
    folder = tmp_path_factory.mktemp("made")
    plan = load_plan({})
    write_json(folder / "data.json", plan.datasets["imagenet_64"].content())
    write_json(folder / "model.json", plan.models["imagenet_64"].content())
    spec = plan.samples["t4_64_adm_dropout"].content() | {"num_images": 5}
    write_json(folder / "sample.json", spec | {"model": {**spec["model"], "iteration": 2}})
    assert main(dataset(folder, folder)) == 0
    assert main(train(folder, folder, folder, folder)) == 0
    return folder


def dataset(made, target):
    return ["dataset", "--spec", f"{made}/data.json", "--out", f"{target}/data.zip"]


def train(made, state, events, out):
    return [
        "train", "--spec", f"{made}/model.json", "--data", f"{made}/data.zip",
        "--state", f"{state}/state", "--events", f"{events}/events.jsonl",
        "--out", f"{out}/ema.safetensors", "--mark", "final", "--iterations", "2",
    ]  # fmt: skip


def sample(made, state, target):
    return [
        "sample", "--spec", f"{made}/sample.json", "--weights", f"{made}/ema.safetensors",
        "--out", f"{target}/samples.npz", "--state", f"{state}/shards", "--batch-size", "5",
    ]  # fmt: skip


def commands(made, good, bad):
    """Every place where a command writes, one at a time in the bad folder."""
    few = ["--num-images", "1", "--respacing", "2", "--threads", "1"]
    return {
        f"{bad}/file": ["write", f"{bad}/file"],
        f"{bad}/deep/file": ["write", f"{bad}/deep/file"],
        f"{bad}/data.zip": dataset(made, bad),
        f"{bad}/state": train(made, bad, good, good),
        f"{bad}/events.jsonl": train(made, good, bad, good),
        f"{bad}/ema.safetensors": train(made, good, good, bad),
        f"{bad}/shards": sample(made, bad, good),
        f"{bad}/samples.npz": sample(made, good, bad),
        f"{bad}/a.pt": ["export", f"{made}/ema.safetensors", "--out", f"{bad}/a.pt"],
        f"{bad}/a.json": ["spec", "imagenet_64", "--scale", "digits", "--out", f"{bad}/a.json"],
        f"{bad}/a.png": ["draw", f"{made}/ema.safetensors", *few, "--out", f"{bad}/a.png"],
    }


def assert_refused(outcome: Outcome, paths: list[str], words: str) -> None:
    assert len(outcome.answers) == len(paths)
    for path, (status, stderr) in zip(paths, outcome.answers, strict=True):
        errors = [line for line in stderr.splitlines() if line.startswith("error: ")]
        assert status == 2, (path, stderr)
        assert len(errors) == 1 and "Traceback" not in stderr, (path, stderr)
        assert path in errors[0] and words in errors[0], errors[0]


def test_an_output_is_looked_at_before_the_work(made, tmp_path, capsys):
    """No input is there, so whatever is read first would be what is told."""
    (tmp_path / "out").mkdir()
    plan = load_plan({})
    name = next(name for name, one in plan.models.items() if one.kind == "classifier")
    write_json(tmp_path / "accuracy.json", make_accuracy_spec(plan, name, "final").content())
    write_json(tmp_path / "way.json", make_denoising_spec(plan, "t3_cond").content())
    loss = make_loss_spec(plan, "imagenet_128", "final")
    write_json(tmp_path / "loss.json", loss.content())
    state = ["--state", f"{tmp_path}/state", "--events", f"{tmp_path}/events", "--mark", "final"]
    for command in (
        ["train", "--spec", f"{made}/model.json", "--data", "no", *state, "--iterations", "1"],
        ["sample", "--spec", f"{made}/sample.json", "--weights", "no"],
        ["denoise", "--spec", f"{tmp_path}/way.json", "--weights", "no"],
        ["draw", "no.safetensors"],
        ["accuracy", "--spec", f"{tmp_path}/accuracy.json", "--weights", "no", "--data", "no"],
        ["loss", "--spec", f"{tmp_path}/loss.json", "--weights", "no", "--data", "no"],
        ["import", "no.pt", "--model", "imagenet_64", "--scale", "digits"],
        ["export", "no.safetensors"],
    ):
        assert main([*command, "--out", f"{tmp_path}/out"]) == 2
        assert "out: cannot be written (Is a directory); choose another" in capsys.readouterr().err


@pytest.fixture
def folders(tmp_path):
    """A good folder, and a bad one with an old file that must stay as it is."""
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.mkdir()
    bad.mkdir()
    (bad / "old").write_text("old\n")
    yield good, bad
    bad.chmod(0o755)


def test_a_folder_without_write_permission(made, folders):
    good, bad = folders
    bad.chmod(0o555)
    skip_unless_bound(bad)
    planned = commands(made, good, bad)
    outcome = run_wrapped(powerless(), list(planned.values()))
    assert_refused(outcome, list(planned), "no permission to write; change the owner or the mode")
    assert [path.name for path in bad.iterdir()] == ["old"]
    assert (bad / "old").read_text() == "old\n"


def test_a_read_only_file_system(made, folders):
    good, bad = folders
    wrapper = mounted(READ_ONLY, str(bad))
    skip_unless(wrapper, "no private read-only mount")
    planned = commands(made, good, bad)
    outcome = run_wrapped(wrapper, list(planned.values()))
    assert_refused(outcome, list(planned), "the file system is read-only; choose another results")
    assert outcome.left == [".", "./old"]


def test_a_full_disk(made, folders):
    good, bad = folders
    wrapper = mounted(FULL, str(bad), "64k")
    skip_unless(wrapper, "no private small file system")
    planned = commands(made, good, bad)
    outcome = run_wrapped(wrapper, list(planned.values()))
    assert_refused(outcome, list(planned), "the disk is full; free some space and run the same")
    files = [name for name in outcome.left if name not in (".", "./old", "./rest")]
    # Folders, locks and the event log may be there, empty; nothing that is taken for a result.
    empty = {"./state", "./state/lock", "./shards", "./shards/lock"}
    assert set(files) <= {"./deep", "./events.jsonl", *empty}


@pytest.mark.slow
def test_a_disk_that_fills_up_in_the_middle_of_a_checkpoint(made, folders):
    good, bad = folders
    size = (made / "ema.safetensors").stat().st_size
    wrapper = mounted(SMALL, str(bad), str(size // 2))
    skip_unless(wrapper, "no private small file system")
    planned = {
        f"{bad}/state/state.safetensors": train(made, bad, bad, good),
        f"{bad}/ema.safetensors": train(made, good, bad, bad),
    }
    outcome = run_wrapped(wrapper, list(planned.values()))
    assert_refused(outcome, list(planned), "the disk is full; free some space and run the same")
    assert outcome.left == [".", "./events.jsonl", "./old", "./state", "./state/lock"]
    assert main(train(made, good, good, good)) == 0  # nothing lost: the same command goes on
