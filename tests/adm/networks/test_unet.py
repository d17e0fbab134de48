"""What moves the UNet's output, how it starts, and which inputs it refuses."""

import math

import pytest
import torch

from adm.networks.attention import AttentionBlock
from adm.networks.blocks import ResidualBlock
from adm.networks.unet import UNet
from records.errors import UserError
from specs.architecture import UNetArchitecture, make_architecture
from tests.specs.small_architectures import UNET


def make_fresh(**changes):
    return UNet(make_architecture(UNetArchitecture, "test", **{**UNET, **changes}))


def make_small(**changes):
    """A network whose every parameter is random, so that nothing is hidden by a zero."""
    torch.manual_seed(0)
    model = make_fresh(**changes).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=1.5 * parameter[0].numel() ** -0.5)
        else:
            torch.nn.init.normal_(parameter, mean=0.5, std=0.5)
    return model


@torch.no_grad()
def run(model, t=500, y=None, low_res=None):
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    y = None if y is None else torch.tensor([y, y])
    return model(x, torch.full((2,), t), y, low_res)


@pytest.mark.parametrize("embedding", ["adagn", "addition"])
def test_timestep_and_label_move_the_output(embedding):
    model = make_small(embedding=embedding, num_classes=10)
    base = run(model, t=500, y=3)
    for changed in (run(model, t=100, y=3), run(model, t=500, y=4)):
        # Where the embedding cancels (next test) only rounding is left, 1e-5 of this.
        assert (changed - base).abs().max() > 0.02 * base.abs().max()


def test_addition_cancels_with_one_channel_per_group():
    plain = make_small(embedding="addition", num_groups=32)
    torch.testing.assert_close(run(plain, t=100), run(plain, t=900), rtol=1e-4, atol=1e-4)
    adaptive = make_small(embedding="adagn", num_groups=32)
    assert not torch.allclose(run(adaptive, t=100), run(adaptive, t=900), rtol=0.01, atol=0.01)


def test_a_fresh_network_answers_zero_and_has_zeros_only_where_the_field_has_them():
    model = make_fresh()
    assert not run(model).any()
    zero = {name for name, value in model.named_parameters() if not value.any()}
    for name, module in model.named_modules():
        if isinstance(module, ResidualBlock):
            zero -= {f"{name}.out_layers.3.weight", f"{name}.out_layers.3.bias"}
        if isinstance(module, AttentionBlock):
            zero -= {f"{name}.proj_out.weight", f"{name}.proj_out.bias"}
    norm_biases = {f"{n}.bias" for n, m in model.named_modules() if "Norm" in type(m).__name__}
    assert zero - norm_biases == {"out.2.weight", "out.2.bias"}


def test_every_parameter_learns():
    model = make_small(num_classes=10, low_res_px=4)
    x, low_res = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 4, 4)
    model(x, torch.tensor([3, 700]), torch.tensor([0, 9]), low_res).square().mean().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def count_layers(model, kind):
    return [name for name, module in model.named_modules() if isinstance(module, kind)]


def test_attention_is_where_it_was_asked_for_and_in_the_middle():
    none = make_fresh(attention_resolutions=[])
    assert count_layers(none, AttentionBlock) == ["middle_block.1"]
    both = make_fresh(attention_resolutions=[8, 4])
    # one block in each level of the downsampling half, the middle, two in each of the other half
    assert len(count_layers(both, AttentionBlock)) == 2 + 1 + 4


def test_heads_upsample_and_head_channels_set_the_heads():
    model = make_fresh(heads_upsample=4, attention_resolutions=[8, 4])
    heads = {n: m.num_heads for n, m in model.named_modules() if isinstance(m, AttentionBlock)}
    assert {h for n, h in heads.items() if n.startswith("output_blocks")} == {4}
    assert {h for n, h in heads.items() if not n.startswith("output_blocks")} == {2}
    model = make_fresh(heads=None, head_channels=8, channel_mult=[1, 2])
    assert model.middle_block[1].num_heads == 8


def test_rescaling_reaches_every_residual_block_and_changes_no_parameter():
    plain, rescaled = make_small(), make_small(rescale_residual=True)
    blocks = [m for m in rescaled.modules() if isinstance(m, ResidualBlock)]
    assert len(blocks) == 2 + 1 + 2 + 4 + 1  # per level, down, middle, per level, up
    assert all(block.rescale for block in blocks)
    assert list(plain.state_dict()) == list(rescaled.state_dict())
    assert not torch.allclose(run(plain), run(rescaled))


