"""The bench of grading: its images, and the whole of it in small where it is slow."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench import grading
from eval.images.open import open_images, read_all

ROOT = Path(__file__).resolve().parents[2]


def test_its_images_can_be_graded(tmp_path):
    path = grading.make_images(tmp_path / "a.npz", 501, 16, seed=0)
    images, labels = read_all(open_images(path))
    assert images.shape == (501, 16, 16, 3) and labels is None
    assert len({image.tobytes() for image in images}) == 501


@pytest.mark.slow
def test_seconds_and_memory_are_told():
    options = ["--num-samples", "4", "--num-reference", "4", "--image-size-px", "8"]
    command = [sys.executable, "-m", "bench.grading", *options, "--threads", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Inception Score: ") and len(lines) == 6
    assert lines[-1].startswith("4 samples against 4 reference images, 8 px, 1 threads, cpu: ")
    assert lines[-1].endswith(" MiB")
