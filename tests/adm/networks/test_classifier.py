"""The classifier's pools, its input gradients and which inputs it refuses."""

import pytest
import torch

from adm.networks.classifier import Classifier
from records.errors import UserError
from specs.architecture import ClassifierArchitecture, make_architecture
from tests.specs.small_architectures import CLASSIFIER

POOLS = ("attention", "adaptive", "spatial", "spatial_v2")


def make_fresh(**changes):
    return Classifier(
        make_architecture(ClassifierArchitecture, "test", **{**CLASSIFIER, **changes})
    )


def make_small(**changes):
    torch.manual_seed(0)
    model = make_fresh(**changes).eval()
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.2)
    return model


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("embedding", ["adagn", "addition"])
def test_image_and_timestep_move_the_logits(pool, embedding):
    model = make_small(pool=pool, embedding=embedding)
    x, t = torch.randn(2, 3, 8, 8, requires_grad=True), torch.tensor([5, 5])
    logits = model(x, t)
    assert logits.shape == (2, 10)
    assert not torch.allclose(logits[0], logits[1])
    assert not torch.allclose(logits, model(x, torch.tensor([5, 800])))
    gradient = torch.autograd.grad(logits[0].log_softmax(dim=0)[3], x)[0]
    assert gradient[0].any()
    assert not gradient[1].any()  # samples of a batch do not mix


@pytest.mark.parametrize("pool", POOLS)
def test_every_parameter_learns(pool):
    model = make_small(pool=pool)
    logits = model(torch.randn(4, 3, 8, 8), torch.tensor([1, 5, 70, 900]))
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 3])).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_only_the_adaptive_pool_starts_with_equal_logits():
    x, t = torch.randn(2, 3, 8, 8), torch.tensor([1, 900])
    for pool in POOLS:
        logits = make_fresh(pool=pool)(x, t)
        assert bool(logits.any()) == (pool != "adaptive")


@pytest.mark.parametrize("pool", ["adaptive", "spatial", "spatial_v2"])
def test_pools_without_positions_take_heads_and_other_sizes(pool):
    model = make_small(pool=pool, head_channels=None, heads=2)
    assert model(torch.randn(2, 3, 4, 12), torch.zeros(2)).shape == (2, 10)


def test_autocast_gives_float32_logits():
    with torch.autocast("cpu", torch.bfloat16):
        logits = make_small()(torch.randn(2, 3, 8, 8), torch.zeros(2))
    assert logits.dtype == torch.float32
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize(
    ("shape", "t", "message"),
    [
        (
            (2, 3, 4, 4),
            torch.zeros(2),
            "classifier: x_t is 4 x 4 pixels, but attention pooling has one learned position per "
            "pixel of the last map; give images of 8 x 8",
        ),
        (
            (2, 1, 8, 8),
            torch.zeros(2),
            "classifier: x_t has shape [2, 1, 8, 8]; the model was made",
        ),
        ((2, 3, 8, 8), torch.zeros(3), "classifier: t has shape [3] for a batch of 2"),
        ((2, 3, 9, 8), torch.zeros(2), "classifier: x_t is 9 x 8 pixels; the levels halve that"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(shape, t, message):
    with pytest.raises(UserError) as error:
        make_small()(torch.zeros(shape), t)
    assert message in str(error.value)
