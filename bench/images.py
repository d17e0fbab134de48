"""Measure how fast batches of images are read, by layout, and the memory that takes.

Run `python -m bench.images`; every layout holds the same random images.
"""

import argparse
import io
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from bench.peak_memory import read_peak_memory_mb
from eval.images.open import open_images

LAYOUTS = {"npz": "images.npz", "npz, compressed": "packed.npz", "zip of PNGs": "images.zip"}


def write_layouts(folder: Path, num_images: int, image_size_px: int) -> None:
    """Write random images, smooth enough to compress like pictures, in every layout."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (num_images, 8, 8, 3), dtype=np.uint8)
    images = np.stack(
        [
            np.asarray(Image.fromarray(one).resize((image_size_px,) * 2, Image.Resampling.BICUBIC))
            for one in small
        ]
    )
    images += rng.integers(0, 8, images.shape, dtype=np.uint8)
    np.savez(folder / LAYOUTS["npz"], images)
    np.savez_compressed(folder / LAYOUTS["npz, compressed"], images)
    with zipfile.ZipFile(folder / LAYOUTS["zip of PNGs"], "w") as archive:
        for number, image in enumerate(images):
            buffer = io.BytesIO()
            Image.fromarray(image).save(buffer, "PNG")
            archive.writestr(f"{number:06d}.png", buffer.getvalue())


def read(path: Path) -> None:
    """Read all images of a path, and print how long that took and the peak memory."""
    started = time.perf_counter()
    num_images = sum(len(batch) for batch in open_images(path).iterate_batches(64))
    seconds = time.perf_counter() - started
    print(f"{num_images / seconds:10.0f} images/s {read_peak_memory_mb():8.0f} MB", flush=True)


def main() -> None:
    """Write the layouts and read each, whole and a tenth of it, in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num-images", type=int, default=2000)
    parser.add_argument("--image-size-px", type=int, default=256)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.read:
        read(args.read)
        return
    for num_images in (args.num_images // 10, args.num_images):
        with tempfile.TemporaryDirectory() as folder:
            write_layouts(Path(folder), num_images, args.image_size_px)
            for name, file in LAYOUTS.items():
                print(f"{name:18}{num_images:8}", end="", flush=True)
                path = str(Path(folder) / file)
                subprocess.run([sys.executable, "-m", "bench.images", "--read", path], check=True)


if __name__ == "__main__":
    main()
