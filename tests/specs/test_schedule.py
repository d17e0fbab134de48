import dataclasses
import re
import subprocess
import sys

import numpy as np
import pytest

from specs.schedule import make_betas, make_schedule, space_timesteps

FIELDS = {"alphas_cumprod": "alpha_bar"}
FIELDS |= {f"alphas_cumprod_{which}": f"alpha_bar_{which}" for which in ("prev", "next")}
EXACT = ("betas", "alphas_cumprod", "alphas_cumprod_prev", "alphas_cumprod_next")


def split_name(schedule):
    kind, length = re.fullmatch(r"([a-z]+)(\d+)", schedule).groups()
    return kind, int(length)


def test_every_schedule_of_the_reference(diffusion_reference):
    names = diffusion_reference.suffixes("schedule.")
    assert len(names) == 4 * 8
    for name in names:
        schedule, field = name.split(".")
        ours = getattr(make_schedule(*split_name(schedule)), FIELDS.get(field, field))
        linear = schedule.startswith("linear") and field in EXACT
        rtol = 1e-12 if linear else 1e-9
        stored = diffusion_reference.arrays[f"schedule.{name}"]
        np.testing.assert_allclose(ours, stored, rtol=rtol, atol=0, err_msg=name)


def test_every_shortened_chain_of_the_reference(diffusion_reference):
    names = diffusion_reference.suffixes("respacing.")
    for name in names:
        stored = diffusion_reference.arrays[f"respacing.{name}"]
        chain, sections, field = name.split(".")
        if field == "timesteps":
            assert space_timesteps(int(chain.removeprefix("T")), sections) == stored.tolist(), name
        else:
            ours = getattr(make_schedule(*split_name(chain), sections), field)
            np.testing.assert_allclose(
                ours, stored, rtol=0 if field == "timestep_map" else 1e-9, atol=0, err_msg=name
            )


def test_counts_and_refusals_of_the_reference(diffusion_reference):
    for request, count in diffusion_reference.meta["respacing_counts"].items():
        chain, sections = request.split(".")
        num_timesteps = int(chain.removeprefix("T"))
        if isinstance(count, int):
            assert len(space_timesteps(num_timesteps, sections)) == count
        else:
            with pytest.raises(ValueError, match=sections):
                space_timesteps(num_timesteps, sections)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_keeping_every_step_is_the_identity(schedule):
    full, kept = make_schedule(schedule, 100), make_schedule(schedule, 100, "100")
    for field in dataclasses.fields(full):
        np.testing.assert_array_equal(getattr(full, field.name), getattr(kept, field.name))


@pytest.mark.parametrize("respacing", ["50", "ddim25", "10,20,5"])
def test_a_shortened_chain_keeps_alpha_bar_and_joins_up(respacing):
    full, short = make_schedule("linear", 1000), make_schedule("linear", 1000, respacing)
    np.testing.assert_allclose(short.alpha_bar, full.alpha_bar[short.timestep_map], rtol=1e-12)
    np.testing.assert_array_equal(short.alpha_bar_prev[1:], short.alpha_bar[:-1])
    np.testing.assert_array_equal(short.alpha_bar_next[:-1], short.alpha_bar[1:])
    assert short.num_timesteps == 1000
    assert short.num_steps == len(short.timestep_map)


def test_posterior_is_bayes_rule():
    # Precision of a product of Gaussians is the sum of precisions.
    one = make_schedule("cosine", 50)
    precision = (1 - one.betas[1:]) / one.betas[1:] + 1 / (1 - one.alpha_bar_prev[1:])
    np.testing.assert_allclose(one.posterior_variance[1:], 1 / precision, rtol=1e-9)


def test_an_integer_is_as_good_as_a_string():
    assert space_timesteps(1000, 250) == space_timesteps(1000, "250")


def test_a_single_step_is_a_chain():
    one = make_schedule("linear", 1000, "1")
    assert one.timestep_map.tolist() == [0]
    assert np.isfinite(one.posterior_log_variance_clipped).all()


def test_the_shortest_linear_chain_ends_in_pure_noise():
    assert make_schedule("linear", 20).alpha_bar[-1] == 0


def test_arrays_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        make_schedule("linear", 100).betas[0] = 1


@pytest.mark.parametrize(
    ("respacing", "words"),
    [
        ("ddim600", ["'ddim600'", "exactly 600 of 1000", "ddim500", "ddim1000"]),
        ("ddim1001", ["exactly 1001 of 1000", "ddim1000"]),
        ("ddim1", ["exactly 1 of 1000", "ddim2"]),
        ("ddimx", ["'ddimx'", "needs a count"]),
        ("1001", ["'1001'", "asks for 1001 of the 1000", "nearest possible count is 1000"]),
        ("10,400,10", ["asks for 400 of the 333", "section 2 of 3", "count is 333"]),
        ("fast", ["'fast'", '"ddim25"']),
        ("0", ["'0'", "must be a count"]),
        ("-5,10", ["'-5,10'", "must be a count"]),
        ("", ["''", "must be a count"]),
    ],
)
def test_impossible_requests_say_what_is_possible(respacing, words):
    with pytest.raises(ValueError) as error:
        space_timesteps(1000, respacing)
    for word in words:
        assert word in str(error.value)


def test_a_chain_too_short_for_strides_says_so():
    with pytest.raises(ValueError, match='none \\(use "1"\\)'):
        space_timesteps(1, "ddim1")


def test_the_nearest_counts_are_possible_themselves():
    for request in range(30, 700, 7):
        try:
            space_timesteps(1000, f"ddim{request}")
        except ValueError as error:
            nearest = [int(n) for n in re.findall(r"ddim(\d+)", str(error).split("nearest")[1])]
            assert nearest
            for count in nearest:
                assert len(space_timesteps(1000, f"ddim{count}")) == count


@pytest.mark.parametrize(
    ("schedule", "num_timesteps", "words"),
    [
        ("sigmoid", 1000, "'sigmoid'.*linear, cosine"),
        ("linear", 19, "num_timesteps is 19.*at least 20"),
        ("cosine", 0, "num_timesteps is 0"),
    ],
)
def test_impossible_schedules_are_refused(schedule, num_timesteps, words):
    with pytest.raises(ValueError, match=words):
        make_betas(schedule, num_timesteps)


def test_schedules_need_no_torch():
    code = "import sys, specs.schedule; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
