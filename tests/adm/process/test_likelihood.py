import math

import numpy as np
import pytest
import torch

from adm.process.diffusion import compute_vb, from_uint8, p_mean_variance
from adm.process.likelihood import compute_bpd, prior_bpd
from specs.schedule import make_schedule

BPD = {"linear1000.20.": ("linear", 1000, "20"), "cosine20.": ("cosine", 20, None)}


@pytest.mark.parametrize("which", ["linear1000", "cosine1000", "linear100"])
def test_prior_of_the_reference(diffusion_reference, which):
    about = diffusion_reference.meta["step_sets"][which]
    schedule = make_schedule(about["schedule"], about["T"])
    x_start = diffusion_reference.tensor(f"step.{which}.x_start")
    diffusion_reference.assert_close(f"step.{which}.prior_bpd", prior_bpd(schedule, x_start))


@pytest.mark.parametrize("which", BPD)
@pytest.mark.parametrize("clip", ["clip_on", "clip_off"])
def test_the_whole_bound_of_the_reference(diffusion_reference, closed_form_model, which, clip):
    prefix = f"bpd.{which}"
    schedule = make_schedule(*BPD[which])
    x_start = diffusion_reference.tensor(prefix + "x_start")
    noise = diffusion_reference.tensor(prefix + "noise")
    closed_form_model.times.clear()
    terms = compute_bpd(
        closed_form_model,
        schedule,
        x_start,
        noise_fn=lambda step_index: noise[step_index],
        clip_denoised=clip == "clip_on",
    )
    times = torch.stack(closed_form_model.times)[:, 0]
    np.testing.assert_array_equal(times.double(), diffusion_reference.arrays[prefix + "tau"])
    assert set(terms) == diffusion_reference.suffixes(f"{prefix}{clip}.")
    for name, value in terms.items():
        diffusion_reference.assert_close(f"{prefix}{clip}.{name}", value)


def test_every_bound_of_the_reference_is_tested(diffusion_reference):
    names = diffusion_reference.suffixes("bpd.")
    assert {name for name in names if not name.startswith(tuple(BPD))} == set()


def test_prior_is_a_gaussian_divergence():
    schedule = make_schedule("cosine", 20)
    x_start = torch.full((1, 3, 4, 4), 0.5)
    alpha_bar = torch.tensor(schedule.alpha_bar[-1])
    x_T = torch.distributions.Normal(alpha_bar.sqrt() * 0.5, (1 - alpha_bar).sqrt())
    unit = torch.distributions.Normal(torch.zeros_like(alpha_bar), torch.ones_like(alpha_bar))
    expected = torch.distributions.kl_divergence(x_T, unit).item() / math.log(2)
    assert prior_bpd(schedule, x_start).item() == pytest.approx(expected, rel=1e-6)


def test_the_decoder_is_a_distribution_over_grey_levels():
    # At t = 0 the probabilities of all 256 values of a pixel add up to 1.
    schedule = make_schedule("linear", 1000)
    levels = torch.arange(256, dtype=torch.uint8).view(256, 1, 1, 1)
    x_start = from_uint8(levels)
    x_t = torch.full_like(x_start, 0.3)
    t = torch.zeros(256, dtype=torch.int64)
    output = torch.cat([torch.zeros_like(x_t), torch.ones_like(x_t)], dim=1)
    predicted = p_mean_variance(schedule, output, x_t, t)
    bits = compute_vb(schedule, x_start, x_t, t, predicted)
    assert torch.exp2(-bits.double()).sum().item() == pytest.approx(1.0, abs=1e-4)
    assert bits.argmin().item() == round((predicted.mean[0].item() + 1) * 127.5)


def test_a_network_that_knows_the_image_needs_fewer_bits():
    schedule = make_schedule("linear", 1000, "20")
    x_start = from_uint8(torch.full((2, 4, 4, 3), 90, dtype=torch.uint8))
    noise = torch.randn(20, 2, 3, 4, 4, generator=torch.Generator().manual_seed(0))

    def bits(guess):
        terms = compute_bpd(
            lambda x, t: torch.cat([torch.full_like(x, guess), torch.zeros_like(x)], dim=1),
            schedule,
            x_start,
            noise_fn=lambda step_index: noise[step_index],
            prediction="x_start",
        )
        assert not terms["total_bpd"].requires_grad
        return terms["total_bpd"]

    assert (bits(x_start[0, 0, 0, 0].item()) < bits(0.0)).all()
