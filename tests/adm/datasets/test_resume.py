"""A run that is killed with SIGKILL goes on to the same bytes, and leaves no process behind."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

from adm.datasets.prepare import state_folder
from tests.adm.datasets.small_sources import make_jpeg, prepare, write_imagenet_tar, write_tree

NUM_IMAGES = 360
PROGRAM = """
import sys
from pathlib import Path
from adm.datasets.order import Order
from adm.datasets.prepare import prepare_dataset
path, out, num_workers = sys.argv[1:]
prepare_dataset(
    Order("images" if Path(path).is_dir() else "imagenet", Path(path), Path(out), 64,
          num_classes=2, num_workers=int(num_workers))
)
"""


@pytest.fixture(scope="module")
def classes():
    images = [make_jpeg(300, 220, seed) for seed in range(8)]
    return {
        name: {
            f"{name}_{one:03d}.JPEG": images[(one + place) % 8] for one in range(NUM_IMAGES // 2)
        }
        for place, name in enumerate(("n01", "n02"))
    }


def start(path, out, num_workers):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path), str(out), str(num_workers)],
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_after_records(process, out, num_bytes):
    """Kill when the records have grown to a size; return the processes that it had started."""
    records = state_folder(out) / "records.bin"
    deadline = time.monotonic() + 60
    while not records.exists() or records.stat().st_size < num_bytes:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    return children


@pytest.mark.parametrize(("form", "num_workers"), [("tree", 2), ("tar", 1)])
def test_killed_and_resumed_is_the_same_as_uninterrupted(tmp_path, classes, form, num_workers):
    if form == "tree":
        path, dataset = write_tree(tmp_path / "in", classes), "images"
    else:
        path, dataset = write_imagenet_tar(tmp_path / "in.tar", classes), "imagenet"
    out = tmp_path / "x.zip"
    children = kill_after_records(start(path, out, num_workers), out, 8000)
    assert not out.exists()
    left = psutil.wait_procs(children, timeout=20)[1]
    assert [one for one in left if one.status() != psutil.STATUS_ZOMBIE] == []
    (tmp_path / "y").mkdir()
    options = {"dataset": dataset, "image_size_px": 64, "num_classes": 2, "num_workers": 2}
    _, manifest = prepare(tmp_path, path, **options)
    whole, _ = prepare(tmp_path / "y", path, **options)
    assert 100 < manifest["num_from_earlier_run"] < NUM_IMAGES
    assert out.read_bytes() == whole.read_bytes()
    assert not state_folder(out).exists()


def test_a_signal_to_the_whole_job_is_a_stop(tmp_path, classes):
    """As a batch system ends a job: all its processes get the signal at once."""
    path, out = write_tree(tmp_path / "in", classes), tmp_path / "x.zip"
    process = start(path, out, 2)
    records = state_folder(out) / "records.bin"
    deadline = time.monotonic() + 60
    while not (records.exists() and records.stat().st_size > 8000):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for one in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
        one.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=30)[1]
    assert "Stopped: " in said
    assert "stopped by SIGTERM after" in said
    _, manifest = prepare(tmp_path, path, image_size_px=64, num_classes=2)
    assert manifest["num_from_earlier_run"] > 100
