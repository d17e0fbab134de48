import pytest
import torch

from adm.training.ema import explain_short_run, make_ema, update_ema


def test_starts_as_a_copy():
    weights = [torch.nn.Parameter(torch.randn(3, 2)), torch.nn.Parameter(torch.randn(4))]
    ema = make_ema(weights)
    assert all(torch.equal(a, b) for a, b in zip(ema, weights, strict=True))
    with torch.no_grad():
        weights[0].add_(1)
    assert not torch.equal(ema[0], weights[0])
    assert not ema[0].requires_grad


def test_closed_form_for_weights_that_stay():
    start, weight = torch.randn(5, dtype=torch.float64), torch.randn(5)
    ema = make_ema([start])
    for _ in range(40):
        update_ema(ema, [weight], 0.9)
    expected = weight + 0.9**40 * (start - weight)
    torch.testing.assert_close(ema[0].double(), expected, rtol=0, atol=1e-6)


def test_closed_form_for_weights_that_move():
    ema, expected = make_ema([torch.tensor([2.0])]), 2.0
    for step in range(10):
        update_ema(ema, [torch.tensor([float(step)])], 0.75)
        expected = 0.75 * expected + 0.25 * step
    torch.testing.assert_close(ema[0].item(), expected)


def test_no_decay_means_no_average():
    ema = make_ema([torch.tensor([2.0])])
    update_ema(ema, [torch.tensor([7.0])], 0.0)
    assert ema[0].item() == 7.0


@pytest.mark.parametrize(
    ("ema_decay", "iterations", "share"),
    [(0.9999, 150, "98.5%"), (0.9999, 46000, "1.0%"), (0.9999, 46100, None), (0.0, 1, None)],
)
def test_an_average_that_a_run_cannot_fill_is_told(ema_decay, iterations, share):
    words = explain_short_run(ema_decay, iterations)
    assert (words is None) if share is None else (f"leaves {share} of the random start" in words)
