"""Write a frozen graph like the released one: its nodes, names, shapes and order, random weights.

The topology is spelled out here once more, apart from `eval.networks.inception_layers`, as nodes of
TensorFlow's; a test compares both with the public list of tensors. While nodes are added, their
activations for a few images are computed with plain torch operations, and each batch normalisation
gets moving statistics near those of its own input. So activations stay alive through all 94
convolutions and differ between images and positions.
"""

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from eval.networks.frozen_graph import make_messages

PRODUCER = 8  # the last version in which BatchNormWithGlobalNormalization may run
DT_FLOAT, DT_UINT8, DT_INT32, DT_STRING = 1, 4, 3, 7


class GraphWriter:
    """Nodes of a graph in the making, and the activations of each for the calibration images."""

    def __init__(self, seed, scale_after_normalization):
        self.random = np.random.default_rng(seed)
        self.scale_after_normalization = scale_after_normalization
        self.graph = make_messages().GraphDef()
        self.graph.versions.producer = PRODUCER
        self.activations = {}

    def add_node(self, name, op, inputs=(), **attributes):
        node = self.graph.node.add(name=name, op=op)
        node.input.extend(inputs)
        for key, value in attributes.items():
            attribute = node.attr[key]
            if isinstance(value, bool):
                attribute.b = value
            elif isinstance(value, float):
                attribute.f = value
            elif isinstance(value, str):
                attribute.s = value.encode()
            elif isinstance(value, list):
                attribute.list.i.extend(value)
            else:
                setattr(attribute, "type" if key in ("T", "dtype", "SrcT", "DstT") else "i", value)
        return node

    def add_constant(self, name, value, dtype=DT_FLOAT):
        tensor = self.add_node(name, "Const", dtype=dtype).attr["value"].tensor
        tensor.dtype = dtype
        if dtype == DT_STRING:
            tensor.tensor_shape.SetInParent()
            tensor.string_val.append(value)
            return
        array = np.asarray(value, {DT_FLOAT: np.float32, DT_INT32: np.int32}[dtype])
        tensor.tensor_shape.SetInParent()
        for size in array.shape:
            tensor.tensor_shape.dim.add(size=size)
        if array.ndim:
            tensor.tensor_content = array.tobytes()
        elif dtype == DT_FLOAT:
            tensor.float_val.append(float(array))
        else:
            tensor.int_val.append(int(array))

    def check_numerics(self, source, scope):
        message = f"{scope}: Inf or NaN"
        self.add_node(
            f"{scope}/CheckNumerics", "CheckNumerics", [source], T=DT_FLOAT, message=message
        )
        guard = f"{scope}/control_dependency"
        self.add_node(guard, "Identity", [source, f"^{scope}/CheckNumerics"], T=DT_FLOAT)
        return guard

    def conv(self, source, scope, width, kernel=(1, 1), stride=1, padding="SAME"):
        x = self.activations[source]
        shape = (*kernel, x.shape[1], width)
        fan_in = math.prod(shape[:3])
        weight = self.random.standard_normal(shape, np.float32) * np.float32(fan_in**-0.5)
        y = F.conv2d(
            x,
            torch.from_numpy(weight).permute(3, 2, 0, 1),
            stride=stride,
            padding=[size // 2 if padding == "SAME" else 0 for size in kernel],
        )
        variance, mean = torch.var_mean(y, (0, 2, 3))
        draw = self.random.uniform
        # Wholly centred, a random network of this depth would amplify the last bits a thousandfold.
        mean = (0.3 * mean + variance.sqrt() * torch.from_numpy(draw(-0.3, 0.3, width))).numpy()
        variance = variance.numpy() * draw(0.5, 1.5, width)
        beta, gamma = draw(0, 1, width), draw(0.5, 1.5, width)
        self.add_constant(f"{scope}/conv2d_params", weight)
        self.add_node(
            f"{scope}/Conv2D",
            "Conv2D",
            [source, f"{scope}/conv2d_params"],
            T=DT_FLOAT,
            strides=[1, stride, stride, 1],
            padding=padding,
            use_cudnn_on_gpu=True,
        )
        names = [
            f"{scope}/batchnorm/{n}" for n in ("beta", "gamma", "moving_mean", "moving_variance")
        ]
        for name, value in zip(names, (beta, gamma, mean, variance), strict=True):
            self.add_constant(name, value)
        self.add_node(
            f"{scope}/batchnorm",
            "BatchNormWithGlobalNormalization",
            [f"{scope}/Conv2D", names[2], names[3], names[0], names[1]],
            T=DT_FLOAT,
            variance_epsilon=0.001,
            scale_after_normalization=self.scale_after_normalization,
        )
        self.add_node(scope, "Relu", [self.check_numerics(f"{scope}/batchnorm", scope)], T=DT_FLOAT)
        scale = gamma if self.scale_after_normalization else np.ones(width)
        factor = torch.from_numpy(scale / np.sqrt(variance + 0.001)).float().view(-1, 1, 1)
        shift = torch.from_numpy(beta).float().view(-1, 1, 1)
        y = (y - torch.from_numpy(mean).float().view(-1, 1, 1)) * factor + shift
        self.activations[scope] = y.relu()
        return scope

    def pool(self, source, scope, op, size=3, stride=1, padding="SAME"):
        x = self.activations[source]
        margin = 1 if padding == "SAME" else 0
        if op == "MaxPool":
            self.activations[scope] = F.max_pool2d(x, size, stride, margin)
        else:
            self.activations[scope] = F.avg_pool2d(x, size, stride, margin, count_include_pad=False)
        # The graph is older than MaxPool's attribute T.
        kind = {} if op == "MaxPool" else {"T": DT_FLOAT}
        self.add_node(
            scope,
            op,
            [self.check_numerics(source, scope)],
            ksize=[1, size, size, 1],
            strides=[1, stride, stride, 1],
            padding=padding,
            **kind,
        )
        return scope

    def join(self, sources, scope):
        self.add_constant(f"{scope}/join/concat_dim", 3, DT_INT32)
        inputs = [f"{scope}/join/concat_dim", *sources]
        self.add_node(f"{scope}/join", "Concat", inputs, T=DT_FLOAT, N=len(sources))
        self.activations[f"{scope}/join"] = torch.cat([self.activations[s] for s in sources], 1)
        return f"{scope}/join"

    def tower(self, source, scope, *rows):
        for index, row in enumerate(rows):
            source = self.conv(source, f"{scope}/conv" + (f"_{index}" if index else ""), *row)
        return source


def add_input(writer):
    """JPEG to an image of 299x299 in [-1, 1)."""
    writer.add_constant("DecodeJpeg/contents", b"", DT_STRING)
    writer.add_node("DecodeJpeg", "DecodeJpeg", ["DecodeJpeg/contents"], channels=3)
    writer.add_node("Cast", "Cast", ["DecodeJpeg"], SrcT=DT_UINT8, DstT=DT_FLOAT)
    writer.add_constant("ExpandDims/dim", 0, DT_INT32)
    writer.add_node("ExpandDims", "ExpandDims", ["Cast", "ExpandDims/dim"], T=DT_FLOAT)
    writer.add_constant("ResizeBilinear/size", [299, 299], DT_INT32)
    writer.add_node(
        "ResizeBilinear", "ResizeBilinear", ["ExpandDims", "ResizeBilinear/size"], T=DT_FLOAT
    )
    writer.add_constant("Sub/y", 128)
    writer.add_node("Sub", "Sub", ["ResizeBilinear", "Sub/y"], T=DT_FLOAT)
    writer.add_constant("Mul/y", 1 / 128)
    writer.add_node("Mul", "Mul", ["Sub", "Mul/y"], T=DT_FLOAT)
    # One rough and one smooth image, so that the statistics fit both kinds.
    random = torch.Generator().manual_seed(0)
    sizes = (299, 32)
    images = [torch.rand(1, 3, size, size, generator=random) * 2 - 1 for size in sizes]
    writer.activations["Mul"] = torch.cat([F.interpolate(x, 299, mode="bilinear") for x in images])
    return "Mul"


def add_layers(writer, x):
    """All 94 convolutions, from the resized image to pool_3."""
    x = writer.conv(x, "conv", 32, (3, 3), 2, "VALID")
    x = writer.conv(x, "conv_1", 32, (3, 3), 1, "VALID")
    x = writer.conv(x, "conv_2", 64, (3, 3))
    x = writer.pool(x, "pool", "MaxPool", 3, 2, "VALID")
    x = writer.conv(x, "conv_3", 80)
    x = writer.conv(x, "conv_4", 192, (3, 3), 1, "VALID")
    x = writer.pool(x, "pool_1", "MaxPool", 3, 2, "VALID")
    for scope, width in (("mixed", 32), ("mixed_1", 64), ("mixed_2", 64)):
        ends = [
            writer.tower(x, scope, (64,)),
            writer.tower(x, f"{scope}/tower", (48,), (64, (5, 5))),
            writer.tower(x, f"{scope}/tower_1", (64,), (96, (3, 3)), (96, (3, 3))),
        ]
        pooled = writer.pool(x, f"{scope}/tower_2/pool", "AvgPool")
        x = writer.join([*ends, writer.tower(pooled, f"{scope}/tower_2", (width,))], scope)
    reduce = (3, 3), 2, "VALID"
    ends = [
        writer.tower(x, "mixed_3", (384, *reduce)),
        writer.tower(x, "mixed_3/tower", (64,), (96, (3, 3)), (96, *reduce)),
        writer.pool(x, "mixed_3/pool", "MaxPool", 3, 2, "VALID"),
    ]
    x = writer.join(ends, "mixed_3")
    for scope, n in (("mixed_4", 128), ("mixed_5", 160), ("mixed_6", 160), ("mixed_7", 192)):
        wide, high = (n, (1, 7)), (n, (7, 1))
        ends = [
            writer.tower(x, scope, (192,)),
            writer.tower(x, f"{scope}/tower", (n,), wide, (192, (7, 1))),
            writer.tower(x, f"{scope}/tower_1", (n,), high, wide, high, (192, (1, 7))),
        ]
        pooled = writer.pool(x, f"{scope}/tower_2/pool", "AvgPool")
        x = writer.join([*ends, writer.tower(pooled, f"{scope}/tower_2", (192,))], scope)
    ends = [
        writer.tower(x, "mixed_8/tower", (192,), (320, *reduce)),
        writer.tower(x, "mixed_8/tower_1", (192,), (192, (1, 7)), (192, (7, 1)), (192, *reduce)),
        writer.pool(x, "mixed_8/pool", "MaxPool", 3, 2, "VALID"),
    ]
    x = writer.join(ends, "mixed_8")
    for scope, op in (("mixed_9", "AvgPool"), ("mixed_10", "MaxPool")):
        ends = [writer.tower(x, scope, (320,))]
        for name, rows in (("tower", [(384,)]), ("tower_1", [(448,), (384, (3, 3))])):
            end = writer.tower(x, f"{scope}/{name}", *rows)
            ends.append(writer.conv(end, f"{scope}/{name}/mixed/conv", 384, (1, 3)))
            ends.append(writer.conv(end, f"{scope}/{name}/mixed/conv_1", 384, (3, 1)))
        pooled = writer.pool(x, f"{scope}/tower_2/pool", op)
        x = writer.join([*ends, writer.tower(pooled, f"{scope}/tower_2", (192,))], scope)
    return writer.pool(x, "pool_3", "AvgPool", 8, 1, "VALID")


def add_softmax(writer, x):
    """1008 classes; weights so large that a few classes share an image, biases that matter."""
    writer.add_constant("pool_3/_reshape/shape", [1, 2048], DT_INT32)
    writer.add_node("pool_3/_reshape", "Reshape", [x, "pool_3/_reshape/shape"], T=DT_FLOAT)
    spread = float(writer.activations[x].square().sum((1, 2, 3)).mean().sqrt())
    weights = writer.random.standard_normal((2048, 1008), np.float32) * np.float32(2 / spread)
    writer.add_constant("softmax/weights", weights)
    writer.add_constant("softmax/biases", writer.random.uniform(-0.5, 0.5, 1008))
    inputs = ["pool_3/_reshape", "softmax/weights"]
    flags = {"transpose_a": False, "transpose_b": False}
    writer.add_node("softmax/logits/MatMul", "MatMul", inputs, T=DT_FLOAT, **flags)
    inputs = ["softmax/logits/MatMul", "softmax/biases"]
    writer.add_node("softmax/logits", "BiasAdd", inputs, T=DT_FLOAT)
    writer.add_node("softmax", "Softmax", ["softmax/logits"], T=DT_FLOAT)


@torch.inference_mode()
def make_graph(seed=0, scale_after_normalization=True):
    """Return the GraphDef message; of equal seeds equal up to the last bits of its statistics."""
    writer = GraphWriter(seed, scale_after_normalization)
    add_softmax(writer, add_layers(writer, add_input(writer)))
    return writer.graph


def write_graph(path, seed=0, scale_after_normalization=True):
    """Write the graph (96 MB, two seconds) and return its path."""
    path = Path(path)
    path.write_bytes(make_graph(seed, scale_after_normalization).SerializeToString())
    return path
