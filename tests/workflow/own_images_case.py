"""Images that a user brings, in miniature: an ImageNet tar, an LSUN lmdb, a zip like CIFAR-10's.

The paper's scale and the middle one are cut to them: three classes, tiny networks, two iterations.
"""

import zipfile

from tests.adm.datasets.small_sources import (
    encode,
    make_classes,
    make_jpeg,
    make_pixels,
    write_imagenet_tar,
    write_lmdb,
)
from tests.workflow import released_case

NUM_HORSES = 20  # graded in halves, of which 10 is the least that has intervals
WNIDS = ("n01", "n02", "n03")
NAMES = ("cat", "horse", "ship")
ROWS = {"table3": ["t3_cond", "t3_cond_guided_1"], "table4": ["t4_horse_adm_dropout"]}


def write_sources(folder):
    """Write the images; return the environment variables that say where they are.

    A horse that cannot be read is among the horses.
    """
    tar = write_imagenet_tar(folder / "train set.tar", make_classes(WNIDS, num_images=8))
    horses = {f"{one:02d}".encode(): encode(make_horse(one), "WEBP", lossless=True)
              for one in range(NUM_HORSES)}  # fmt: skip
    lmdb = write_lmdb(folder / "horse_train_lmdb", {**horses, b"99": b"no image"})
    with zipfile.ZipFile(folder / "cifar10.zip", "w") as archive:
        for place, name in enumerate(NAMES):
            for one in range(NUM_HORSES):
                archive.writestr(f"{name}/{one:04d}.jpg", make_jpeg(32, 32, 100 * place + one))
    return {
        "ADM_IMAGENET": str(tar),
        "ADM_LSUN_HORSE": str(lmdb),
        "ADM_CIFAR10": str(folder / "cifar10.zip"),
    }


def make_horse(number):
    """Return a horse, more than twice as large as it will be: uint8 [48, 56, 3]."""
    return make_pixels(56, 48, number)


def make_scale(shipped, graph_sha256):
    """Return a shipped scale cut to these images."""
    scale = released_case.make_scale(
        graph_sha256, shipped=shipped, name=f"mini_{shipped}", num_classes=len(WNIDS)
    )
    scale["sampling"] |= {"batch_size": 8, "images_per_shard": 8}
    for model in scale["models"].values():
        if "marks" in model:
            model["marks"] = {mark: 2 + place for place, mark in enumerate(model["marks"])}
        training = {"batch_size": 4, "precision": "float32"}
        model.setdefault("training", {}).update(training)
    if shipped == "paper":
        scale["tasks"]["lsun_horse_256"]["skip_broken"] = True
    return scale
