from pathlib import Path

import numpy as np
import pytest
import torch

from adm.process.diffusion import network_timesteps, p_mean_variance, q_sample
from adm.process.sampler import (
    ancestral_step,
    ddim_step,
    invert_ddim,
    invert_ddim_step,
    sample_ancestral,
    sample_ddim,
)
from specs.schedule import make_schedule

FOLDER = Path(__file__).parents[2] / "data" / "reference"
SPACED = {
    "linear1000.250.": (("linear", 1000, "250"), False),
    "linear1000.ddim25.": (("linear", 1000, "ddim25"), False),
    "cosine1000.25.rescale_learned_sigmas.": (("cosine", 1000, "25"), False),
    "linear100.50.rescale_timesteps.": (("linear", 100, "50"), True),
}


def is_ours(suffix):
    return suffix.startswith(("p_sample", "ddim_"))


@pytest.mark.parametrize("which", ["linear1000", "cosine1000", "linear100"])
def test_single_steps_of_the_reference(diffusion_reference, which):
    prefix = f"step.{which}."
    about = diffusion_reference.meta["step_sets"][which]
    schedule = make_schedule(about["schedule"], about["T"])
    x_start, eps, t, output, noise, gradient = (
        diffusion_reference.tensor(prefix + name)
        for name in ("x_start", "noise", "t", "model_output", "step_noise", "cond_grad")
    )
    x_t = q_sample(schedule, x_start, t, eps)
    clipped = p_mean_variance(schedule, output, x_t, t)
    free = p_mean_variance(schedule, output, x_t, t, clip_denoised=False)

    def ddim(predicted, eta, gradient=None):
        return ddim_step(schedule, predicted, x_t, t, eta=eta, noise=noise, gradient=gradient)

    ours = {
        "p_sample.uncond.sample": ancestral_step(clipped, t, noise=noise),
        "p_sample.uncond.clip_off.sample": ancestral_step(free, t, noise=noise),
        "p_sample.cond.sample": ancestral_step(clipped, t, noise=noise, gradient=gradient),
        "p_sample.cond.pred_xstart": clipped.pred_xstart,
        "ddim_sample.uncond.eta0.sample": ddim(clipped, 0.0)[0],
        "ddim_sample.uncond.eta1.sample": ddim(clipped, 1.0)[0],
        "ddim_sample.cond.eta0.sample": ddim(clipped, 0.0, gradient)[0],
        "ddim_sample.cond.eta1.sample": ddim(clipped, 1.0, gradient)[0],
        "ddim_sample.cond.eta0.5.clip_off.sample": ddim(free, 0.5, gradient)[0],
        "ddim_sample.cond.pred_xstart": ddim(clipped, 0.0, gradient)[1],
        "ddim_reverse_sample.sample": invert_ddim_step(schedule, clipped, x_t, t),
    }
    assert set(ours) == set(filter(is_ours, diffusion_reference.suffixes(prefix)))
    for name, value in ours.items():
        diffusion_reference.assert_close(prefix + name, value)


@pytest.mark.parametrize("which", SPACED)
def test_steps_on_shortened_chains_of_the_reference(diffusion_reference, closed_form_model, which):
    chain, rescale_timesteps = SPACED[which]
    prefix = f"spaced.{which}"
    schedule = make_schedule(*chain)
    x_t, t, noise = (diffusion_reference.tensor(prefix + n) for n in ("x", "t", "step_noise"))
    tau = network_timesteps(schedule, t, rescale_timesteps=rescale_timesteps)
    np.testing.assert_array_equal(tau.double(), diffusion_reference.arrays[prefix + "tau_cond"])
    gradient = 0.8 * torch.cos(2 * x_t) + 0.2 * torch.cos(0.01 * tau.float()).view(-1, 1, 1, 1)
    predicted = p_mean_variance(schedule, closed_form_model(x_t, tau), x_t, t)
    ours = {
        "p_sample.cond.sample": ancestral_step(predicted, t, noise=noise, gradient=gradient),
        "ddim_sample.cond.eta0.sample": ddim_step(schedule, predicted, x_t, t, gradient=gradient)[
            0
        ],
        "ddim_sample.uncond.eta1.sample": ddim_step(
            schedule, predicted, x_t, t, eta=1.0, noise=noise
        )[0],
    }
    assert set(ours) == set(filter(is_ours, diffusion_reference.suffixes(prefix)))
    for name, value in ours.items():
        diffusion_reference.assert_close(prefix + name, value)


# Gaussian data, whose best networks are known in closed form.

MEAN, STD = 0.3, 0.5


