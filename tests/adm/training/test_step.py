import copy

import pytest
import torch

from adm.training.loop import make_state
from adm.training.losses import make_loss_fn
from adm.training.step import compute_learning_rate, train_step
from tests.adm.training_case import make_spec

OPTIONS = {
    "dropout_seed": 0,
    "microbatch_size": 8,
    "learning_rate": 1e-3,
    "ema_decay": 0.9,
    "grad_clip": None,
    "precision": "float32",
}


def inputs(num=8):
    torch.manual_seed(1)
    x_start = torch.rand(num, 1, 8, 8) * 2 - 1
    return x_start, torch.arange(num) % 10, torch.arange(num) * 12, torch.randn_like(x_start)


def make_case(kind="diffusion", **training):
    spec = make_spec(
        kind, architecture={} if kind == "classifier" else {"dropout": 0.0}, **training
    )
    state = make_state(spec)
    return state, make_loss_fn(spec, state.model, "cpu")


def weights(state):
    return torch.cat([one.detach().flatten() for one in state.model.parameters()])


def test_learning_rate_falls_linearly_to_zero():
    rates = [compute_learning_rate(0.3, k, 10) for k in (0, 5, 9, 10, 11)]
    assert rates == pytest.approx([0.3, 0.15, 0.03, 0.0, 0.0])
    assert compute_learning_rate(0.3, 10**6, None) == 0.3


def test_the_rate_given_is_the_rate_used():
    state, loss_fn = make_case()
    before = weights(state)
    train_step(state, loss_fn, *inputs(), **{**OPTIONS, "learning_rate": 0.0})
    assert torch.equal(weights(state), before)
    train_step(state, loss_fn, *inputs(), **{**OPTIONS, "learning_rate": 1e-2})
    assert (weights(state) - before).abs().max() == pytest.approx(1e-2, rel=0.3)
    assert state.iteration == 2


@pytest.mark.parametrize("kind", ["diffusion", "upsampler", "classifier"])
@pytest.mark.parametrize("microbatch_size", [1, 3, 4])
def test_accumulation_equals_the_full_batch(kind, microbatch_size):
    spec = make_spec(kind)  # denoisers have dropout
    state = make_state(spec)
    loss_fn, other = make_loss_fn(spec, state.model, "cpu"), copy.deepcopy(state)
    other_fn = make_loss_fn(spec, other.model, "cpu")
    full = train_step(state, loss_fn, *inputs(), **OPTIONS)
    part = train_step(other, other_fn, *inputs(), **{**OPTIONS, "microbatch_size": microbatch_size})
    for name, value in full.sums.items():
        torch.testing.assert_close(part.sums[name], value, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(part.grad_norm, full.grad_norm, rtol=1e-5, atol=1e-6)
    for a, b in zip(state.model.parameters(), other.model.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-6)


def test_gradients_are_of_the_mean_loss():
    state, loss_fn = make_case()
    losses = loss_fn(*inputs())
    expected = torch.autograd.grad(losses["loss"].mean(), list(state.model.parameters()))
    train_step(state, loss_fn, *inputs(), **OPTIONS)
    for parameter, grad in zip(state.model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, grad, rtol=1e-5, atol=1e-7)


def test_the_optimiser_is_adamw():
    """Two steps against torch's plain single-tensor AdamW with decay."""
    spec = make_spec(weight_decay=0.1, architecture={"dropout": 0.0})
    state, other = make_state(spec), make_state(spec)
    plain = torch.optim.AdamW(
        other.model.parameters(),
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.1,
        foreach=False,
        fused=False,
    )
    for _ in range(2):
        train_step(state, make_loss_fn(spec, state.model, "cpu"), *inputs(), **OPTIONS)
        plain.zero_grad()
        make_loss_fn(spec, other.model, "cpu")(*inputs())["loss"].mean().backward()
        plain.step()
    torch.testing.assert_close(weights(state), weights(other), rtol=1e-5, atol=1e-6)


def test_the_average_follows_the_updated_weights():
    state, loss_fn = make_case()
    start = [one.clone() for one in state.ema]
    train_step(state, loss_fn, *inputs(), **OPTIONS)
    for before, now, weight in zip(start, state.ema, state.model.parameters(), strict=True):
        torch.testing.assert_close(now, 0.9 * before + 0.1 * weight.detach())


def test_clipping_scales_all_gradients_together():
    state, loss_fn = make_case()
    free = train_step(state, loss_fn, *inputs(), **OPTIONS)
    clipped, clipped_fn = make_case()
    result = train_step(clipped, clipped_fn, *inputs(), **{**OPTIONS, "grad_clip": 0.01})
    torch.testing.assert_close(result.grad_norm, free.grad_norm)
    norm = torch.sqrt(sum((one.grad**2).sum() for one in clipped.model.parameters()))
    assert norm.item() == pytest.approx(0.01, rel=1e-3)
    loose, loose_fn = make_case()
    train_step(loose, loose_fn, *inputs(), **{**OPTIONS, "grad_clip": 1e6})
    assert torch.equal(weights(loose), weights(state))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_16_bit_steps_go_the_way_of_float32(precision):
    exact, exact_fn = make_case()
    rounded, rounded_fn = make_case(precision=precision)
    rounded.loss_scale.exponent = 12.0
    start = weights(exact)
    for state, loss_fn, one in ((exact, exact_fn, "float32"), (rounded, rounded_fn, precision)):
        result = train_step(state, loss_fn, *inputs(), **{**OPTIONS, "precision": one})
        assert result.taken
        assert {p.dtype for p in state.model.parameters()} == {torch.float32}
    grads = [
        torch.cat([p.grad.flatten() for p in state.model.parameters()])
        for state in (exact, rounded)
    ]
    assert torch.nn.functional.cosine_similarity(*grads, dim=0) > 0.99
    assert not torch.equal(weights(rounded), start)
    assert rounded.loss_scale.exponent == pytest.approx(12.001 if precision == "fp16" else 12.0)


def spoil(loss_fn):
    def spoiled(*arguments):
        losses = loss_fn(*arguments)
        return {**losses, "loss": losses["loss"] * float("inf")}

    return spoiled


@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
def test_a_step_that_is_not_finite_changes_nothing(precision):
    state, loss_fn = make_case(precision=precision)
    before, average = weights(state), [one.clone() for one in state.ema]
    result = train_step(
        state, spoil(loss_fn), *inputs(), **{**OPTIONS, "precision": precision, "grad_clip": 1.0}
    )
    assert not result.taken
    assert torch.equal(weights(state), before)
    assert all(torch.equal(a, b) for a, b in zip(state.ema, average, strict=True))
    assert not state.optimiser.state
    assert state.iteration == 1
    assert state.loss_scale.exponent == (19.0 if precision == "fp16" else 20.0)
