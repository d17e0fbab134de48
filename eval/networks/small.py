"""The small-scale feature network: a convolutional classifier in the place of Inception.

For images that are too small for Inception. Inputs are brought to its size first: smaller ones
enlarged bilinearly (half-pixel centres), larger ones area-averaged down. Three outputs: pool (mean
over positions of the last, rectified map), spatial (the first 7 channels of the second last
convolution before its rectifier, flattened in height-width-channel order, as sFID does with
Inception's mixed_6) and softmax. Grey images are repeated to three channels; the first layer sees
each channel with weights of its own, so colour casts move features.

Its weights are named tensors in a safetensors file whose metadata holds the spec that made them.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.networks.feature_network import FeatureNetwork
from records.errors import UserError
from records.files import atomic_write, canonical_json, sha256_file
from records.limits import parse_json

if TYPE_CHECKING:
    import torch

RECIPE = 1
CHECKSUM = "tensors_sha256"  # in the description
SPATIAL_CHANNELS = 7
CONVOLUTIONS = ("conv_1", "conv_2", "conv_3", "conv_4")
SPEC_TYPES = {
    "recipe": int,
    "seed": int,
    "image_size_px": int,
    "channels": int,
    "iterations": int,
    "batch_size": int,
    "learning_rate": float,
}


def check_spec(spec: Any, where: str) -> None:
    """Demand a spec that this code can train.

    Raises:
        UserError: unknown or missing keys, wrong types, values out of range, or another recipe.
    """
    if not isinstance(spec, dict) or set(spec) != set(SPEC_TYPES):
        got = sorted(spec) if isinstance(spec, dict) else type(spec).__name__
        raise UserError(f"{where}: has {got}; exactly {sorted(SPEC_TYPES)} are needed")
    for key, kind in SPEC_TYPES.items():
        value = spec[key]
        right_type = isinstance(value, (int, float) if kind is float else int)
        if isinstance(value, bool) or not right_type or value < 0 or (key != "seed" and not value):
            raise UserError(f"{where}: {key} is {value!r}; a positive {kind.__name__} is needed")
    if spec["recipe"] != RECIPE:
        raise UserError(f"{where}: recipe {spec['recipe']} is asked for; this code trains {RECIPE}")
    if spec["image_size_px"] % 2:
        raise UserError(f"{where}: image_size_px is {spec['image_size_px']}; it is halved, so even")


def make_parameters(
    *, channels: int, num_classes: int, generator: "torch.Generator"
) -> dict[str, "torch.Tensor"]:
    """Draw initial weights: He-normal before rectifiers, 1 / fan-in at the end, biases zero.

    Args:
        channels: width of the two convolutions at full resolution; the next two are twice as wide.
        num_classes: outputs.
        generator: source of all random numbers.

    Returns:
        float32 tensors by name.
    """
    import torch

    widths = (3, channels, channels, 2 * channels, 2 * channels)
    parameters = {}
    for name, width_in, width_out in zip(CONVOLUTIONS, widths[:-1], widths[1:], strict=True):
        weight = torch.randn(width_out, width_in, 3, 3, generator=generator)
        parameters[f"{name}.weight"] = weight * (2 / (9 * width_in)) ** 0.5
        parameters[f"{name}.bias"] = torch.zeros(width_out)
    weight = torch.randn(num_classes, widths[-1], generator=generator)
    parameters["output.weight"] = weight / widths[-1] ** 0.5
    parameters["output.bias"] = torch.zeros(num_classes)
    return parameters


def prepare_images(images: np.ndarray, image_size_px: int) -> "torch.Tensor":
    """Bring 8-bit images to the network's size and range.

    Args:
        images: uint8 [n, h, w, 1 or 3]; grey is repeated to three channels.
        image_size_px: side of the network's input.

    Returns:
        float32 [n, 3, image_size_px, image_size_px] in [-1, 1].
    """
    import torch

    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float()
    x = (x / 127.5 - 1).expand(-1, 3, -1, -1)
    return resize(x, image_size_px)


def resize(x: "torch.Tensor", image_size_px: int) -> "torch.Tensor":
    """Resize to a square: bilinearly when that enlarges, else by area averages."""
    import torch.nn.functional as F

    if x.shape[-2:] == (image_size_px, image_size_px):
        return x
    size = (image_size_px, image_size_px)
    if max(x.shape[-2:]) > image_size_px:
        return F.interpolate(x, size=size, mode="area")
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def compute_outputs(
    parameters: dict[str, "torch.Tensor"], x: "torch.Tensor"
) -> tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]:
    """Run the network.

    Args:
        parameters: from make_parameters or load_parameters.
        x: float32 [n, 3, size, size] in [-1, 1], of the network's own size.

    Returns:
        pool [n, dims], spatial [n, 7 * (size / 2)^2] and logits [n, classes].
    """
    import torch.nn.functional as F

    def convolve(name: str, h: "torch.Tensor") -> "torch.Tensor":
        return F.conv2d(h, parameters[f"{name}.weight"], parameters[f"{name}.bias"], padding=1)

    h = F.relu(convolve("conv_1", x))  # [n, c, size, size]
    h = F.avg_pool2d(F.relu(convolve("conv_2", h)), 2)  # [n, c, size/2, size/2]
    h = convolve("conv_3", h)  # [n, 2c, size/2, size/2]
    spatial = h[:, :SPATIAL_CHANNELS].permute(0, 2, 3, 1).flatten(1)
    pool = F.relu(convolve("conv_4", F.relu(h))).mean(dim=(2, 3))  # [n, 2c]
    logits = F.linear(pool, parameters["output.weight"], parameters["output.bias"])
    return pool, spatial, logits


def save_small_network(
    path: str | Path, parameters: dict[str, "torch.Tensor"], description: dict[str, Any]
) -> None:
    """Write weights and their description (name, spec, data, accuracy) as one safetensors file.

    A checksum of the weights is added to the description.
    """
    from safetensors.torch import save

    description = {**description, CHECKSUM: _hash_tensors(parameters)}

    # One metadata entry: the library writes several in no fixed order.
    tensors = {name: tensor.detach().contiguous() for name, tensor in parameters.items()}
    with atomic_write(path) as file:
        file.write(save(tensors, metadata={"network": canonical_json(description)}))


def _hash_tensors(parameters: dict[str, "torch.Tensor"]) -> str:
    checksum = hashlib.sha256()
    for name in sorted(parameters):
        checksum.update(parameters[name].detach().cpu().contiguous().numpy().data)
    return checksum.hexdigest()


def load_small_network(path: str | Path, *, device: str = "cpu") -> FeatureNetwork:
    """Load a trained network to run in float32.

    Args:
        path: a file of save_small_network.
        device: such as cpu or cuda:0.

    Raises:
        UserError: no such file, cut short, not safetensors, or not such a network.
    """
    parameters, description = load_parameters(path)
    parameters = {name: tensor.to(device) for name, tensor in parameters.items()}
    spec, sha256 = description["spec"], sha256_file(path)

    def run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        import torch

        with torch.inference_mode():
            x = prepare_images(images, spec["image_size_px"]).to(device)
            pool, spatial, logits = compute_outputs(parameters, x)
            softmax = logits.softmax(dim=1)
            return pool.cpu().numpy(), spatial.cpu().numpy(), softmax.cpu().numpy()

    return FeatureNetwork(
        name=description["name"],
        sha256=sha256,
        pool_dims=parameters["conv_4.weight"].shape[0],
        spatial_dims=SPATIAL_CHANNELS * (spec["image_size_px"] // 2) ** 2,
        num_classes=parameters["output.weight"].shape[0],
        description={
            "name": description["name"],
            "sha256": sha256,
            "recipe": spec["recipe"],
            "backend": "torch",
            "device": device,
            "precision": "float32",
        },
        run=run,
    )


def load_parameters(path: str | Path) -> tuple[dict[str, "torch.Tensor"], dict[str, Any]]:
    """Load the tensors of a network and its description.

    Raises:
        UserError: no such file, cut short, not safetensors, or not such a network.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            parameters = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; weights of a feature network are needed") from None
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not readable safetensors ({error}); make it again") from None
    expected = {
        f"{layer}.{part}" for layer in (*CONVOLUTIONS, "output") for part in ("weight", "bias")
    }
    if "network" not in metadata or set(parameters) != expected:
        raise UserError(
            f"{path}: not a feature network (holds {len(parameters)} tensors, metadata "
            f"{sorted(metadata)}); make one with `python -m eval network`"
        )
    try:
        description = parse_json(metadata["network"])
        check_spec(description["spec"], f"{path}: spec in its header")
        name = description["name"]
        written = description.get(CHECKSUM)  # earlier versions wrote none
    except (KeyError, TypeError, ValueError):
        name = written = None
    if not isinstance(name, str):
        raise UserError(
            f"{path}: its header does not describe a feature network by `name` and `spec`; make "
            "one with `python -m eval network`"
        )
    if written is not None and written != (found := _hash_tensors(parameters)):
        raise UserError(
            f"{path}: damaged: its tensors have the SHA-256 {found[:12]}, {str(written)[:12]} was "
            "written; delete it and make it again with `python -m eval network`"
        )
    return parameters, description
