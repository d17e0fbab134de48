"""How many samples of the embedded scale are read as the label they were drawn for.

Run `python -m bench.recognition results/digits`. The reader is a support-vector classifier fitted
to the real digits, which no part of the pipeline has seen.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.model_selection import cross_val_score
from sklearn.svm import SVC

from adm.datasets.digits import load_digit_images
from records.batches import read_batch


def make_reader(image_size_px: int) -> SVC:
    """Fit a support-vector classifier to the real digits of one size."""
    images, labels = load_digit_images(image_size_px)
    return SVC(gamma="scale").fit(images.reshape(len(images), -1), labels)


def compute_real_accuracy(image_size_px: int) -> float:
    """Return how many held-out real digits of one size are read right (5-fold cross-validation)."""
    images, labels = load_digit_images(image_size_px)
    return float(
        cross_val_score(SVC(gamma="scale"), images.reshape(len(images), -1), labels).mean()
    )


def compute_recognised(root: Path) -> dict[str, float]:
    """Return the share of samples read as their label, for every batch that has labels.

    Args:
        root: results folder of the embedded scale.
    """
    readers: dict[int, SVC] = {}
    shares = {}
    for path in sorted(root.glob("*/samples/*/samples.npz")):
        images, labels = read_batch(path)
        if labels is None:
            continue
        size = images.shape[1]
        if size not in readers:
            readers[size] = make_reader(size)
        read = readers[size].predict(images[..., 0].reshape(len(images), -1))
        shares[path.parent.name] = float(np.mean(read == labels))
    return shares


def main() -> None:
    """Print the share of each batch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="results folder, as results/digits")
    root = parser.parse_args().root
    for size in (8, 4):
        print(f"{f'held-out real digits, {size}x{size}':34}{compute_real_accuracy(size):7.3f}")
    for name, share in compute_recognised(root).items():
        print(f"{name:34}{share:7.3f}")


if __name__ == "__main__":
    main()
