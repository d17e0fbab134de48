"""Operations of networks, counted without computing anything."""

import json
import subprocess
import sys

import torch

from adm.networks.flops import count_flops
from adm.networks.model import make_network
from specs.architecture import ClassifierArchitecture, UNetArchitecture, make_architecture
from tests.specs import small_architectures

SMALL = {"channels": 8, "channel_mult": [1, 2], "num_groups": 4}
UNET = make_architecture(
    UNetArchitecture,
    "test",
    **{**small_architectures.UNET, **SMALL, "heads": 1, "biggan_updown": False, "num_classes": 10},
)
CLASSIFIER = make_architecture(
    ClassifierArchitecture, "test", **{**small_architectures.CLASSIFIER, **SMALL}
)


def count_by_hand(model, *inputs):
    """Two operations for each multiplication of every convolution and linear layer that runs."""
    counted = []

    def note(module, arguments, output):
        outputs = output.numel() // output.shape[1 if output.ndim > 2 else -1]
        counted.append(2 * module.weight.numel() * outputs)

    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.register_forward_hook(note)
    model(*inputs)
    return sum(counted)


def count_attention(tokens, width, queries=None):
    """Projections to q, k, v and back, and the two products of attention over all heads."""
    queries = queries or tokens
    return 2 * tokens * width * 3 * width + 2 * 2 * queries * tokens * width


def test_a_unet_by_hand():
    model = make_network(UNET)
    inputs = torch.zeros(1, 3, 8, 8), torch.zeros(1).long(), torch.zeros(1).long()
    layers = count_by_hand(model, *inputs)
    # Down: one block; middle; up: two. Each on 16 tokens of 16 channels, with its projection back.
    attention = 4 * (count_attention(16, 16) + 2 * 16 * 16 * 16)
    counts = count_flops(UNET)
    assert counts["forward_flops"] == layers + attention
    assert counts["num_parameters"] == sum(one.numel() for one in model.parameters())
    # Each product has two gradients; that to the image itself is not needed.
    first = 2 * 64 * 8 * 3 * 9
    assert 2.9 * layers < counts["training_flops"] < 3 * (layers + attention)
    assert counts["training_flops"] <= 3 * counts["forward_flops"] - first
    assert counts["guidance_flops"] is None


def test_guidance_goes_through_the_classifier_to_its_input():
    counts = count_flops(CLASSIFIER)
    # Forward and one gradient of each product; those to the weights are left out.
    assert 1.9 < counts["guidance_flops"] / counts["forward_flops"] < 2.05
    assert counts["guidance_flops"] < counts["training_flops"]


def test_an_upsampler_reads_twice_the_channels():
    upsampler = count_flops(UNET.model_copy(update={"low_res_px": 4}))
    plain = count_flops(UNET)
    assert upsampler["forward_flops"] - plain["forward_flops"] == 2 * 64 * 8 * 3 * 9


def test_labels_and_dropout_cost_nothing_but_more_channels_do():
    plain = count_flops(UNET)["forward_flops"]
    unlabelled = UNET.model_copy(update={"num_classes": None, "dropout": 0.3})
    assert count_flops(unlabelled)["forward_flops"] == plain
    wide = UNET.model_copy(update={"channels": 16})
    assert count_flops(wide)["forward_flops"] > 3 * plain


def answer(**networks):
    return subprocess.run(
        [sys.executable, "-m", "adm.networks.flops"],
        input=json.dumps(networks),
        capture_output=True,
        text=True,
    )


def test_the_command_answers_by_key():
    process = answer(
        a={"kind": "classifier", "architecture": CLASSIFIER.content()},
        b={"kind": "diffusion", "architecture": UNET.content()},
    )
    assert json.loads(process.stdout) == {"a": count_flops(CLASSIFIER), "b": count_flops(UNET)}


def test_a_network_that_cannot_be_built():
    wrong = {**CLASSIFIER.content(), "chanels": 8}
    process = answer(a={"kind": "classifier", "architecture": wrong})
    assert process.returncode == 2 and process.stdout == ""
    assert process.stderr == "error: network a: chanels: unknown key; did you mean 'channels'?\n"
