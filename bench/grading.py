"""Grade synthetic images end to end: seconds and peak memory of `python -m eval` as users run it.

    python -m bench.grading [--num-samples 10000] [--num-reference 1000] [--image-size-px 64]
        [--weights GRAPH.pb] [--threads N] [--device cpu] [--intervals]

Without weights a frozen graph of Inception's shapes with random weights is made: the same work,
meaningless values.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from records.cores import count_cores

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Parse the options, make the images, grade them in a process of its own, print figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--num-samples", type=int, default=10_000)
    parser.add_argument("--num-reference", type=int, default=1_000)
    parser.add_argument("--image-size-px", type=int, default=64)
    parser.add_argument("--weights", help="Inception's frozen graph")
    parser.add_argument("--threads", type=int, default=count_cores())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--intervals", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        weights = options.weights or make_graph(Path(folder) / "inception.pb")
        files = [
            make_images(Path(folder) / f"{name}.npz", num, options.image_size_px, seed)
            for seed, (name, num) in enumerate(
                (("reference", options.num_reference), ("samples", options.num_samples))
            )
        ]
        command = [sys.executable, "-m", "eval", *files, "--weights", str(weights), "--any-weights"]
        command += ["--threads", str(options.threads), "--device", options.device]
        command += ["--intervals"] * options.intervals
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)  # of this process alone
        seconds = time.perf_counter() - start
    if status:
        raise SystemExit("grading failed; its words are above")
    num_images = options.num_reference + options.num_samples
    print(
        f"{options.num_samples} samples against {options.num_reference} reference images, "
        f"{options.image_size_px} px, {options.threads} threads, {options.device}: "
        f"{seconds:.0f} s, {num_images / seconds:.1f} images/s in all, "
        f"{usage.ru_utime + usage.ru_stime:.0f} s of CPU time, "
        f"peak memory {usage.ru_maxrss / 1024:.0f} MiB"
    )


def make_graph(path: Path) -> Path:
    """Write a frozen graph with random weights, in a process of its own, for its memory."""
    program = f"from tests.eval.inception_graph import write_graph; write_graph({str(path)!r})"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, capture_output=True)
    return path


def make_images(path: Path, num_images: int, image_size_px: int, seed: int) -> str:
    """Write smooth random images, a batch at a time."""
    from records.batches import open_archive, open_array

    rng = np.random.default_rng(seed)
    shape = (num_images, image_size_px, image_size_px, 3)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with (
        open(path, "wb") as file,
        open_archive(file) as archive,
        open_array(archive, "arr_0") as out,
    ):
        np.lib.format.write_array_header_1_0(out, header)
        for start in range(0, num_images, 500):
            coarse = rng.integers(0, 256, (min(500, num_images - start), 8, 8, 3), dtype=np.uint8)
            fine = coarse.repeat(image_size_px // 8, axis=1).repeat(image_size_px // 8, axis=2)
            out.write(fine.tobytes())
    return str(path)


if __name__ == "__main__":
    main()
