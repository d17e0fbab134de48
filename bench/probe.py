"""How fast this machine is today: the CPU time of one fixed convolution, to state beside minutes.

python -m bench.probe
"""

import time

import torch

REPETITIONS = 20


def measure_convolution() -> float:
    """Return the CPU seconds of 20 convolutions: 32 images, 64 channels, 32x32 pixels, 3x3."""
    torch.set_num_threads(1)
    images, weights = torch.randn(32, 64, 32, 32), torch.randn(64, 64, 3, 3)
    torch.nn.functional.conv2d(images, weights, padding=1)  # the first call sets things up
    started = time.process_time()
    for _ in range(REPETITIONS):
        torch.nn.functional.conv2d(images, weights, padding=1)
    return time.process_time() - started


if __name__ == "__main__":
    print(f"{REPETITIONS} fixed convolutions: {measure_convolution():.2f} s of CPU time")
