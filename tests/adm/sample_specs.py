"""Small networks with random weights, and sample specs that name them."""

import torch

from adm.networks.classifier import make_classifier
from adm.networks.unet import make_unet
from adm.weights.files import save_weights
from records.files import spec_digest

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
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


def unet_architecture(**changes):
    return dict(
        image_size_px=8, in_channels=1, out_channels=2, num_classes=10, dropout=0.0,
        rescale_residual=False, **SHAPE, **changes,
    )  # fmt: skip


def make_networks():
    """Return a conditional model and a classifier of 8x8 images."""
    model = randomise(make_unet(**unet_architecture()), 1)
    classifier = randomise(make_classifier(**classifier_architecture()), 2)
    return model, classifier


def classifier_architecture(**changes):
    return dict(image_size_px=8, in_channels=1, num_classes=10, pool="attention", **SHAPE) | changes


def model_spec(kind, architecture):
    return {
        "kind": kind,
        "recipe": 1,
        "name": kind,
        "task": "digits",
        "architecture": architecture,
        "training": {"schedule": "linear", "num_timesteps": 1000, "objective": "hybrid"},
    }


def weights(path, spec, network):
    tensors = [parameter.detach() for parameter in network.parameters()]
    save_weights(path, network, tensors, spec=spec, mark="final", iteration=1)
    return {"name": spec["name"], "digest": spec_digest(spec), "mark": "final", "iteration": 1}


def make_sample(folder, num_images, **changes):
    """Write a model's weights to `folder`/m and return a sample spec that names them."""
    model, _ = make_networks()
    return {
        "recipe": 1,
        "name": "drawn",
        "task": "digits",
        "num_images": num_images,
        "seed": 0,
        "label_policy": "random",
        "num_classes": 10,
        "model": weights(folder / "m", model_spec("diffusion", unet_architecture()), model),
        "classifier": None,
        "sampler": {
            "method": "ancestral",
            "respacing": "2",
            "eta": 0.0,
            "guidance_scale": None,
            "schedule": "linear",
            "num_timesteps": 1000,
        },
        "low_res": None,
        **changes,
    }
