import pytest
import torch

from adm.training.precision import LossScale
from adm.training.step import StepResult
from adm.training.watchdog import Diverged, Watchdog, check_finite, check_loss_scale

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(("loss", "grad_norm"), [(NAN, 1.0), (1.0, INF), (-INF, NAN)])
def test_one_step_that_is_not_finite_ends_a_run(loss, grad_norm):
    with pytest.raises(Diverged) as caught:
        check_finite("m", 12, loss=loss, grad_norm=grad_norm, kept="State 10 is kept in x")
    assert caught.value.exit_code == 4
    text = str(caught.value)
    assert f"m: iteration 12: loss {loss}, gradient norm {grad_norm}" in text
    assert "State 10 is kept in x. Try a lower training.learning_rate" in text


def test_finite_steps_go_on():
    check_finite("m", 1, loss=1e30, grad_norm=0.0, kept="")


def test_loss_scale_may_find_its_level_but_not_its_floor():
    scale = LossScale()
    for _ in range(20):
        scale.update(finite=False)
        check_loss_scale("m", 1, loss_scale=scale, kept="")
    scale.update(finite=False)
    with pytest.raises(Diverged, match=r"overflowed 21 times in a row, loss scale 2\^-1\.0"):
        check_loss_scale("m", 21, loss_scale=scale, kept="")


def test_too_many_steps_left_out_in_a_row():
    scale = LossScale(exponent=50.0)
    for _ in range(29):
        scale.update(finite=False)
    check_loss_scale("m", 29, loss_scale=scale, kept="")
    scale.update(finite=False)
    with pytest.raises(Diverged, match=r"30 times in a row, .* Nothing kept\. Try a lower"):
        check_loss_scale("m", 30, loss_scale=scale, kept="Nothing kept")
    scale.update(finite=True)
    check_loss_scale("m", 31, loss_scale=scale, kept="")


def look(watchdog, loss, iteration, *, grad_norm=1.0, now=False):
    result = StepResult({"loss": torch.tensor(loss)}, torch.tensor(grad_norm), taken=True)
    watchdog.look(result, iteration=iteration, loss_scale=LossScale(), kept="", now=now)


def test_on_the_cpu_every_step_is_looked_at():
    watchdog = Watchdog("m", precision="float32", batch_size=2, device="cpu")
    look(watchdog, 3.0, 1)
    with pytest.raises(Diverged, match=r"iteration 2: loss nan, gradient norm 1\.0"):
        look(watchdog, NAN, 2)


def test_fp16_looks_at_the_scale_only():
    watchdog = Watchdog("m", precision="fp16", batch_size=2, device="cpu")
    look(watchdog, INF, 1)


@pytest.mark.parametrize("now", [False, True])
@pytest.mark.parametrize(("loss", "grad_norm"), [(NAN, 1.0), (1.0, INF)])
def test_on_a_gpu_a_bad_step_is_found_before_the_state_is_used(loss, grad_norm, now):
    watchdog = Watchdog("m", precision="bf16", batch_size=2, device="cuda")
    look(watchdog, 1.0, 10)
    look(watchdog, loss, 11, grad_norm=grad_norm)
    look(watchdog, 1.0, 12)
    with pytest.raises(Diverged):
        look(watchdog, 1.0, 13 if now else 20, now=now)
