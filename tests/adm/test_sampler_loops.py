"""Complete sampling runs of the authors' code, step by step, with the same noise."""

import numpy as np
import pytest
import torch

from adm.networks.model import make_network
from adm.process.diffusion import to_uint8
from adm.process.guidance import make_cond_fn
from adm.process.sampler import sample_ancestral, sample_ddim
from specs.schedule import make_schedule
from tests.adm.reference_networks import NETWORKS, fill, translate

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


def load_reference_network(name):
    """A network of unet.json with its chirp weights."""
    network = make_network(translate(NETWORKS[name]["paper"]))
    return fill(network, "chirp").requires_grad_(False)


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
