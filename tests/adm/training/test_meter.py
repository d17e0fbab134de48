import torch

from adm.training.meter import Meter, make_progress_bar
from adm.training.step import StepResult


def step(loss, grad_norm=1.0, taken=True, **sums):
    return StepResult({"loss": torch.tensor(loss), **sums}, torch.tensor(grad_norm), taken)


def test_means_per_image_since_the_last_reading():
    meter = Meter(batch_size=4)
    meter.add(step(8.0, 1.0, mse=torch.tensor(4.0)))
    meter.add(step(16.0, 3.0, mse=torch.tensor(8.0)))
    values = meter.read()
    assert (values["loss"], values["mse"], values["grad_norm"]) == (3.0, 1.5, 2.0)
    assert values["skipped"] == 0
    assert values["images_per_second"] > 0
    meter.add(step(4.0))
    assert meter.read()["loss"] == 1.0


def test_steps_left_out_are_counted_and_do_not_spoil_the_means():
    meter = Meter(batch_size=2)
    meter.add(step(float("inf"), float("nan"), taken=False))
    meter.add(step(6.0))
    values = meter.read()
    assert (values["loss"], values["skipped"]) == (3.0, 1)
    meter.add(step(float("inf"), taken=False))
    values = meter.read()
    assert values["loss"] is None
    assert values["grad_norm"] is None


def test_accuracy_by_quarter_of_the_timesteps():
    meter = Meter(batch_size=4)
    seen = torch.tensor([2.0, 0.0, 1.0, 1.0])
    meter.add(step(1.0, seen=seen, correct=torch.tensor([1.0, 0.0, 1.0, 0.0])))
    meter.add(step(1.0, seen=seen, correct=torch.tensor([2.0, 0.0, 0.0, 0.0])))
    values = meter.read()
    assert values["accuracy_by_quarter"] == [0.75, None, 0.5, 0.0]
    assert "seen" not in values


def test_the_bar_shows_speed_and_time_left(capsys):
    with make_progress_bar("m", done=2, iterations=10, batch_size=100) as bar:
        bar.update(400)
    text = capsys.readouterr().err
    assert "m:  20%" in text  # the work of an earlier run counts
    assert "m:  60%" in text
    assert "images/s" in text


def test_the_bar_is_quiet_in_a_log(capsys):
    with make_progress_bar("m", done=0, iterations=200, batch_size=1) as bar:
        for _ in range(200):
            bar.update(1)
    assert capsys.readouterr().err.count("images/s") <= 2
