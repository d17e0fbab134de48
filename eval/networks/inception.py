"""Inception, the paper's feature network: one file of weights, run by torch or by TensorFlow.

The file is the authors' frozen graph classify_image_graph_def.pb of 2015-12-05. Three outputs: pool
(pool_3, 2048 numbers: FID, precision, recall), spatial (the first 7 channels of mixed_6/conv, 2023
numbers: sFID) and softmax (1008 classes, without the graph's biases: Inception Score).
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from eval.images.checks import check_images
from eval.networks.device import check_device
from eval.networks.feature_network import BACKENDS, INCEPTION_NAME, FeatureNetwork
from eval.networks.frozen_graph import FrozenGraph, Node, load_frozen_graph
from eval.networks.inception_layers import (
    BATCH_NORM_EPSILON,
    IMAGE_SIZE_PX,
    NUM_CLASSES,
    POOL_DIMS,
    SPATIAL_DIMS,
    Convolution,
    iterate_layers,
    make_tensor_shapes,
)
from eval.networks.weights import INCEPTION_BYTES, INCEPTION_SHA256
from records.errors import UserError

RECIPE = 1
# As many as torch takes: larger batches are slower, and need 10 MB an image.
TENSORFLOW_BATCH_SIZE = 8
NUM_SHOWN = 3


def load_inception(
    path: str | Path, *, backend: str = "torch", device: str = "cpu"
) -> FeatureNetwork:
    """Load Inception from its frozen graph.

    Args:
        path: classify_image_graph_def.pb, or other weights of the same topology
            (eval.networks.weights.find_inception demands the published hash).
        backend: torch repeats the graph, tensorflow runs it.
        device: where torch runs it; tensorflow has the CPU.

    Returns:
        The network; images of any size are resized inside it, grey ones repeated to 3 channels.
        Other weights than the published ones are named after their hash.

    Raises:
        UserError: no such file, cut short, not this network, no such backend or device, or
            TensorFlow is not installed.
    """
    if backend not in BACKENDS:
        raise UserError(f"backend {backend}: is unknown; needed is one of {', '.join(BACKENDS)}")
    if device.partition(":")[0] == "cpu":
        device = "cpu"
    elif backend == "tensorflow":
        raise UserError(
            f"backend tensorflow: runs on the CPU alone, got device {device}; "
            "leave the device out, or use --backend torch"
        )
    check_device(device)
    graph = load_frozen_graph(path)
    check_inception(graph)
    make = _make_torch if backend == "torch" else _make_tensorflow
    run, version = make(graph, device)
    published = graph.sha256 == INCEPTION_SHA256
    name = INCEPTION_NAME if published else f"inception-{graph.sha256[:12]}"
    return FeatureNetwork(
        name=name,
        sha256=graph.sha256,
        pool_dims=POOL_DIMS,
        spatial_dims=SPATIAL_DIMS,
        num_classes=NUM_CLASSES,
        description={
            "name": name,
            "sha256": graph.sha256,
            "recipe": RECIPE,
            "backend": backend,
            "backend_version": version,
            "device": device,
            "precision": "float32",
        },
        run=_check_input(run),
    )


def _make_torch(graph: FrozenGraph, device: str) -> tuple[Callable, str]:
    """Convert the weights; return what runs the network, and torch's version."""
    import torch

    from eval.networks.torch_backend import make_torch_network

    return make_torch_network(get_weights(graph), device=device), torch.__version__


