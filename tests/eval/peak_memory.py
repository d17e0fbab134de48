"""Peak memory of reading many images, measured in a process of its own."""

import json
import subprocess
import sys

PROGRAM = """
import json, sys
from pathlib import Path
from eval.images.open import open_images

def read_peak_mib():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024

peaks, counts = [], []
for path in sys.argv[1:]:
    source = open_images(path)
    counts.append(sum(len(batch) for batch in source.iterate_batches(32)))
    peaks.append(read_peak_mib())
print(json.dumps([peaks, counts]))
"""


def measure_peaks(few, many):
    """Read few images, then many; return the peak (MiB) after each, and both counts."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(few), str(many)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)
