"""Measure Inception's speed: torch against TensorFlow, and torch fed from a file.

Run `python -m bench.features --threads 2`. Without --weights a frozen graph of Inception's shapes
with random weights is made: the same work, meaningless values. All variants are measured in turns,
so that a busy neighbour slows them alike; a ratio is the median over rounds of two times that were
taken one after the other. On a GPU the file's images per second beside those from memory tell
whether reading and copying keep it busy, and nvidia-smi its utilisation; TensorFlow is left out.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from records.cores import count_cores

ROOT = Path(__file__).resolve().parents[1]
FROM_FILE = "torch, from an .npz"


def make_graph(path: Path) -> Path:
    """Write a frozen graph with random weights, in a process of its own."""
    program = f"from tests.eval.inception_graph import write_graph; write_graph({str(path)!r})"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
    return path


def make_work(
    weights: Path, images: np.ndarray, images_path: Path, *, batch_size: int, device: str
) -> dict[str, Callable[[], None]]:
    """Return what is measured: a pass over all images for each variant."""
    from eval.images.open import open_images
    from eval.networks.features import iterate_features
    from eval.networks.inception import load_inception

    def run(network: Any) -> None:
        for start in range(0, len(images), batch_size):
            network.run(images[start : start + batch_size])

    def run_from_file() -> None:
        for _ in iterate_features(open_images(images_path), torch_network, batch_size=batch_size):
            pass

    torch_network = load_inception(weights, device=device)
    work = {"torch": lambda: run(torch_network), FROM_FILE: run_from_file}
    if device == "cpu":
        tensorflow_network = load_inception(weights, backend="tensorflow")
        work["tensorflow"] = lambda: run(tensorflow_network)
    return work


def measure(
    work: dict[str, Callable[[], None]], num_rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return seconds of each round, by the clock and of CPU time, after a warm-up."""
    clock: dict[str, list[float]] = {name: [] for name in work}
    processor: dict[str, list[float]] = {name: [] for name in work}
    for round_number in range(num_rounds + 1):
        for name, run in work.items():
            started = time.perf_counter(), time.process_time()
            run()
            if round_number:
                clock[name].append(time.perf_counter() - started[0])
                processor[name].append(time.process_time() - started[1])
    return clock, processor


@contextmanager
def watch_utilisation(device: str) -> Iterator[list[int]]:
    """Collect the GPU's utilisation in percent, five times a second; empty without nvidia-smi."""
    samples: list[int] = []
    program = shutil.which("nvidia-smi")
    if not device.startswith("cuda") or program is None:
        yield samples
        return
    index = device.partition(":")[2] or "0"
    query = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200"]
    process = subprocess.Popen(
        [program, f"--id={index}", *query], stdout=subprocess.PIPE, text=True
    )
    try:
        yield samples
    finally:
        process.terminate()
        lines = process.communicate()[0].split()
        samples += [int(line) for line in lines if line.isdigit()]


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything; return rates, ratios and utilisation."""
    import torch

    torch.set_num_threads(options.threads)
    size = options.image_size_px
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (options.num_images, size, size, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        weights = options.weights or make_graph(Path(folder) / "inception.pb")
        images_path = Path(folder) / "images.npz"
        np.savez_compressed(images_path, arr_0=images)
        work = make_work(
            weights, images, images_path, batch_size=options.batch_size, device=options.device
        )
        clock, processor = measure(work, options.rounds)
        utilisation = {}
        for name in work:
            with watch_utilisation(options.device) as samples:
                work[name]()
            utilisation[name] = statistics.mean(samples) if samples else None
    rows = {
        name: {
            "images_per_second": len(images) / statistics.median(clock[name]),
            "cpu_milliseconds_per_image": 1e3 * min(processor[name]) / len(images),
            "ratio": compute_ratio(clock["torch"], clock[name]),
            "cpu_ratio": compute_ratio(processor["torch"], processor[name]),
            "gpu_utilisation_percent": utilisation[name],
        }
        for name in work
    }
    return {
        "rows": rows,
        "threads": options.threads,
        "device": options.device,
        "image_size_px": size,
        "num_images": options.num_images,
        "batch_size": options.batch_size,
        "rounds": options.rounds,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def compute_ratio(torch_seconds: list[float], seconds: list[float]) -> float:
    """Return how many times faster torch was than a variant: the median over rounds."""
    return statistics.median(b / a for a, b in zip(torch_seconds, seconds, strict=True))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="Inception's frozen graph")
    parser.add_argument("--image-size-px", type=int, default=64)
    parser.add_argument("--num-images", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=count_cores())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", help="write the figures here too")
    options = parser.parse_args()
    # Before torch is loaded, whose libraries read it.
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    result = run(options)
    print(f"{'':24}{'images/s':>10}{'torch is':>12}{'CPU ms/image':>14}{'torch is':>12}{'GPU':>8}")
    for name, row in result["rows"].items():
        busy = row["gpu_utilisation_percent"]
        print(
            f"{name:24}{row['images_per_second']:10.1f}{row['ratio']:11.2f}x"
            f"{row['cpu_milliseconds_per_image']:14.1f}{row['cpu_ratio']:11.2f}x"
            f"{'-' if busy is None else f'{busy:.0f} %':>8}"
        )
    print(
        f"{options.num_images} images of {options.image_size_px} px, batches of "
        f"{options.batch_size}, {options.device}, {options.threads} threads, {options.rounds} "
        f"rounds, peak memory of all variants together {result['peak_memory_mb']:.0f} MB"
    )
    if options.json:
        from records.provenance import environment

        Path(options.json).write_text(json.dumps(result | environment(), indent=1))


if __name__ == "__main__":
    main()
