"""How fast datasets are prepared, and whether memory stays flat.

Run `python -m bench.datasets`. JPEGs of about ImageNet's mean size (500x375, 110 kB) are cut from
scikit-learn's two photographs into a temporary folder. At each size the same images are converted
by one process in a loop over the function that the workers call, and by the workers, in turns.
When other programs keep the cores busy the ratio says little, so the processor time per image is
printed beside it, and the ratio that it would make on idle cores.
"""

import argparse
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
from PIL import Image
from sklearn.datasets import load_sample_images

from adm.datasets.formats import READERS
from adm.datasets.image_tree import open_image_folder
from adm.datasets.workers import (
    CHUNK_IMAGES,
    CHUNKS_AHEAD,
    Work,
    convert_in_order,
    convert_place,
)
from records.cores import count_cores

SIZES_PX = (64, 128, 256)
JPEG_SHAPE = (500, 375)
JPEG_QUALITY = 95
TARGET_RATIO = 1.5
MEASURE_MEMORY = """
import json, sys
from pathlib import Path
from adm.datasets.order import Order
from adm.datasets.prepare import prepare_dataset
import psutil, threading, time
peaks = {"parent": 0, "all": 0}
def watch():
    parent = psutil.Process()
    while True:
        total = own = parent.memory_info().rss
        for child in parent.children(recursive=True):
            try:
                total += child.memory_info().rss
            except psutil.NoSuchProcess:
                pass
        peaks["parent"], peaks["all"] = max(peaks["parent"], own), max(peaks["all"], total)
        time.sleep(0.02)
threading.Thread(target=watch, daemon=True).start()
source, out, size, workers = sys.argv[1:]
prepare_dataset(Order("images", Path(source), Path(out), int(size), num_workers=int(workers)))
print(json.dumps(peaks))
"""


def write_photographs(folder: Path, num_images: int, *, num_classes: int) -> float:
    """Write different JPEGs in one folder per class; return their mean size in bytes."""
    photographs = [Image.fromarray(one) for one in load_sample_images().images]
    rng = np.random.default_rng(0)
    sizes = []
    for number in range(num_images):
        photograph = photographs[number % 2]
        scale = rng.uniform(0.6, 1.0)
        width, height = round(photograph.width * scale), round(photograph.height * scale)
        left = int(rng.integers(photograph.width - width + 1))
        top = int(rng.integers(photograph.height - height + 1))
        part = photograph.crop((left, top, left + width, top + height))
        content = io.BytesIO()
        part.resize(JPEG_SHAPE, Image.Resampling.BICUBIC).save(
            content, format="JPEG", quality=JPEG_QUALITY
        )
        sizes.append(content.tell())
        place = folder / f"{number * num_classes // num_images:03d}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:06d}.jpg").write_bytes(content.getvalue())
    return statistics.mean(sizes)


def measure_loop(places: list[list], work: Work) -> tuple[float, float]:
    """Return images/s and processor seconds per image of one process in a plain loop."""
    reader = READERS[work.kind](Path(work.path))
    started, processor = time.perf_counter(), time.process_time()
    for place in places:
        convert_place(place, work, reader)
    count = len(places)
    return (
        count / (time.perf_counter() - started),
        (time.process_time() - processor) / count,
    )


def count_ends(num_workers: int) -> int:
    """Return how many images at either end of a run are left out of a measurement."""
    return CHUNK_IMAGES * CHUNKS_AHEAD * num_workers


def measure_workers(places: list[list], work: Work, num_workers: int) -> tuple[float, float]:
    """Return the same of the workers and their parent, from the first images on, as in a long run.

    The last chunks are left out too: a worker that has none left has ended its work.
    """
    results = convert_in_order(places, work, num_workers=num_workers)
    ends = count_ends(num_workers)
    for _ in range(ends):
        next(results)
    started, processor = time.perf_counter(), read_processor_seconds()
    count = len(places) - 2 * ends
    for _ in range(count):
        next(results)
    seconds, processor = time.perf_counter() - started, read_processor_seconds() - processor
    results.close()
    return count / seconds, processor / count


def read_processor_seconds() -> float:
    """Return the processor seconds of this process and of those that it started."""
    parent = psutil.Process()
    used = [one.cpu_times() for one in [parent, *parent.children(recursive=True)]]
    return sum(one.user + one.system for one in used)


def measure_memory(source: Path, out: Path, size_px: int, num_workers: int) -> dict[str, int]:
    """Return the peak resident bytes of a whole preparation, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE_MEMORY, source, out, str(size_px), str(num_workers)],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    return json.loads(done.stdout)


def describe_processor(loop_cost: float, cost: float, num_workers: int) -> str:
    """Say the processor time per image of both, and the ratio that it makes on idle cores.

    That of other processes is counted in ticks of 10 ms, and a run of few images may show none.
    """
    if cost == 0:
        return "too few images to measure processor time"
    return (
        f"processor ms per image {1e3 * loop_cost:.2f} and {1e3 * cost:.2f}: "
        f"{num_workers * loop_cost / cost:.2f} on idle cores"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Print images/s and ratios, then memory for one and for four times the images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=count_cores())
    parser.add_argument("--num-images", type=int, help="default: 400, more for many workers")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args(argv)
    ends = 2 * count_ends(args.workers)
    if args.num_images is None:
        args.num_images = max(400, 2 * ends)
    if args.num_images <= ends:
        parser.error(
            f"--num-images {args.num_images}: {args.workers} workers need more than {ends}, since "
            "those at both ends are not measured"
        )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        num_bytes = write_photographs(folder / "one", args.num_images, num_classes=4)
        places = [one.place for one in open_image_folder(folder / "one").iterate_images()]
        width, height = JPEG_SHAPE
        print(f"{args.num_images} JPEGs of {width}x{height} px, {num_bytes / 1e3:.0f} kB each")
        for size in SIZES_PX:
            work = Work("folder", str(folder / "one"), size, "centre")
            rounds = []
            psutil.cpu_percent()
            for _ in range(args.rounds):
                pair = (measure_loop(places, work), measure_workers(places, work, args.workers))
                rounds.append(np.array(pair))
            (loop, loop_cost), (workers, cost) = np.median(rounds, axis=0)
            ratio = statistics.median(one[1, 0] / one[0, 0] for one in rounds)
            verdict = "reached" if ratio >= TARGET_RATIO else "missed"
            print(
                f"{size:4} px: loop {loop:6.1f} images/s, {args.workers} workers {workers:6.1f}, "
                f"ratio {ratio:.2f} (target {TARGET_RATIO}: {verdict}); "
                f"{describe_processor(loop_cost, cost, args.workers)} "
                f"(all were {psutil.cpu_percent():.0f} % busy)"
            )
        write_photographs(folder / "four", 4 * args.num_images, num_classes=16)
        for name in ("one", "four"):
            peaks = measure_memory(folder / name, folder / f"{name}.zip", 64, args.workers)
            print(
                f"memory, {args.num_images * (4 if name == 'four' else 1):5} images: "
                f"parent {peaks['parent'] / 1e6:.1f} MB, with workers {peaks['all'] / 1e6:.1f} MB"
            )


if __name__ == "__main__":
    main()
