"""Small networks with random weights, and sample specs that name them."""

import torch

from adm.networks.model import make_network
from adm.weights.files import save_weights
from specs.architecture import ClassifierArchitecture, UNetArchitecture, make_architecture
from specs.load import parse_header, parse_spec
from specs.sampling import WeightsAt

SHAPE = dict(
    channels=16,
    depth=1,
    channel_mult=[1, 2],
    heads=None,
    head_channels=16,
    attention_resolutions=[4],
    biggan_updown=True,
    embedding="adagn",
    qkv_order="legacy",
    num_groups=8,
)


def randomise(network, seed):
    """Move every parameter off its start, where last layers are zero and hide the rest."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


def unet_architecture(**changes):
    own = dict(image_size_px=8, in_channels=1, out_channels=2, num_classes=10)
    return make_architecture(UNetArchitecture, "test", **{**own, **SHAPE, **changes})


def classifier_architecture(**changes):
    own = dict(image_size_px=8, in_channels=1, num_classes=10)
    return make_architecture(ClassifierArchitecture, "test", **{**own, **SHAPE, **changes})


def make_random(architecture, seed):
    """Make a network with random weights, in eval mode."""
    return randomise(make_network(architecture), seed)


def make_networks():
    """Return a conditional model and a classifier of 8x8 images."""
    return make_random(unet_architecture(), 1), make_random(classifier_architecture(), 2)


def model_spec(kind, architecture, name=None):
    """Make the spec of a model, as much of it as drawing needs."""
    content = {
        "kind": kind,
        "recipe": 1,
        "name": name or kind,
        "task": "digits",
        "architecture": architecture.content(),
        "training": {"schedule": "linear", "num_timesteps": 1000, "objective": "hybrid"},
    }
    return parse_header(content, "test")


def weights(path, spec, network):
    """Write a network's weights and return how a sample spec names them."""
    tensors = [parameter.detach() for parameter in network.parameters()]
    save_weights(path, network, tensors, spec=spec, mark="final", iteration=1)
    return WeightsAt(name=spec.name, digest=spec.digest, mark="final", iteration=1)


def sample_spec(**changes):
    """Make a sample spec of typed values or plain data; `sampler` changes single settings."""
    sampler = {
        "method": "ancestral",
        "respacing": "2",
        "eta": 0.0,
        "guidance_scale": None,
        "schedule": "linear",
        "num_timesteps": 1000,
    }
    content = {
        "recipe": 1,
        "name": "drawn",
        "task": "digits",
        "num_images": 4,
        "seed": 0,
        "label_policy": "random",
        "num_classes": 10,
        "classifier": None,
        "low_res": None,
        **changes,
        "sampler": {**sampler, **changes.get("sampler", {})},
    }
    return parse_spec(content, "sample", "test")


def make_sample(folder, num_samples, **changes):
    """Write a model's weights to `folder`/m and return a sample spec that names them."""
    model, _ = make_networks()
    named = weights(folder / "m", model_spec("diffusion", unet_architecture()), model)
    return sample_spec(**{"num_images": num_samples, "model": named, **changes})
