import numpy as np
import pytest
import torch

from adm.process.coefficients import make_coefficients
from adm.process.diffusion import (
    from_uint8,
    network_timesteps,
    p_mean_variance,
    predict_eps_from_xstart,
    predict_xstart_from_eps,
    q_mean_variance,
    q_posterior,
    q_sample,
    to_uint8,
    training_losses,
)
from specs.schedule import make_schedule

INPUTS = {"x_start", "noise", "t", "model_output", "step_noise", "cond_grad"}
LOSSES = {
    "hybrid": {},
    "hybrid_rescaled": {},
    "simple": {"variance": "fixed_large"},
    "vlb": {},
    "vlb_rescaled": {},
    "vlb_fixed_small": {"objective": "vlb", "variance": "fixed_small"},
    "hybrid_predict_xstart": {"objective": "hybrid", "prediction": "x_start"},
}
SPACED = {
    "linear1000.250.": (("linear", 1000, "250"), "hybrid", False),
    "linear1000.ddim25.": (("linear", 1000, "ddim25"), "hybrid", False),
    "cosine1000.25.rescale_learned_sigmas.": (("cosine", 1000, "25"), "hybrid_rescaled", False),
    "linear100.50.rescale_timesteps.": (("linear", 100, "50"), "hybrid", True),
}


def is_ours(suffix):
    elsewhere = ("p_sample", "ddim_", "prior_bpd")  # test_sampler.py, test_likelihood.py
    return suffix not in INPUTS and not suffix.startswith(elsewhere)


@pytest.fixture
def small():
    """A schedule and a batch of everything a step needs."""
    generator = torch.Generator().manual_seed(0)

    def draw(channels):
        return torch.randn(4, channels, 4, 4, generator=generator)

    schedule = make_schedule("linear", 1000, "50")
    x_start = draw(3).clamp(-1, 1)
    return schedule, x_start, torch.tensor([0, 1, 25, 49]), draw(3), draw(6)


@pytest.mark.parametrize("which", ["linear1000", "cosine1000", "linear100"])
def test_single_steps_of_the_reference(diffusion_reference, which):
    prefix = f"step.{which}."
    about = diffusion_reference.meta["step_sets"][which]
    schedule = make_schedule(about["schedule"], about["T"])
    x_start, noise, t, output, *_ = (
        diffusion_reference.tensor(prefix + name)
        for name in ("x_start", "noise", "t", "model_output")
    )
    x_t = q_sample(schedule, x_start, t, noise)
    ours = {"q_sample": x_t}
    ours["q_mean"], ours["q_variance"], ours["q_log_variance"] = q_mean_variance(
        schedule, x_start, t
    )
    for name, value in zip(
        ("mean", "variance", "log_variance_clipped"),
        q_posterior(schedule, x_start, x_t, t),
        strict=True,
    ):
        ours[f"q_posterior_{name}"] = value

    settings = {
        "clip_on": {},
        "clip_off": {"clip_denoised": False},
        "fixed_small": {"variance": "fixed_small"},
        "fixed_large": {"variance": "fixed_large"},
        "learned": {"variance": "learned"},
        "predict_xstart": {"prediction": "x_start"},
        "predict_xprev": {"prediction": "x_prev"},
    }
    for case, options in settings.items():
        fixed = case.startswith("fixed")
        predicted = p_mean_variance(schedule, output[:, :3] if fixed else output, x_t, t, **options)
        for field, value in predicted._asdict().items():
            name = f"p_mean_variance.{case}.{field}"
            if prefix + name in diffusion_reference.arrays:
                ours[name] = value[:, 0, 0, 0] if fixed else value

    for case, options in LOSSES.items():
        options = {"objective": case} | options
        fixed = options.get("variance", "").startswith("fixed")
        terms = training_losses(
            lambda x, t, fixed=fixed: output[:, :3] if fixed else output,
            schedule,
            x_start,
            t,
            noise,
            **options,
        )
        for field, value in terms.items():
            if not (options["objective"].startswith("vlb") and field == "vb"):
                ours[f"losses.{case}.{field}"] = value

    assert set(ours) == set(filter(is_ours, diffusion_reference.suffixes(prefix)))
    for name, value in ours.items():
        diffusion_reference.assert_close(prefix + name, value)


@pytest.mark.parametrize("which", SPACED)
def test_losses_on_shortened_chains_of_the_reference(diffusion_reference, closed_form_model, which):
    chain, objective, rescale_timesteps = SPACED[which]
    prefix = f"spaced.{which}"
    schedule = make_schedule(*chain)
    x_start, t, noise = (
        diffusion_reference.tensor(prefix + name) for name in ("x_start", "t", "noise")
    )
    terms = training_losses(
        closed_form_model,
        schedule,
        x_start,
        t,
        noise,
        objective=objective,
        rescale_timesteps=rescale_timesteps,
    )
    received = closed_form_model.times[-1].double()
    np.testing.assert_array_equal(received, diffusion_reference.arrays[prefix + "tau_model"])
    for name, value in terms.items():
        diffusion_reference.assert_close(f"{prefix}losses.{name}", value)


def test_all_shortened_chains_are_tested(diffusion_reference):
    names = diffusion_reference.suffixes("spaced.")
    assert {name for name in names if not name.startswith(tuple(SPACED))} == set()


def test_rescaled_times_are_floats_of_a_thousand():
    schedule = make_schedule("linear", 100, "50")
    t = torch.tensor([0, 49])
    assert network_timesteps(schedule, t).tolist() == [0, 99]
    rescaled = network_timesteps(schedule, t, rescale_timesteps=True)
    assert rescaled.dtype == torch.float32
    assert rescaled.tolist() == [0.0, 990.0]


