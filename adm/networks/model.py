"""From the spec of a model to its network."""

from torch import nn

from adm.networks.classifier import Classifier
from adm.networks.unet import UNet
from specs.architecture import Architecture, ClassifierArchitecture


def make_network(architecture: Architecture) -> nn.Module:
    """Make a network with fresh weights, in training mode, on the default device.

    Args:
        architecture: of a diffusion model, an upsampler or a classifier.
    """
    if isinstance(architecture, ClassifierArchitecture):
        return Classifier(architecture)
    return UNet(architecture)
