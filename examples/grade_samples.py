"""Grade one's own samples from Python: three batches of digits against real ones.

    python examples/grade_samples.py --out grades

It needs no download: the images are scikit-learn's handwritten digits, and the feature network is a
small classifier that is trained here, in seconds, in the place of Inception. For images of your own
leave `network` out, and Inception is downloaded once (docs/evaluation.md).
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import adm_eval
from eval.networks.small import save_small_network
from eval.networks.small_training import train_small_network

NETWORK_SPEC = {
    "recipe": 1,
    "seed": 0,
    "image_size_px": 8,
    "channels": 32,
    "iterations": 150,
    "batch_size": 32,
    "learning_rate": 2e-3,
}


def load_real_images() -> tuple[np.ndarray, np.ndarray]:
    """Load the digits: uint8 [1797, 8, 8, 1] and their labels int64 [1797]."""
    images, labels = (np.asarray(part) for part in load_digits(return_X_y=True))
    pixels = np.round(images * 255 / 16).astype(np.uint8)
    return pixels.reshape(-1, 8, 8, 1), labels.astype(np.int64)


def make_samples(real: np.ndarray) -> dict[str, np.ndarray]:
    """Make what stands for the samples of three models, uint8 [400, 8, 8, 1] each.

    Args:
        real: digits that are not in the reference.

    Returns:
        By name: real ones; ten of them over and over, as a model without diversity draws; noisy
        ones, as a model without fidelity draws.
    """
    noise = np.random.default_rng(0).normal(scale=60, size=real.shape)
    return {
        "real": real,
        "ten-only": np.tile(real[:10], (len(real) // 10, 1, 1, 1)),
        "noisy": np.clip(real + noise, 0, 255).astype(np.uint8),
    }


def main() -> None:
    """Train the feature network, compute the reference's features once, grade each batch."""
    parser = argparse.ArgumentParser(
        description="Grade samples from Python: three batches of digits."
    )
    parser.add_argument("--out", default="grades", help="folder for the network and the results")
    folder = Path(parser.parse_args().out)

    images, labels = load_real_images()
    network = folder / "network.safetensors"
    save_small_network(network, *train_small_network(images, labels, NETWORK_SPEC))

    # Uint8 arrays or paths (.npz, .npy, zip, folder) go in, on either side.
    reference = adm_eval.compute_features(images[400:], network=network)
    for name, samples in make_samples(images[:400]).items():
        result = adm_eval.grade(samples, reference, name=name, intervals=True)
        print(result)
        # What `python -m eval --json` writes: the values, their intervals and how they were made.
        (folder / f"{name}.json").write_text(result.to_json())


if __name__ == "__main__":
    main()