def make_gaussian_model(schedule):
    """Exact eps and exact log variance of x_{t-1} given x_t, for data from N(MEAN, STD^2)."""
    total = schedule.alpha_bar * STD**2 + 1 - schedule.alpha_bar
    xstart_variance = STD**2 * (1 - schedule.alpha_bar) / total
    step_variance = schedule.posterior_variance + schedule.posterior_mean_coef1**2 * xstart_variance
    index_of = {int(t): i for i, t in enumerate(schedule.timestep_map)}

    def model(x, t):
        i = index_of[int(t[0])]
        alpha_bar = schedule.alpha_bar[i]
        eps = np.sqrt(1 - alpha_bar) * (x - np.sqrt(alpha_bar) * MEAN) / total[i]
        return torch.cat([eps, torch.full_like(x, np.log(step_variance[i]))], dim=1)

    return model


@pytest.mark.parametrize("chain", [("linear", 1000, "50"), ("cosine", 1000, "20")])
def test_ancestral_sampling_reproduces_gaussian_data(chain):
    schedule = make_schedule(*chain)
    # The chain is affine in x_T and in each step's noise. Image 0 has none of them, image k only
    # the k-th, so the sum of squared responses is the variance, without any sampling error.
    impulses = torch.eye(schedule.num_steps + 1, dtype=torch.float64)[:, 1:].view(
        -1, schedule.num_steps, 1, 1, 1
    )
    x_0 = sample_ancestral(
        make_gaussian_model(schedule),
        schedule,
        impulses[:, 0],
        noise_fn=lambda step_index: impulses[:, 1 + step_index],
        variance="learned",
        clip_denoised=False,
    ).flatten()
    # The last step gives the mean of x_0, so what is uncertain at t = 0 is missing.
    alpha_bar = schedule.alpha_bar[0]
    missing = STD**2 * (1 - alpha_bar) / (alpha_bar * STD**2 + 1 - alpha_bar)
    # x_T is drawn from N(0, 1); what alpha_bar leaves of the data there is the only error.
    tolerance = 2 * np.sqrt(schedule.alpha_bar[-1]) + 1e-5
    assert x_0[0].item() == pytest.approx(MEAN, abs=tolerance)
    variance = ((x_0[1:] - x_0[0]) ** 2).sum().item()
    assert variance == pytest.approx(STD**2 - missing, abs=tolerance)


def test_ddim_carries_noise_to_gaussian_data():
    schedule = make_schedule("linear", 1000)
    x_T = torch.linspace(-2, 2, 9, dtype=torch.float64).view(-1, 1, 1, 1)
    x_0 = sample_ddim(
        make_gaussian_model(schedule), schedule, x_T, variance="learned", clip_denoised=False
    )
    torch.testing.assert_close(x_0, MEAN + STD * x_T, rtol=0, atol=0.02)


def test_inverted_images_come_back():
    options = {"variance": "learned", "clip_denoised": False}
    images = torch.linspace(-1, 1, 12, dtype=torch.float64).view(-1, 1, 1, 1)
    errors = []
    for num_steps in (50, 250, 1000):
        schedule, steps = make_schedule("linear", 1000, num_steps), []
        model = make_gaussian_model(schedule)
        latents = invert_ddim(
            model,
            schedule,
            images,
            callback=lambda i, x, pred_xstart, steps=steps: steps.append(i),
            **options,
        )
        assert steps == list(range(num_steps - 1))
        back = sample_ddim(model, schedule, latents, **options)
        errors.append((back - images).abs().max().item())
    # Both ways follow the same curve with error proportional to the step.
    assert errors[1] < errors[0] / 4
    assert errors[2] < min(errors[1] / 3, 0.01)
    torch.testing.assert_close(latents, (images - MEAN) / STD, rtol=0, atol=0.012)


# How the loops behave.


def make_noise(num_steps, num_images=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num_steps + 1, num_images, 3, 4, 4, generator=generator)


@pytest.mark.parametrize(
    ("sample", "options"), [(sample_ancestral, {}), (sample_ddim, {"eta": 0.7})]
)
def test_an_image_does_not_depend_on_its_batch(closed_form_model, sample, options):
    schedule = make_schedule("cosine", 1000, "10")
    noise = make_noise(10)

    def run(part):
        return sample(
            closed_form_model,
            schedule,
            noise[0, part],
            noise_fn=lambda step_index: noise[1 + step_index, part],
            cond_fn=lambda x, t: torch.cos(x),
            **options,
        )

    together = run(slice(None))
    for i in range(4):
        torch.testing.assert_close(run(slice(i, i + 1))[0], together[i], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("sample", "options", "expected"),
    [
        (sample_ancestral, {}, list(range(9))),
        (sample_ancestral, {"noise_temperature": 0.0}, []),
        (sample_ddim, {"eta": 1.0}, list(range(9))),
        (sample_ddim, {"eta": 0.0}, []),
    ],
)
def test_noise_is_asked_for_only_where_it_is_used(closed_form_model, sample, options, expected):
    noise, asked = make_noise(10), []

    def noise_fn(step_index):
        asked.append(step_index)
        return noise[1 + step_index]

    schedule = make_schedule("linear", 1000, "10")
    sample(closed_form_model, schedule, noise[0], noise_fn=noise_fn, **options)
    assert asked == expected