def test_eps_and_x_start_are_two_ways_to_say_the_same(small):
    schedule, x_start, t, eps, _ = small
    x_t = q_sample(schedule, x_start, t, eps)
    back = predict_xstart_from_eps(schedule, x_t, t, eps)
    torch.testing.assert_close(back, x_start, rtol=1e-4, atol=1e-3)
    again = predict_eps_from_xstart(schedule, x_t, t, x_start)
    torch.testing.assert_close(again, eps, rtol=1e-4, atol=1e-4)


def test_the_gradient_of_vb_does_not_reach_eps(small):
    schedule, x_start, t, eps, output = small
    gradients = {}
    for objective, variance in (("hybrid", "learned_range"), ("simple", "fixed_large")):
        leaf = (output if objective == "hybrid" else output[:, :3]).clone().requires_grad_()
        terms = training_losses(
            lambda x, t, leaf=leaf: leaf,
            schedule,
            x_start,
            t,
            eps,
            objective=objective,
            variance=variance,
        )
        terms["loss"].sum().backward()
        gradients[objective] = leaf.grad
    torch.testing.assert_close(gradients["hybrid"][:, :3], gradients["simple"], rtol=0, atol=0)
    assert gradients["hybrid"][:, 3:].abs().amax(dim=(1, 2, 3)).gt(0).all()


def test_the_gradient_of_the_bound_reaches_eps(small):
    schedule, x_start, t, eps, output = small
    leaf = output.clone().requires_grad_()
    terms = training_losses(lambda x, t: leaf, schedule, x_start, t, eps, objective="vlb")
    terms["loss"].sum().backward()
    assert leaf.grad[:, :3].abs().amax(dim=(1, 2, 3)).gt(0).all()


def test_a_perfect_prediction_costs_nothing_but_the_first_step(small):
    schedule, x_start, t, eps, _ = small
    # v = -1 is the lower end of the range: the true posterior variance.
    output = torch.cat([eps, -torch.ones_like(eps)], dim=1)
    terms = training_losses(lambda x, t: output, schedule, x_start, t, eps)
    assert terms["mse"].abs().max() == 0
    assert terms["vb"][1:].abs().max() < 1e-5


def test_conditioning_reaches_the_network(small):
    schedule, x_start, t, eps, output = small
    seen = {}

    def model(x, t, **kwargs):
        seen.update(kwargs)
        return output

    training_losses(model, schedule, x_start, t, eps, model_kwargs={"y": "label"})
    assert seen == {"y": "label"}


def test_half_precision_networks_are_read_in_the_precision_of_the_images(small):
    schedule, x_start, t, _, output = small
    predicted = p_mean_variance(schedule, output.bfloat16(), x_start, t)
    assert {value.dtype for value in predicted} == {torch.float32}


def test_eps_temperature_divides_eps(small):
    schedule, x_t, t, _, output = small
    cold = p_mean_variance(schedule, output, x_t, t, eps_temperature=0.8)
    divided = torch.cat([output[:, :3] / 0.8, output[:, 3:]], dim=1)
    plain = p_mean_variance(schedule, divided, x_t, t)
    for ours, expected in zip(cold, plain, strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prediction": "v"}, "prediction is 'v'.*eps, x_start, x_prev"),
        ({"variance": "free"}, "variance is 'free'.*learned_range"),
        ({"variance": "fixed_small"}, "returned 6 channels.*'fixed_small' needs 3"),
        ({"eps_temperature": 0.0}, "eps_temperature is 0.0.*positive"),
        ({"eps_temperature": 0.9, "prediction": "x_start"}, "only for networks that predict eps"),
    ],
)
def test_outputs_that_cannot_be_read_are_refused(small, options, words):
    schedule, x_t, t, _, output = small
    with pytest.raises(ValueError, match=words):
        p_mean_variance(schedule, output, x_t, t, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"objective": "l1"}, "objective is 'l1'.*hybrid_rescaled"),
        ({"variance": "fixed_large"}, "'hybrid' trains a variance.*'fixed_large'"),
        ({"objective": "simple"}, "leave the variance 'learned_range' untrained"),
    ],
)
def test_objectives_that_do_not_fit_are_refused(small, options, words):
    schedule, x_start, t, eps, output = small
    with pytest.raises(ValueError, match=words):
        training_losses(lambda x, t: output, schedule, x_start, t, eps, **options)


def test_tables_are_copied_once_and_may_enter_a_graph():
    schedule = make_schedule("linear", 100)
    with torch.inference_mode():
        tables = make_coefficients(schedule, torch.device("cpu"))
    assert make_coefficients(schedule, torch.device("cpu")) is tables
    assert not tables.log_betas.is_inference()


def test_images_survive_the_way_to_floats_and_back():
    images = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).repeat(2, 1, 1, 3)
    x = from_uint8(images)
    assert x.shape == (2, 3, 16, 16)
    assert (x.min(), x.max()) == (-1.0, 1.0)
    # Truncation loses a level where the float lies a hair below its integer; the authors' files do.
    assert (images.int() - to_uint8(x).int()).abs().max() <= 1


def test_uint8_is_clamped_and_truncated_not_rounded():
    x = torch.tensor([-3.0, -1.0, 0.0, 0.999, 1.0, 7.0]).view(1, 1, 1, 6)
    assert to_uint8(x).flatten().tolist() == [0, 0, 127, 254, 255, 255]
    assert to_uint8(torch.zeros(2, 3, 4, 5)).shape == (2, 4, 5, 3)