def test_upsampler_reads_the_small_image_and_a_constant_stays_one_when_enlarged():
    model = make_small(low_res_px=4)
    assert model.input_blocks[0][0].in_channels == 6
    one, two = torch.full((2, 3, 4, 4), 0.5), torch.rand(2, 3, 4, 4)
    assert not torch.allclose(run(model, low_res=one), run(model, low_res=two))
    large = torch.full((2, 3, 8, 8), 0.5)
    torch.testing.assert_close(run(model, low_res=one), run(model, low_res=large))


def test_timesteps_may_be_fractional():
    model = make_small()
    assert not torch.equal(run(model, t=10.0), run(model, t=10.5))
    assert torch.equal(run(model, t=10), run(model, t=10.0))


def test_samples_of_a_batch_do_not_mix():
    model = make_small()
    x, t = torch.randn(3, 3, 8, 8), torch.tensor([1, 50, 900])
    with torch.no_grad():
        together = model(x, t)
        alone = torch.cat([model(x[i : i + 1], t[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_learned_variance_and_unusual_sizes():
    model = make_small(in_channels=1, out_channels=2, channel_mult=[0.5, 1], num_groups=8)
    assert model(torch.zeros(2, 1, 4, 10), torch.zeros(2)).shape == (2, 2, 4, 10)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_weights_give_float32_outputs_for_float32_images(dtype):
    full, half = make_small(num_classes=10), make_small(num_classes=10).to(dtype)
    expected, found = run(full, y=1), run(half, y=1)
    assert found.dtype == torch.float32
    assert (found - expected).abs().max() < 0.1 * expected.abs().max()


def test_autocast_gives_float32_outputs_near_the_exact_ones():
    model = make_small()
    with torch.autocast("cpu", torch.bfloat16):
        found = run(model)
    expected = run(model)
    assert found.dtype == torch.float32
    assert (found - expected).abs().max() < 0.1 * expected.abs().max()


@pytest.mark.parametrize(
    ("changes", "inputs", "message"),
    [
        (
            {"num_classes": 10},
            {},
            "UNet: labels y are missing; the model is conditional on 10 classes, so give y with",
        ),
        ({}, {"y": torch.zeros(2).long()}, "y were given, but the model is unconditional"),
        (
            {"num_classes": 10},
            {"y": torch.tensor([3, 10])},
            "labels y run from 3 to 10, but the model has 10 classes; give indices from 0 to 9",
        ),
        ({"num_classes": 10}, {"y": torch.tensor([-1, 2])}, "labels y run from -1 to 2"),
        (
            {"num_classes": 10},
            {"y": torch.tensor([1])},
            "y has shape [1] for a batch of 2; give one label per image",
        ),
        (
            {"low_res_px": 4},
            {},
            "low_res is missing; this upsampler enlarges images of 4 pixels, so give low_res of "
            "shape [2, 3, 4, 4]",
        ),
        (
            {},
            {"low_res": torch.zeros(2, 3, 4, 4)},
            "low_res was given, but the model is not an upsampler (low_res_px is None); leave",
        ),
        (
            {"low_res_px": 4},
            {"low_res": torch.zeros(1, 3, 4, 4)},
            "low_res has shape [1, 3, 4, 4] and x_t [2, 3, 8, 8]; give as many small images as",
        ),
        (
            {},
            {"x_t": torch.zeros(2, 3, 8, 7)},
            "x_t is 8 x 7 pixels; the levels halve that, so give a height and width that are "
            "multiples of 2",
        ),
        (
            {},
            {"x_t": torch.zeros(2, 4, 8, 8)},
            "x_t has shape [2, 4, 8, 8]; the model was made for images of 3 channels, so give",
        ),
        ({}, {"x_t": torch.zeros(3, 8, 8)}, "x_t has shape [3, 8, 8]"),
        (
            {},
            {"t": torch.tensor(5)},
            "t has shape [] for a batch of 2; give one timestep per image",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(changes, inputs, message):
    model = make_fresh(**changes)
    with pytest.raises(UserError) as error:
        model(**{"x_t": torch.zeros(2, 3, 8, 8), "t": torch.zeros(2), **inputs})
    assert message in str(error.value)


def test_initial_weights_have_the_spread_of_torch_layers():
    conv = make_fresh().input_blocks[1][0].in_layers[2]
    bound = 1 / math.sqrt(32 * 9)
    assert 0.9 * bound < conv.weight.abs().max() <= bound
