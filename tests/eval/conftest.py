import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval.images.image_set import ImageSet
from eval.networks.load import load_network
from eval.networks.small import save_small_network
from eval.networks.small_training import train_small_network

FOLDER = Path(__file__).parents[1] / "data" / "reference"
QUICK_SPEC = {
    "recipe": 1,
    "seed": 0,
    "image_size_px": 8,
    "channels": 32,
    "iterations": 60,
    "batch_size": 32,
    "learning_rate": 0.002,
}


class MetricsReference:
    """The stored arrays of metrics.npz and the results of the authors' code on them."""

    names = ("mixture", "fewer_samples_than_dims", "dead_dims", "float16_overflow", "few_points")

    def __init__(self):
        with np.load(FOLDER / "metrics.npz", allow_pickle=False) as stored:
            self.arrays = {name: stored[name] for name in stored.files}
        self.results = json.loads((FOLDER / "metrics.json").read_text())["results"]


@pytest.fixture(scope="session")
def metrics_reference():
    return MetricsReference()


def write_zip(path, images, labels=None, listing=...):
    """Write uint8 images [n, h, w] or [n, h, w, 3] (or a list of such) as a data set."""
    rows = []
    with zipfile.ZipFile(path, "w") as archive:
        for index, image in enumerate(images):
            name = f"00000/img{index:08d}.png"
            file = io.BytesIO()
            Image.fromarray(image).save(file, "PNG")
            archive.writestr(name, file.getvalue())
            rows.append([name, None if labels is None else int(labels[index])])
        if listing is ...:
            listing = {"labels": None if labels is None else rows}
        if listing is not None:
            archive.writestr("dataset.json", json.dumps(listing))
    return path


def make_source(images, path="images"):
    """Images in memory as a source."""

    def iterate_batches(batch_size):
        for start in range(0, len(images), batch_size):
            yield images[start : start + batch_size]

    return ImageSet(path, "0" * 64, len(images), images.shape[1:], None, iterate_batches)


@pytest.fixture(scope="session")
def digits():
    from sklearn.datasets import load_digits

    loaded = load_digits()
    return np.floor(loaded.images * 255 / 16 + 0.5).astype(np.uint8), loaded.target


@pytest.fixture(scope="session")
def digits_zip(digits, tmp_path_factory):
    return write_zip(tmp_path_factory.mktemp("data") / "digits.zip", *digits)


@pytest.fixture(scope="session")
def network_path(digits, tmp_path_factory):
    """A feature network that is hardly trained, which is enough for most tests."""
    images, labels = digits
    path = tmp_path_factory.mktemp("network") / "quick.safetensors"
    save_small_network(path, *train_small_network(images[..., None], labels, QUICK_SPEC))
    return path


@pytest.fixture(scope="session")
def network(network_path):
    return load_network(network_path)


@pytest.fixture(scope="session")
def reference_path(digits_zip, network, tmp_path_factory):
    from eval.reference import make_reference

    path = tmp_path_factory.mktemp("reference") / "digits.npz"
    make_reference(digits_zip, network, path)
    return path


@pytest.fixture
def samples_path(digits, tmp_path):
    """Noisy digits in the place of generated ones."""
    images = digits[0][:300, :, :, None].astype(np.int64)
    noise = np.random.default_rng(0).integers(-40, 41, (300, 8, 8, 3))
    path = tmp_path / "noisy.npz"
    np.savez(path, arr_0=np.clip(images + noise, 0, 255).astype(np.uint8))
    path.with_suffix(".json").write_text(json.dumps({"name": "noisy", "seed": 5}))
    return path
