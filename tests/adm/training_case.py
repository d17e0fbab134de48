"""A tiny model spec, its images, and a call of train() with short defaults."""

import numpy as np

from adm.datasets.digits import make_digits
from adm.datasets.image_zip import write_image_zip
from adm.training.loop import train
from records.events import EventLog
from specs.load import parse_spec

SHAPE = {
    "image_size_px": 8,
    "in_channels": 1,
    "channels": 8,
    "depth": 1,
    "channel_mult": [1, 2],
    "heads": None,
    "head_channels": 8,
    "attention_resolutions": [4],
    "biggan_updown": True,
    "embedding": "adagn",
    "qkv_order": "legacy",
    "num_groups": 4,
    "num_classes": 10,
}
DENOISER = {"out_channels": 2, "rescale_residual": False, "dropout": 0.1}
IMAGES = {"dataset": "digits", "task": "imagenet_256", "image_size_px": 8, "classes": None}
TRAINING = {
    "dataset": IMAGES,
    "schedule": "linear",
    "num_timesteps": 100,
    "objective": "hybrid",
    "batch_size": 8,
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "ema_decay": 0.9,
    "anneal_iterations": None,
    "grad_clip": None,
    "precision": "float32",
    "augmentation": {"flip": False, "random_crop": False},
    "seed": 0,
}


def make_spec(kind="diffusion", *, architecture=None, **training):
    """Make the spec of a small model, of which a test changes what it is about."""
    shape = {**SHAPE, **({"pool": "attention"} if kind == "classifier" else DENOISER)}
    if kind == "upsampler":
        shape["low_res_px"] = 4
    objective = {"objective": "cross_entropy"} if kind == "classifier" else {}
    content = {
        "kind": kind,
        "recipe": 1,
        "name": f"tiny_{kind}",
        "task": "imagenet_256",
        "architecture": {**shape, **(architecture or {})},
        "training": {**TRAINING, **objective, **training},
    }
    return parse_spec(content, "model", "test")


def make_data(folder):
    path = folder / "data.zip"
    if not path.exists():
        make_digits(path)
    return path


def write_set(path, images, **changes):
    """Write an image set from an array, with defaults for all that a test does not care about."""
    options = {
        "labels": None,
        "num_classes": None,
        "image_size_px": images.shape[1],
        "name": "set",
        "source": "made up",
        "licence": "none",
    }
    write_image_zip(path, images, **{**options, **changes})
    return path


def random_images(count, size_px, channels=None, seed=0):
    shape = (count, size_px, size_px) + ((channels,) if channels else ())
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def run(folder, spec, iterations, *, mark="final", state="state", out="out", **options):
    """Train in a folder; return the path of the weights."""
    target = folder / f"{out}.safetensors"
    train(
        spec,
        **{
            "data_path": make_data(folder),
            "state_dir": folder / state,
            "out_path": target,
            "mark": mark,
            "iterations": iterations,
            "events": EventLog(folder / "events.jsonl"),
            "log_every_iterations": 2,
            **options,
        },
    )
    return target
