"""Complete sampling runs of the authors' code, step by step, with the same noise."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from adm.networks.classifier import make_classifier
from adm.networks.unet import make_unet
from adm.process.diffusion import to_uint8
from adm.process.guidance import make_cond_fn
from adm.process.sampler import sample_ancestral, sample_ddim
from specs.schedule import make_schedule

FOLDER = Path(__file__).parents[1] / "data" / "reference"
LOOPS = (
    "ancestral",
    "ancestral_guided",
    "ancestral_guided_strong",
    "ddim",
    "ddim_guided",
    "ddim_guided_strong",
    "ddim_eta1_cosine",
    "uncond_model_guided",
    "superres",
    "fixed_variance",
)


def load_reference_network(name, num_classes=None):
    """A network of unet.json with its chirp weights."""
    about = json.loads((FOLDER / "unet.json").read_text())["models"][name]
    paper = about["paper"]
    options = {
        "image_size_px": paper["image_size"],
        "channels": paper["base_channels"],
        "depth": paper["depth_res_blocks_per_resolution"],
        "channel_mult": paper["channel_multiples"],
        "heads": paper["heads"],
        "head_channels": paper["channels_per_head"],
        "attention_resolutions": paper["attention_resolutions"],
        "biggan_updown": paper["biggan_up_downsample"],
        "embedding": "adagn" if paper["adaptive_group_norm_scale_shift"] else "addition",
        "qkv_order": paper["attention_qkv_order"],
    }
    if "pool" in paper:
        network = make_classifier(num_classes=paper["classes"], pool=paper["pool"], **options)
    else:
        network = make_unet(
            out_channels=paper["out_channels"],
            num_classes=paper["class_conditional_classes"],
            low_res_px=4 if paper.get("low_res_conditioning") else None,
            **options,
        )
    weights = {}
    for j, (key, stored) in enumerate(sorted(network.state_dict().items())):
        i = np.arange(stored.numel(), dtype=np.int64)
        k = (311 * i * i + 17 * i) % 1009
        values = 0.12 * np.sin(2 * np.pi * k / 1009 + 1.7 * j + 0.5)
        values += 1.0 if key in about["norm_weights"] else 0.0
        weights[key] = torch.from_numpy(values.astype(np.float32)).view(stored.shape)
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("case", LOOPS)
def test_complete_loops_of_the_reference(diffusion_reference, case):
    prefix = f"loop.{case}."
    about = diffusion_reference.meta["loops"]["cases"][case]
    gain = diffusion_reference.meta["loops"]["output_gain"]
    network = load_reference_network(about["model"])
    schedule = make_schedule(about["schedule"], 1000, about["respacing"])
    noise = diffusion_reference.tensor(prefix + "noise")
    model_kwargs, cond_fn = {}, None
    if about["model"] not in ("uncond_adm", "updown"):
        model_kwargs["y"] = diffusion_reference.tensor(prefix + "y")
    if "low" in about:
        model_kwargs["low_res"] = diffusion_reference.tensor(prefix + "low_res")
    if "classifier" in about:
        classifier = load_reference_network(about["classifier"])
        y = diffusion_reference.tensor(prefix + "y")
        cond_fn = make_cond_fn(classifier, y, about["scale"])
    options = {"eta": about.get("eta", 0.0)} if about["sampler"] == "ddim" else {}
    samples, pred_xstarts = [], []

    def keep(step_index, x, pred_xstart):
        assert step_index == len(samples)
        samples.append(x)
        pred_xstarts.append(pred_xstart)

    sample = sample_ddim if about["sampler"] == "ddim" else sample_ancestral
    final = sample(
        lambda x, t, **kwargs: gain * network(x, t, **kwargs),
        schedule,
        noise[0],
        noise_fn=lambda step_index: noise[1 + step_index],
        cond_fn=cond_fn,
        model_kwargs=model_kwargs,
        variance="fixed_large" if case == "fixed_variance" else "learned_range",
        callback=keep,
        **options,
    )

    limits = np.maximum(
        50 * np.array(about["float32_rounding_max_abs_error_per_step"]),
        1e-4 * np.array(about["max_abs_per_step"]),
    )
    # The limits are those of the samples. x_0 has the rounding of the network, up to 1e-5 by
    # unet.json, times what eps is multiplied with (157 at the first step) before it is clipped.
    amplification = np.sqrt(1 / schedule.alpha_bar[::-1] - 1)
    for name, values, allowed in (
        ("samples", samples, limits),
        ("pred_xstart", pred_xstarts, np.maximum(limits, 1e-5 * amplification)),
    ):
        stored = diffusion_reference.arrays[prefix + name]
        difference = np.abs(torch.stack(values).numpy() - stored).reshape(len(stored), -1).max(1)
        assert (difference <= allowed).all(), f"{name}: {difference / allowed}"
    stored = diffusion_reference.arrays[prefix + "final"]
    np.testing.assert_allclose(final, stored, rtol=0, atol=limits[-1])
    stored = diffusion_reference.arrays[prefix + "final_uint8_nhwc"]
    assert np.abs(to_uint8(final).int().numpy() - stored.astype(int)).max() <= 1


def test_all_loops_are_tested(diffusion_reference):
    assert set(LOOPS) == set(diffusion_reference.meta["loops"]["cases"])
