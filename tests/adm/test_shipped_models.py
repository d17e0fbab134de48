"""Every model of the embedded scale can tell times and classes apart (Table 6 depends on it)."""

import pytest
import torch

from adm.networks.model import make_network
from specs.architecture import UNetArchitecture
from workflow.settings import load_plan

MODELS = {name: spec for name, spec in load_plan({}).models.items() if "-seed" not in name}


def randomise(model):
    """Move every weight off its start, where last layers are zero and nothing can be seen."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


@pytest.mark.parametrize("name", MODELS)
def test_label_and_timestep_move_the_output(name):
    shape = MODELS[name].architecture
    model = randomise(make_network(shape))
    size, channels = shape.image_size_px, shape.in_channels
    x_t = torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(1))
    is_denoiser = isinstance(shape, UNetArchitecture)
    conditional = is_denoiser and shape.num_classes is not None
    low_res = shape.low_res_px if is_denoiser else None

    def run(t, y):
        options = {"y": torch.tensor([y, y])} if conditional else {}
        if low_res:
            options["low_res"] = torch.ones(2, channels, low_res, low_res)
        with torch.inference_mode():
            return model(x_t, torch.tensor([t, t]), **options)

    plain = run(100, 0)
    scale = plain.abs().max()
    assert (run(700, 0) - plain).abs().max() > 1e-2 * scale
    if conditional:
        assert (run(100, 1) - plain).abs().max() > 1e-2 * scale


@pytest.mark.parametrize("name", MODELS)
def test_no_group_of_one_channel_and_no_map_of_one_pixel(name):
    shape = MODELS[name].architecture
    assert min(shape.widths) // shape.num_groups >= 2
    assert shape.image_size_px // 2 ** (len(shape.widths) - 1) >= 2


def test_depth_and_width_are_compared_at_equal_size():
    sizes = [
        sum(one.numel() for one in make_network(MODELS[name].architecture).parameters())
        for name in ("arch_baseline", "arch_deeper")
    ]
    assert abs(sizes[0] - sizes[1]) < 0.06 * sizes[0]
