import math

import pytest
import torch

from adm.networks.model import make_network
from adm.training.losses import (
    compute_classifier_losses,
    compute_denoising_losses,
    make_loss_fn,
    make_low_res,
)
from specs.schedule import make_schedule
from tests.adm.training_case import make_spec

SCHEDULE = make_schedule("linear", 100)


def batch(num=8, channels=1):
    torch.manual_seed(0)
    x_start = torch.rand(num, channels, 8, 8) * 2 - 1
    return x_start, torch.arange(num) % 10, torch.arange(num) * 12, torch.randn_like(x_start)


def test_low_res_is_the_mean_of_blocks():
    x_start = batch(2, 3)[0]
    small = make_low_res(x_start, 4)
    expected = x_start.reshape(2, 3, 4, 2, 4, 2).mean(dim=(3, 5))
    torch.testing.assert_close(small, expected)


def test_the_network_gets_labels_and_the_small_image():
    x_start, y, t, eps = batch()
    given = {}

    def network(x_t, timesteps, **model_kwargs):
        given.update(model_kwargs)
        assert torch.equal(timesteps, t)
        return torch.zeros(8, 2, 8, 8)

    losses = compute_denoising_losses(
        network, SCHEDULE, x_start, y, t, eps, objective="hybrid", low_res_px=4
    )
    assert torch.equal(given["y"], y)
    torch.testing.assert_close(given["low_res"], make_low_res(x_start, 4))
    torch.testing.assert_close(losses["mse"], (eps**2).mean(dim=(1, 2, 3)))
    torch.testing.assert_close(losses["loss"], losses["mse"] + losses["vb"])


def test_simple_objective_needs_no_variance():
    x_start, _, t, eps = batch()

    def network(x_t, timesteps):
        return torch.zeros_like(x_t)

    losses = compute_denoising_losses(
        network, SCHEDULE, x_start, None, t, eps, objective="simple", low_res_px=None
    )
    assert set(losses) == {"loss", "mse"}


def test_classifier_losses_of_known_logits():
    x_start, y, t, eps = batch()
    logits = torch.zeros(8, 10)
    logits[0, 0] = logits[7, 7] = 5.0
    logits[3, 9] = 5.0
    losses = compute_classifier_losses(lambda x_t, t: logits, SCHEDULE, x_start, y, t, eps)
    right = -5.0 + math.log(math.exp(5) + 9)
    assert losses["loss"][7].item() == pytest.approx(right)
    assert losses["loss"][4].item() == pytest.approx(math.log(10))
    # t = 0, 12, 24 | 36, 48 | 60, 72 | 84
    assert losses["seen"].sum(dim=0).tolist() == [3, 2, 2, 1]
    assert losses["correct"].sum(dim=0).tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("kind", ["diffusion", "upsampler", "classifier"])
def test_16_bit_losses_are_near_those_of_float32(kind, precision):
    losses = []
    for one in ("float32", precision):
        spec = make_spec(kind, precision=one)
        torch.manual_seed(3)
        model = make_network(spec.architecture).eval()
        for parameter in model.parameters():  # some start at zero and would hide the rounding
            torch.nn.init.normal_(parameter, std=0.1)
        losses.append(make_loss_fn(spec, model, "cpu")(*batch())["loss"])
    assert losses[1].dtype == torch.float32
    assert not torch.equal(*losses)
    torch.testing.assert_close(*losses, rtol=0.03, atol=0.03)
