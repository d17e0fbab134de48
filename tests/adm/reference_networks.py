"""The small networks of the authors' code, with the weights that their outputs were made of."""

import json
from pathlib import Path

import numpy as np
import torch

from specs.architecture import ClassifierArchitecture, UNetArchitecture, make_architecture

FOLDER = Path(__file__).parents[1] / "data" / "reference"
NETWORKS = json.loads((FOLDER / "unet.json").read_text())["models"]


def translate(described):
    """Translate the reference's description of a network into an architecture."""
    keywords = {
        "image_size_px": described["image_size"],
        "channels": described["base_channels"],
        "depth": described["depth_res_blocks_per_resolution"],
        "channel_mult": described["channel_multiples"],
        "attention_resolutions": described["attention_resolutions"],
        "heads": described["heads"],
        "head_channels": described["channels_per_head"],
        "biggan_updown": described["biggan_up_downsample"],
        "embedding": "adagn" if described["adaptive_group_norm_scale_shift"] else "addition",
        "qkv_order": described["attention_qkv_order"],
        "conv_resample": described.get("resample_with_conv", True),
        "dropout": described["dropout"],
    }
    if "pool" in described:
        own = {"num_classes": described["classes"], "pool": described["pool"]}
        return make_architecture(ClassifierArchitecture, "reference", **keywords, **own)
    keywords |= {
        "out_channels": described["out_channels"],
        "num_classes": described["class_conditional_classes"],
        "low_res_px": described.get(
            "small_size", 8 if described.get("low_res_conditioning") else None
        ),
    }
    if described["heads"]:  # with channels per head, the reference ignores it
        keywords["heads_upsample"] = described.get("heads_in_upsampling_half")
    return make_architecture(UNetArchitecture, "reference", **keywords)


def fill(model, formula):
    """Give a network the weights that the reference had: formulae over sorted names."""
    state = model.state_dict()
    for j, name in enumerate(sorted(state)):
        i = np.arange(state[name].numel(), dtype=np.int64)
        if formula == "sin":
            values = 0.05 * np.sin(0.3 * i + 1.7 * j + 0.5)
        else:
            k = (311 * i * i + 17 * i) % 1009
            values = 0.12 * np.sin(2 * np.pi * k / 1009 + 1.7 * j + 0.5)
        if state[name].ndim == 1 and name.endswith(".weight"):
            values += 1
        state[name] = torch.from_numpy(values).float().view(state[name].shape)
    model.load_state_dict(state)
    return model.eval()
