"""The bench of reading images in small: all layouts hold the same images and are read."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from bench import images
from eval.images.open import open_images, read_all

ROOT = Path(__file__).resolve().parents[2]


def test_every_layout_holds_the_same_images(tmp_path):
    images.write_layouts(tmp_path, 5, 16)
    read = [read_all(open_images(tmp_path / file))[0] for file in images.LAYOUTS.values()]
    assert len(read) == 3 and read[0].shape == (5, 16, 16, 3) and read[0].std() > 10
    for other in read[1:]:
        np.testing.assert_array_equal(other, read[0])


def test_each_layout_is_read_twice_and_told():
    command = [sys.executable, "-m", "bench.images", "--num-images", "20", "--image-size-px", "16"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert [line[:26].split() for line in lines] == [
        [*name.split(), num] for num in ("2", "20") for name in images.LAYOUTS
    ]
    assert all("images/s" in line and line.endswith(" MB") for line in lines)
