"""Small copies of what users bring: an ImageNet tar, a folder tree, an lmdb, broken images."""

import io
import tarfile

import numpy as np
from PIL import Image

from adm.datasets.order import Order
from adm.datasets.prepare import prepare_dataset


def make_pixels(width, height, seed=0):
    """A smooth picture with some noise, RGB."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / (5 + c) + seed) + np.cos(y / (7 + c) - seed) for c in range(3)]
    noise = np.random.default_rng(seed).normal(0, 0.05, (height, width, 3))
    return np.uint8(np.clip(127 + 60 * (np.stack(waves, axis=2) + noise), 0, 255))


def encode(image, kind="JPEG", **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    content = io.BytesIO()
    image.save(content, format=kind, **options)
    return content.getvalue()


def make_jpeg(width=40, height=30, seed=0):
    return encode(make_pixels(width, height, seed), quality=90)


def add_member(archive, name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def make_tar(members):
    """A tar as bytes from names and contents, in the given order."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, one in members.items():
            add_member(archive, name, one)
    return content.getvalue()


def make_classes(names=("n03", "n01", "n02"), num_images=3):
    """Images by class and file name; classes and files in no order."""
    numbers = [(5 * one + 3) % num_images if num_images % 5 else one for one in range(num_images)]
    return {
        name: {f"{name}_{one}.JPEG": make_jpeg(seed=10 * place + one) for one in numbers}
        for place, name in enumerate(names)
    }


def write_imagenet_tar(path, classes):
    path.write_bytes(make_tar({f"{name}.tar": make_tar(one) for name, one in classes.items()}))
    return path


def write_tree(path, classes):
    for name, images in classes.items():
        (path / name).mkdir(parents=True)
        for file, content in images.items():
            (path / name / file).write_bytes(content)
    return path


def write_flat(path, classes):
    path.mkdir()
    for images in classes.values():
        for file, content in images.items():
            (path / file).write_bytes(content)
    return path


def write_lmdb(path, values):
    import lmdb

    with lmdb.open(str(path), map_size=2**26) as environment, environment.begin(write=True) as all_:
        for key, value in values.items():
            all_.put(key, value)
    return path


def prepare(tmp_path, path, *, dataset="images", name="x", **options):
    """Make a dataset; return its path and its manifest."""
    out = tmp_path / f"{name}.zip"
    order = Order(**{"dataset": dataset, "path": path, "out": out, "image_size_px": 16} | options)
    return out, prepare_dataset(order)
