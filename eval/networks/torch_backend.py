"""Inception in torch: the frozen graph's arithmetic with batch normalisation folded away."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from eval.networks.inception_layers import (
    BATCH_NORM_EPSILON,
    BLOCKS,
    IMAGE_SIZE_PX,
    SPATIAL_CHANNELS,
    SPATIAL_SCOPE,
    STATISTICS,
    STEM,
    Convolution,
    Pool,
    iterate_layers,
)
from eval.networks.tf_resize import resize_bilinear

Layers = dict[str, Callable[[Tensor], Tensor]]
Outputs = tuple[np.ndarray, np.ndarray, np.ndarray]
# Images that one thread of a CPU takes at once: their largest activations still fit its caches.
CPU_BATCH_SIZE = 8


def make_torch_network(
    weights: dict[str, np.ndarray], *, device: str
) -> Callable[[np.ndarray], Outputs]:
    """Convert the graph's weights and return what runs the network.

    On a CPU each of torch's threads runs the whole network on some of the images: threads that
    share every layer would wait for each other some hundred times a batch.

    Args:
        weights: float32 by name in the graph, as make_tensor_shapes lists them.
        device: cpu, cuda, cuda:1, ...

    Returns:
        A function of uint8 images [n, h, w, 1 or 3] that returns float32 pool [n, 2048], spatial
        [n, 2023] and softmax [n, 1008]. Convolutions are full float32, never TF32.
    """
    layers = make_layers(weights, device=device)
    matrix = torch.tensor(weights["softmax/weights"], dtype=torch.float64, device=device)

    def run_part(images: np.ndarray) -> Outputs:
        # Arrays that a reader shares may be read-only, which torch does not take.
        batch = torch.from_numpy(np.require(images, requirements=("C", "W")))
        if device != "cpu":
            batch = batch.pin_memory().to(device, non_blocking=True)
        with torch.inference_mode():
            pool, spatial = compute_features(layers, prepare_images(batch))
            outputs = pool, spatial, compute_softmax(pool, matrix)
            pool, spatial, softmax = (output.cpu().numpy() for output in outputs)
        return pool, spatial, softmax

    def run(images: np.ndarray) -> Outputs:
        num_threads = torch.get_num_threads() if device == "cpu" else 1
        step = len(images)
        if device == "cpu":
            step = min(CPU_BATCH_SIZE, -(-len(images) // num_threads))
        parts = [images[start : start + step] for start in range(0, len(images), step)]
        apply = _make_workers(num_threads).map if num_threads > 1 < len(parts) else map
        with _full_precision():
            outputs = list(apply(run_part, parts))
        pool, spatial, softmax = (np.concatenate(rows) for rows in zip(*outputs, strict=True))
        return pool, spatial, softmax

    return run


@cache
def _make_workers(num_threads: int) -> ThreadPoolExecutor:
    """Start threads in each of which torch uses one thread; elsewhere it keeps its number."""
    everyone = threading.Barrier(num_threads)

    def start_worker(_: int) -> None:
        torch.get_num_threads()  # else torch sets the process's number at the first operation
        torch.set_num_threads(1)
        everyone.wait()

    workers = ThreadPoolExecutor(num_threads, thread_name_prefix="inception")
    list(workers.map(start_worker, range(num_threads)))
    torch.set_num_threads(num_threads)  # of new threads and of this one, as before
    return workers


def make_layers(weights: dict[str, np.ndarray], *, device: str) -> Layers:
    """Return what applies each convolution with its batch normalisation and ReLU, by scope."""
    layers: Layers = {}
    for layer in iterate_layers():
        if isinstance(layer, Convolution):
            weight, bias = fold_batch_norm(weights, layer.scope, BATCH_NORM_EPSILON)
            layers[layer.scope] = _make_convolution(layer, weight.to(device), bias.to(device))
    return layers


def fold_batch_norm(
    weights: dict[str, np.ndarray], scope: str, epsilon: float
) -> tuple[Tensor, Tensor]:
    """Merge a convolution and its batch normalisation into one convolution, in float64.

    gamma (W x - mean) / sqrt(variance + epsilon) + beta = (s W) x + (beta - s mean), where
    s = gamma / sqrt(variance + epsilon) (Ioffe & Szegedy 2015, section 3.1).

    Returns:
        float32 weight [out, in, height, width] with channels last in memory, and bias [out].
    """
    kernel, beta, gamma, mean, variance = (
        torch.from_numpy(weights[f"{scope}/{name}"].astype(np.float64))
        for name in ("conv2d_params", *(f"batchnorm/{name}" for name in STATISTICS))
    )
    scale = gamma / (variance + epsilon).sqrt()
    weight = (kernel * scale).permute(3, 2, 0, 1).float()
    return weight.contiguous(memory_format=torch.channels_last), (beta - scale * mean).float()


def _make_convolution(
    layer: Convolution, weight: Tensor, bias: Tensor
) -> Callable[[Tensor], Tensor]:
    """Return what applies a convolution and its ReLU."""
    stride = [layer.stride] * 2
    padding = [size // 2 if layer.padding == "SAME" else 0 for size in layer.kernel]
    if weight.device.type == "cpu" and _has_fused_convolution():
        return _make_fused_convolution(weight, bias, stride, padding)
    return lambda x: F.conv2d(x, weight, bias, stride, padding).relu_()


def _has_fused_convolution() -> bool:
    """Tell whether oneDNN is there, with the two operations that torch.compile uses of it."""
    names = ("_convolution_pointwise", "_reorder_convolution_weight")
    return torch.backends.mkldnn.is_available() and all(
        hasattr(torch.ops.mkldnn, name) for name in names
    )


def _make_fused_convolution(
    weight: Tensor, bias: Tensor, stride: list[int], padding: list[int]
) -> Callable[[Tensor], Tensor]:
    """Apply convolution and ReLU in one pass over memory, with weights laid out once for all.

    The best layout depends on the input's size, so it is chosen when the first input comes.
    """
    dilation, groups = [1, 1], 1
    kept, is_laid_out = weight, False
    first = threading.Lock()

    def convolve(x: Tensor) -> Tensor:
        nonlocal kept, is_laid_out
        with first:
            if not is_laid_out:
                kept = torch.ops.mkldnn._reorder_convolution_weight(
                    kept, padding, stride, dilation, groups, list(x.shape)
                )
                is_laid_out = True
        return torch.ops.mkldnn._convolution_pointwise(
            x, kept, bias, padding, stride, dilation, groups, "relu", [], ""
        )

    return convolve


@contextmanager
def _full_precision() -> Iterator[None]:
    """Forbid TF32 and bfloat16 in convolutions and products, whatever the process allows."""
    backends = (
        torch.backends.cudnn.conv,  # pyright: ignore[reportAttributeAccessIssue]  # made at run time
        torch.backends.cuda.matmul,
        torch.backends.mkldnn.conv,  # pyright: ignore[reportAttributeAccessIssue]  # made at run time
        torch.backends.mkldnn.matmul,  # pyright: ignore[reportAttributeAccessIssue]  # made at run time
    )
    allowed = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        yield
    finally:
        for backend, precision in zip(backends, allowed, strict=True):
            backend.fp32_precision = precision


def prepare_images(images: Tensor) -> Tensor:
    """Bring 8-bit images to the network's size and range, (x - 128) / 128.

    Args:
        images: uint8 [n, h, w, 1 or 3]; grey is repeated to three channels.

    Returns:
        float32 [n, 3, 299, 299] in [-1, 1), channels last in memory.
    """
    x = resize_bilinear(images.float(), (IMAGE_SIZE_PX, IMAGE_SIZE_PX))
    x = ((x - 128) / 128).expand(-1, -1, -1, 3)
    return x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def compute_features(layers: Layers, x: Tensor) -> tuple[Tensor, Tensor]:
    """Run all layers.

    Args:
        layers: what applies each convolution, by scope.
        x: float32 [n, 3, 299, 299] in [-1, 1).

    Returns:
        pool [n, 2048] and spatial [n, 2023].
    """
    for layer in STEM:
        x = _apply_layer(layers, layer, x)
    for block in BLOCKS:
        ends = []
        for branch in block.branches:
            y = x
            for layer in branch.layers:
                y = _apply_layer(layers, layer, y)
                if layer.scope == SPATIAL_SCOPE:
                    spatial = flatten_spatial(y)
            ends += [_apply_layer(layers, layer, y) for layer in branch.fork] or [y]
        x = torch.cat(ends, dim=1)
    return x.mean((2, 3)), spatial


def _apply_layer(layers: Layers, layer: Convolution | Pool, x: Tensor) -> Tensor:
    """Apply one row of the table."""
    if isinstance(layer, Convolution):
        return layers[layer.scope](x)
    padding = 1 if layer.padding == "SAME" else 0
    if layer.kind == "max":
        return F.max_pool2d(x, 3, layer.stride, padding)
    return F.avg_pool2d(x, 3, layer.stride, padding, count_include_pad=False)


def flatten_spatial(x: Tensor) -> Tensor:
    """Flatten the first 7 channels of [n, c, h, w] in height-width-channel order: [n, 7 h w]."""
    return x[:, :SPATIAL_CHANNELS].permute(0, 2, 3, 1).flatten(1)


def compute_softmax(pool: Tensor, matrix: Tensor) -> Tensor:
    """Compute softmax(pool W): the graph's matrix without its biases.

    In float64, which costs nothing here: sums over 2048 terms in another order for each batch size
    would show in the fifth digit of a probability.

    Args:
        pool: float32 [n, 2048].
        matrix: float64 [2048, 1008].

    Returns:
        float32 [n, 1008].
    """
    return (pool.double() @ matrix).softmax(dim=1).float()