def test_network_and_guidance_get_the_same_original_times(closed_form_model):
    schedule = make_schedule("linear", 100, "10")
    guided = []

    def cond_fn(x, t):
        guided.append(t)
        return torch.zeros_like(x)

    for rescale_timesteps, last in ((False, 99), (True, 990.0)):
        guided.clear()
        closed_form_model.times.clear()
        sample_ddim(
            closed_form_model,
            schedule,
            make_noise(0)[0],
            cond_fn=cond_fn,
            rescale_timesteps=rescale_timesteps,
        )
        assert guided[0].tolist() == [last] * 4
        assert len(guided) == 10
        for to_model, to_guidance in zip(closed_form_model.times, guided, strict=True):
            assert torch.equal(to_model, to_guidance)


@pytest.mark.parametrize("temperature", [0.9, 1.1])
def test_noise_temperature_scales_the_noise_of_the_steps(closed_form_model, temperature):
    schedule, noise = make_schedule("linear", 1000, "10"), make_noise(10)
    for sample, options in ((sample_ancestral, {}), (sample_ddim, {"eta": 1.0})):
        scaled = sample(
            closed_form_model,
            schedule,
            noise[0],
            noise_fn=lambda step_index: temperature * noise[1 + step_index],
            **options,
        )
        named = sample(
            closed_form_model,
            schedule,
            noise[0],
            noise_fn=lambda step_index: noise[1 + step_index],
            noise_temperature=temperature,
            **options,
        )
        torch.testing.assert_close(named, scaled, rtol=1e-4, atol=1e-5)


def test_eps_temperature_divides_the_network(closed_form_model):
    schedule, noise = make_schedule("linear", 1000, "10"), make_noise(10)

    def divided(x, t):
        output = closed_form_model(x, t)
        return torch.cat([output[:, :3] / 0.95, output[:, 3:]], dim=1)

    for sample in (sample_ancestral, sample_ddim):
        options = {"noise_fn": lambda step_index: noise[1 + step_index]}
        expected = sample(divided, schedule, noise[0], **options)
        ours = sample(closed_form_model, schedule, noise[0], eps_temperature=0.95, **options)
        torch.testing.assert_close(ours, expected, rtol=0, atol=0)


@pytest.mark.parametrize("prediction", ["x_start", "x_prev"])
def test_other_predictions_lead_to_the_same_images(closed_form_model, prediction):
    schedule, noise = make_schedule("linear", 1000, "10"), make_noise(10)
    index_of = {int(t): i for i, t in enumerate(schedule.timestep_map)}

    def other(x, t):
        output = closed_form_model(x, t)
        index = torch.tensor([index_of[int(one)] for one in t])
        predicted = p_mean_variance(schedule, output, x, index)
        center = predicted.pred_xstart if prediction == "x_start" else predicted.mean
        return torch.cat([center, output[:, 3:]], dim=1)

    options = {"noise_fn": lambda step_index: noise[1 + step_index]}
    expected = sample_ancestral(closed_form_model, schedule, noise[0], **options)
    ours = sample_ancestral(other, schedule, noise[0], prediction=prediction, **options)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_loops_leave_no_graph_and_do_not_change_their_start():
    weight = torch.ones(1, requires_grad=True)
    x_T = make_noise(0)[0]
    before = x_T.clone()
    schedule = make_schedule("linear", 1000, "5")
    sample = sample_ddim(lambda x, t: torch.cat([weight * x, x], dim=1), schedule, x_T)
    assert not sample.requires_grad
    assert torch.equal(x_T, before)


@pytest.mark.parametrize(
    ("chain", "options", "words"),
    [
        (("linear", 1000, "10"), {"eta": 1.5}, "eta is 1.5.*between 0"),
        (("linear", 1000, "10"), {"eta": 0.5}, "eta is 0.5.*give a noise_fn"),
        (("linear", 20, None), {}, "ends at alpha_bar = 0.*cosine"),
    ],
)
def test_impossible_settings_are_refused(closed_form_model, chain, options, words):
    with pytest.raises(ValueError, match=words):
        sample_ddim(closed_form_model, make_schedule(*chain), make_noise(0)[0], **options)


def test_a_chain_that_ends_in_pure_noise_serves_networks_that_predict_x_start():
    schedule, noise = make_schedule("linear", 20), make_noise(20)
    for sample in (sample_ancestral, sample_ddim):
        images = sample(
            lambda x, t: torch.full_like(x, 0.25),
            schedule,
            noise[0],
            noise_fn=lambda step_index: noise[1 + step_index],
            prediction="x_start",
            variance="fixed_small",
        )
        torch.testing.assert_close(images, torch.full_like(images, 0.25))
