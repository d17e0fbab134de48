import pytest
import torch

from adm.process.guidance import make_cond_fn
from adm.process.sampler import sample_ancestral
from specs.schedule import make_schedule


def logits_of(x, t):
    """Two classes told apart by the mean grey: log odds 3 * sum(x)."""
    total = x.flatten(1).sum(dim=1)
    return torch.stack([torch.zeros_like(total), 3 * total], dim=1)


@pytest.fixture
def x():
    return torch.randn(3, 1, 2, 2, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("scale", [1.0, 10.0, -2.0, 0.0])
def test_gradient_is_that_of_the_log_probability(x, scale):
    y = torch.tensor([0, 1, 1])
    gradient = make_cond_fn(logits_of, y, scale)(x, torch.zeros(3, dtype=torch.int64))
    share = torch.sigmoid(3 * x.flatten(1).sum(dim=1))
    expected = scale * 3 * (y - share).view(-1, 1, 1, 1).expand_as(x)
    torch.testing.assert_close(gradient, expected)
    assert not gradient.requires_grad


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradient_is_taken_where_gradients_are_off(x, mode):
    with mode():
        gradient = make_cond_fn(logits_of, torch.tensor([0, 1, 1]), 1.0)(
            x.clone(), torch.zeros(3, dtype=torch.int64)
        )
    assert gradient.abs().max() > 0
    assert x.grad is None


def test_each_image_has_its_own_gradient(x):
    y, t = torch.tensor([0, 1, 0]), torch.zeros(3, dtype=torch.int64)
    together = make_cond_fn(logits_of, y, 2.0)(x, t)
    for i in range(3):
        alone = make_cond_fn(logits_of, y[i : i + 1], 2.0)(x[i : i + 1], t[:1])
        torch.testing.assert_close(alone[0], together[i])


def test_guidance_moves_samples_towards_the_class():
    schedule = make_schedule("linear", 1000, "20")
    x_T = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(1))

    def model(x, t):
        return torch.cat([0.9 * x, torch.zeros_like(x)], dim=1)

    means = {}
    for wanted in (0, 1):
        images = sample_ancestral(
            model,
            schedule,
            x_T,
            noise_fn=lambda step_index: torch.zeros_like(x_T),
            cond_fn=make_cond_fn(logits_of, torch.full((2,), wanted), 1.0),
        )
        means[wanted] = images.mean(dim=(1, 2, 3))
    assert (means[1] > means[0]).all()


def test_labels_must_match_the_batch(x):
    cond_fn = make_cond_fn(logits_of, torch.tensor([0, 1]), 1.0)
    with pytest.raises(ValueError, match="2 labels but got a batch of 3"):
        cond_fn(x, torch.zeros(3, dtype=torch.int64))