def _make_tensorflow(graph: FrozenGraph, device: str) -> tuple[Callable, str]:
    """Import the graph; return what runs it with as many threads as torch has, and a version."""
    import torch

    from eval.networks.tensorflow_backend import make_tensorflow_network

    run, version = make_tensorflow_network(graph.path, num_threads=torch.get_num_threads())
    step = TENSORFLOW_BATCH_SIZE

    def run_in_parts(images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        parts = [run(images[start : start + step]) for start in range(0, len(images), step)]
        pool, spatial, softmax = (np.concatenate(rows) for rows in zip(*parts, strict=True))
        return pool, spatial, softmax

    return run_in_parts, version


def _check_input(run: Callable) -> Callable:
    """Demand images of the type and shape that were announced before they are run."""

    def run_checked(images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        check_images(images, "Inception's input")
        return run(images)

    return run_checked


def get_weights(graph: FrozenGraph) -> dict[str, np.ndarray]:
    """Return the weights by name; gamma is 1 where the graph does not multiply by it."""
    weights = {name: graph.constants[name] for name in make_tensor_shapes()}
    for node in graph.nodes.values():
        if node.attributes.get("scale_after_normalization") is False:
            name = f"{node.name}/gamma"
            weights[name] = np.ones_like(weights[name])
    return weights


def check_inception(graph: FrozenGraph) -> None:
    """Demand the topology of inception_layers.

    Raises:
        UserError: tensors are missing or of other shapes, or layers work in another way; the
            message names the first few.
    """
    _check_tensors(graph)
    # Public conversions of the authors' file show that it fits the table.
    if graph.sha256 != INCEPTION_SHA256:
        _check_layers(graph)


def _check_tensors(graph: FrozenGraph) -> None:
    """Demand all weights by name and shape; a good beginning without its end was cut."""
    shapes = make_tensor_shapes()
    missing = [name for name in shapes if name not in graph.constants]
    wrong = [
        f"{name} is {list(graph.constants[name].shape)}, not {list(shape)}"
        for name, shape in shapes.items()
        if name in graph.constants and graph.constants[name].shape != shape
    ]
    if missing and not wrong and len(missing) < len(shapes):
        raise UserError(
            f"{graph.path}: {len(missing)} of Inception's {len(shapes)} tensors are missing "
            f"({_show(missing)}), so it is cut short ({graph.num_bytes} bytes; the authors' file "
            f"has {INCEPTION_BYTES}) or another network; fetch classify_image_graph_def.pb "
            "again"
        )
    if missing or wrong:
        faults = [*wrong, *(f"no {name}" for name in missing)]
        raise UserError(
            f"{graph.path}: is a TensorFlow graph, but not Inception of 2015-12-05: "
            f"{_show(faults)}; give classify_image_graph_def.pb"
        )


def _check_layers(graph: FrozenGraph) -> None:
    """Demand that layers do what the table says: strides, paddings, kinds of pools, constants."""
    faults = []
    for layer in iterate_layers():
        expected: dict[str, object] = {"strides": (1, layer.stride, layer.stride, 1)}
        if isinstance(layer, Convolution):
            if layer.kernel != (1, 1):
                expected["padding"] = layer.padding
            faults += _compare(graph, f"{layer.scope}/Conv2D", "Conv2D", expected)
            expected = {"variance_epsilon": float(np.float32(BATCH_NORM_EPSILON))}
            name = f"{layer.scope}/batchnorm"
            faults += _compare(graph, name, "BatchNormWithGlobalNormalization", expected)
        else:
            expected |= {"ksize": (1, 3, 3, 1), "padding": layer.padding}
            op = {"max": "MaxPool", "average": "AvgPool"}[layer.kind]
            faults += _compare(graph, layer.scope, op, expected)
    faults += _compare(graph, "ResizeBilinear", "ResizeBilinear", {})
    resize = graph.nodes.get("ResizeBilinear", Node("", "", (), {})).attributes
    faults += [
        f"ResizeBilinear: {key} is set"
        for key in ("align_corners", "half_pixel_centers")
        if resize.get(key)
    ]
    constants = {"ResizeBilinear/size": IMAGE_SIZE_PX, "Sub/y": 128, "Mul/y": 1 / 128}
    faults += [
        f"{name} is {np.asarray(graph.constants.get(name)).tolist()}, not {value}"
        for name, value in constants.items()
        if name not in graph.constants or (graph.constants[name] != value).any()
    ]
    if faults:
        raise UserError(
            f"{graph.path}: has Inception's tensors but works differently: {_show(faults)}; "
            "give classify_image_graph_def.pb"
        )


def _compare(graph: FrozenGraph, name: str, op: str, expected: dict[str, object]) -> list[str]:
    """List what a node is that it should not be."""
    node = graph.nodes.get(name)
    if node is None or node.op != op:
        return [f"{name} is {node.op if node else 'missing'}, not {op}"]
    return [
        f"{name}: {key} is {node.attributes.get(key)}, not {value}"
        for key, value in expected.items()
        if node.attributes.get(key) != value
    ]


def _show(faults: list[str]) -> str:
    """Join the first few."""
    more = f" and {len(faults) - NUM_SHOWN} more" if len(faults) > NUM_SHOWN else ""
    return ", ".join(faults[:NUM_SHOWN]) + more
