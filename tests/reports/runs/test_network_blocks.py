"""The blocks of networks, held against the networks themselves."""

from collections import Counter

import pytest
import torch

from adm.networks.model import make_network
from records.errors import UserError
from reports.runs.blocks import Block, count_parameters, list_blocks, make_blocks
from specs.architecture import ClassifierArchitecture, UNetArchitecture, make_architecture
from specs.page import WantedFile
from workflow.settings import load_plan

SMALL = {
    "image_size_px": 16,
    "channels": 8,
    "depth": 2,
    "channel_mult": [1.0, 2.0],
    "num_groups": 4,
}
SMALL |= {"attention_resolutions": [8], "biggan_updown": False, "heads": 2}
UNET = {**SMALL, "out_channels": 6}
SHAPES = [
    make_architecture(UNetArchitecture, "test", **UNET, num_classes=3, heads_upsample=4),
    make_architecture(UNetArchitecture, "test", **UNET, conv_resample=False),
    make_architecture(ClassifierArchitecture, "test", **SMALL, num_classes=5, pool="spatial"),
]
SHAPES += [
    load_plan({"scale": scale}).models[name].architecture
    for scale in ("digits", "paper")
    for name in (
        "arch_baseline",
        "arch_biggan",
        "imagenet_256",
        "upsampler_64_256",
        "classifier_64",
    )
]


@pytest.mark.parametrize("shape", SHAPES)
def test_blocks_are_those_of_the_network(shape):
    with torch.device("meta"):
        network = make_network(shape).eval()
        inputs = {}
        if getattr(shape, "low_res_px", None):
            inputs["low_res"] = torch.zeros(1, shape.in_channels, *[shape.low_res_px] * 2)
        if isinstance(shape, UNetArchitecture) and shape.num_classes:
            inputs["y"] = torch.zeros(1, dtype=torch.long)
        found = {}

        def note(name):
            return lambda _, __, output: found.update({name: tuple(output.shape[1:])})

        blocks = list(list_blocks(shape))
        modules = dict(network.named_modules())
        for block in blocks:
            modules[block.name].register_forward_hook(note(block.name))
        image = torch.zeros(1, shape.in_channels, shape.image_size_px, shape.image_size_px)
        network(image, torch.zeros(1, dtype=torch.long), **inputs)
    for block in blocks:
        size = () if block.size_px is None else (block.size_px, block.size_px)
        assert found[block.name] == (block.channels, *size), block
        heads = [
            one.num_heads
            for name, one in modules.items()
            if name.startswith(f"{block.name}.") and type(one).__name__ == "AttentionBlock"
        ]
        assert heads == ([block.heads] if block.heads else []), block
        assert ("attention" in block.layers and block.name != "out") == bool(heads)
    names = {block.name for block in blocks}
    own = {
        ".".join(name.split(".")[: 2 if "put_blocks" in name else 1])
        for name, _ in network.named_parameters()
    }
    assert own <= names


def test_parameters_are_counted_in_the_header_of_weights(tmp_path):
    from safetensors.torch import save_file

    shape = SHAPES[0]
    network = make_network(shape)
    path = str(tmp_path / "ema.safetensors")
    save_file(network.state_dict(), path, metadata={"digest": "d" * 64})
    counted = count_parameters(WantedFile(path=path, digest="d" * 64))
    modules = dict(network.named_modules())
    for block in make_blocks(shape, counted):
        assert block["parameters"] == sum(p.numel() for p in modules[block["name"]].parameters())
    assert counted.total() == sum(p.numel() for p in network.parameters())
    with pytest.raises(UserError, match="with other settings"):
        count_parameters(WantedFile(path=path, digest="e" * 64))
    (tmp_path / "cut.safetensors").write_bytes(b"x" * 20)
    with pytest.raises(UserError, match=r"cut\.safetensors: no header can be read"):
        count_parameters(WantedFile(path=str(tmp_path / "cut.safetensors"), digest="d" * 64))


def test_without_weights_parameters_are_not_known():
    assert count_parameters(WantedFile(path="none.safetensors", digest="d" * 64)) == Counter()
    blocks = make_blocks(SHAPES[0], Counter())
    assert {block["parameters"] for block in blocks} == {None}
    assert (
        Block(**{key: blocks[2][key] for key in Block._fields}) == list(list_blocks(SHAPES[0]))[2]
    )
