"""Both backends on a frozen graph with the released topology and random weights."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from eval.networks import torch_backend
from eval.networks.frozen_graph import load_frozen_graph
from eval.networks.inception import (
    INCEPTION_BYTES,
    check_inception,
    get_weights,
    load_inception,
)
from eval.networks.inception_layers import (
    BLOCKS,
    Convolution,
    Pool,
    iterate_layers,
    make_tensor_shapes,
)
from eval.networks.tensorflow_backend import REQUIREMENT
from records.errors import UserError
from tests.eval.inception_graph import write_graph

ROOT = Path(__file__).parents[3]
TENSORS = ROOT / "tests" / "data" / "inception_tensors.json"
OUTPUTS = ("pool", "spatial", "softmax")
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def graph_path(tmp_path_factory):
    return write_graph(tmp_path_factory.mktemp("inception") / "graph.pb")


@pytest.fixture(scope="module")
def graph(graph_path):
    return load_frozen_graph(graph_path)


@pytest.fixture(scope="module")
def network(graph_path):
    return load_inception(graph_path)


@pytest.fixture(scope="module")
def tensorflow_network(graph_path):
    pytest.importorskip("tensorflow")
    return load_inception(graph_path, backend="tensorflow")


def make_images(*shape, seed=0):
    """Noise with a smooth part, so that neighbours differ and images do too."""
    random = np.random.default_rng(seed)
    n, h, w, c = shape
    y, x = np.mgrid[:h, :w] / max(h, w)
    phase = random.uniform(0, 6, (2, n, 1, 1, c))
    smooth = np.sin(6 * y[None, :, :, None] + phase[0]) * np.cos(9 * x[None, :, :, None] + phase[1])
    return np.clip(127 + 80 * smooth + random.normal(0, 40, shape), 0, 255).astype(np.uint8)


def compute_differences(got, expected):
    """max|a - b| / max|b| of each output."""
    return {
        name: float(np.abs(a - b).max() / np.abs(b).max())
        for name, a, b in zip(OUTPUTS, got, expected, strict=True)
    }


def check_parity(network, tensorflow_network, images):
    expected = tensorflow_network.run(images)
    got = network.run(images)
    for array, size in zip(got, (2048, 2023, 1008), strict=True):
        assert array.shape == (len(images), size)
        assert array.dtype == np.float32
    differences = compute_differences(got, expected)
    assert max(differences.values()) <= TOLERANCE, differences


def test_table_public_list_and_graph_agree_tensor_by_tensor(graph):
    listed = {k: tuple(v) for k, v in json.loads(TENSORS.read_text())["tensors"].items()}
    assert make_tensor_shapes() == listed
    weights = {name: a.shape for name, a in graph.constants.items() if name in listed}
    assert weights == listed
    others = {name for name in graph.constants if name not in listed}
    assert {name.split("/")[-1] for name in others} == {"dim", "size", "y", "concat_dim", "shape"}
    convolutions = [layer for layer in iterate_layers() if isinstance(layer, Convolution)]
    assert len(convolutions) == 94
    assert len(listed) == 94 * 5 + 2
    assert len(get_weights(graph)) == len(listed)


def test_the_graph_is_as_large_as_the_released_file(graph):
    """Of 95.7 MB: the same tensors under the same names, but for words in a few attributes."""
    assert abs(graph.num_bytes - INCEPTION_BYTES) < 2000


def test_activations_stay_alive(graph, monkeypatch):
    """Standard deviation 0.1 to 10 behind every convolution and block, and across positions."""
    outputs = {}
    layers = {
        scope: lambda x, scope=scope, layer=layer: outputs.setdefault(scope, layer(x))
        for scope, layer in torch_backend.make_layers(get_weights(graph), device="cpu").items()
    }
    blocks = []
    cat = torch.cat
    monkeypatch.setattr(torch, "cat", lambda *a, **k: blocks.append(cat(*a, **k)) or blocks[-1])
    x = torch_backend.prepare_images(torch.from_numpy(make_images(2, 64, 64, 3)))
    with torch.inference_mode():
        pool, _ = torch_backend.compute_features(layers, x)
        matrix = torch.tensor(graph.constants["softmax/weights"]).double()
        softmax = torch_backend.compute_softmax(pool, matrix)
    assert (len(outputs), len(blocks)) == (94, len(BLOCKS))
    for name, y in [*outputs.items(), *((b.scope, y) for b, y in zip(BLOCKS, blocks, strict=True))]:
        assert 0.1 < y.std() < 10, name
        assert y.std((0, 2, 3)).mean() > 0.1, name
    assert softmax.max() < 0.9
    assert (softmax.max(dim=1).values > 5 / 1008).all()


@pytest.mark.parametrize("shape", [(3, 64, 64, 3), (2, 299, 299, 3), (2, 40, 100, 1)])
def test_backends_agree(network, tensorflow_network, shape):
    check_parity(network, tensorflow_network, make_images(*shape))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["smooth", "noise"])
@pytest.mark.parametrize("size", [8, 32, 64, 128, 256, 299, 512])
def test_backends_agree_at_every_size(network, tensorflow_network, size, kind):
    images = make_images(5, size, size, 3, seed=size)
    if kind == "noise":
        images = np.random.default_rng(size).integers(0, 256, images.shape, dtype=np.uint8)
    check_parity(network, tensorflow_network, images)


@pytest.mark.slow
def test_backends_agree_where_the_graph_leaves_gamma_out(tmp_path):
    pytest.importorskip("tensorflow")
    path = write_graph(tmp_path / "graph.pb", seed=1, scale_after_normalization=False)
    assert (load_frozen_graph(path).constants["conv/batchnorm/gamma"] != 1).all()
    tensorflow_network = load_inception(path, backend="tensorflow")
    check_parity(load_inception(path), tensorflow_network, make_images(2, 64, 64, 3))


def change_pool(kind_from, kind_to):
    def change(patch, weights):
        def change_layer(layer):
            wrong = isinstance(layer, Pool) and layer.kind == kind_from and layer.stride == 1
            return replace(layer, kind=kind_to) if wrong else layer

        blocks = tuple(
            replace(
                block,
                branches=tuple(
                    replace(branch, layers=tuple(map(change_layer, branch.layers)))
                    for branch in block.branches
                ),
            )
            for block in BLOCKS
        )
        patch.setattr(torch_backend, "BLOCKS", blocks)

    return change


def half_pixel_resize(patch, weights):
    def resize(images, size):
        x = F.interpolate(images.permute(0, 3, 1, 2), size, mode="bilinear", align_corners=False)
        return x.permute(0, 2, 3, 1)

    patch.setattr(torch_backend, "resize_bilinear", resize)


def padded_average(patch, weights):
    average = F.avg_pool2d
    patch.setattr(F, "avg_pool2d", lambda *args, count_include_pad: average(*args))


def biased_softmax(patch, weights):
    biases = torch.tensor(weights["softmax/biases"])
    patch.setattr(
        torch_backend, "compute_softmax", lambda x, w: (x.double() @ w + biases).softmax(dim=1)
    )


def other_epsilon(patch, weights):
    patch.setattr(torch_backend, "BATCH_NORM_EPSILON", 1e-5)


def channels_first_flatten(patch, weights):
    patch.setattr(torch_backend, "flatten_spatial", lambda x: x[:, :7].flatten(1))


def other_channels(patch, weights):
    patch.setattr(
        torch_backend, "flatten_spatial", lambda x: x[:, 7:14].permute(0, 2, 3, 1).flatten(1)
    )


def blue_first(patch, weights):
    prepare = torch_backend.prepare_images
    patch.setattr(torch_backend, "prepare_images", lambda images: prepare(images.flip(3)))


FAULTS = {
    half_pixel_resize: OUTPUTS,
    change_pool("max", "average"): ("pool", "softmax"),
    change_pool("average", "max"): OUTPUTS,
    padded_average: OUTPUTS,
    biased_softmax: ("softmax",),
    other_epsilon: OUTPUTS,
    channels_first_flatten: ("spatial",),
    other_channels: ("spatial",),
    blue_first: OUTPUTS,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_parity_sees_deliberate_faults(graph, tensorflow_network, monkeypatch, fault):
    images = make_images(1, 64, 64, 3)
    weights = get_weights(graph)
    fault(monkeypatch, weights)
    faulty = torch_backend.make_torch_network(weights, device="cpu")
    differences = compute_differences(faulty(images), tensorflow_network.run(images))
    wrong = tuple(name for name in OUTPUTS if differences[name] > 10 * TOLERANCE)
    assert wrong == FAULTS[fault], differences


def test_grey_images_are_repeated(network):
    grey = make_images(2, 32, 32, 1)
    for a, b in zip(network.run(grey), network.run(np.repeat(grey, 3, axis=3)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_batches_and_order_change_nothing_but_last_bits(network):
    """oneDNN may sum in another order for another batch size: 1e-5 of the largest value."""
    images = make_images(9, 32, 32, 3)
    together = network.run(images)
    for some in ([0], [8], [7, 2, 4]):
        expected = [output[some] for output in together]
        assert max(compute_differences(network.run(images[some]), expected).values()) < 1e-5


def test_the_number_of_threads_changes_nothing_but_last_bits(network):
    images = make_images(5, 32, 32, 3)
    expected = network.run(images)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        for num in (5, 1, 4):
            got = network.run(images[:num])
            assert torch.get_num_threads() == 3
            assert max(compute_differences(got, [e[:num] for e in expected]).values()) < 1e-5
    finally:
        torch.set_num_threads(before)


def test_read_only_images_and_a_lower_precision_elsewhere_change_nothing(network):
    images = make_images(2, 32, 32, 3)
    expected = network.run(images)
    images.setflags(write=False)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        got = network.run(images)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_plain_convolution_agrees_with_the_fused_one(graph, network, monkeypatch):
    monkeypatch.setattr(torch_backend, "_has_fused_convolution", lambda: False)
    plain = torch_backend.make_torch_network(get_weights(graph), device="cpu")
    images = make_images(2, 32, 32, 3)
    assert max(compute_differences(plain(images), network.run(images)).values()) < 1e-5


def test_the_description_says_what_ran(graph, network, tensorflow_network):
    assert network.description == {
        "name": f"inception-{graph.sha256[:12]}",  # its weights are not the published ones
        "sha256": graph.sha256,
        "recipe": 1,
        "backend": "torch",
        "backend_version": torch.__version__,
        "device": "cpu",
        "precision": "float32",
    }
    assert (network.sha256, network.name) == (graph.sha256, network.description["name"])
    assert (network.pool_dims, network.spatial_dims, network.num_classes) == (2048, 2023, 1008)
    assert tensorflow_network.description["backend"] == "tensorflow"
    assert tensorflow_network.description["backend_version"].startswith("2.")
    assert tensorflow_network.sha256 == network.sha256


def error_of(call, *args, **options):
    with pytest.raises(UserError) as caught:
        call(*args, **options)
    return str(caught.value)


@pytest.mark.parametrize("share", [1e-7, 1e-4, 0.3, 0.999999])
def test_a_cut_file_is_refused(graph_path, tmp_path, share):
    path = tmp_path / "cut.pb"
    content = graph_path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    message = error_of(load_inception, path)
    assert message.startswith(f"{path}: ") and "is cut short" in message


def test_a_cut_between_two_nodes_is_refused(graph):
    """The rest is a good graph; only what it lacks tells."""
    kept = dict(list(graph.constants.items())[:100])
    message = error_of(check_inception, replace(graph, constants=kept, num_bytes=1234))
    assert "of Inception's 472 tensors are missing" in message
    assert "cut short (1234 bytes; the authors' file has 95673916)" in message


def test_what_is_not_inception_is_refused(graph, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("weights are in the other folder")
    assert "is not a frozen TensorFlow graph" in error_of(load_inception, path)
    assert "no such file" in error_of(load_inception, tmp_path / "absent.pb")
    other = replace(graph, constants={"weights": np.zeros((3, 3))})
    message = error_of(check_inception, other)
    assert "not Inception of 2015-12-05: no conv/conv2d_params, " in message
    assert "and 469 more" in message
    shapes = {"softmax/weights": np.zeros((2048, 1000)), "softmax/biases": np.zeros(1000)}
    message = error_of(check_inception, replace(graph, constants=graph.constants | shapes))
    assert "softmax/weights is [2048, 1000], not [2048, 1008]" in message
    assert "softmax/biases is [1000], not [1008]" in message


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("mixed_10/tower_2/pool", {"op": "AvgPool"}, "is AvgPool, not MaxPool"),
        ("conv/Conv2D", {"strides": (1, 1, 1, 1)}, "strides is (1, 1, 1, 1), not (1, 2, 2, 1)"),
        ("conv_1/Conv2D", {"padding": "SAME"}, "padding is SAME, not VALID"),
        ("mixed/conv/batchnorm", {"variance_epsilon": 1e-5}, "variance_epsilon is 1e-05"),
        ("ResizeBilinear", {"half_pixel_centers": True}, "half_pixel_centers is set"),
        ("ResizeBilinear", {"op": "ResizeBicubic"}, "is ResizeBicubic, not ResizeBilinear"),
    ],
)
def test_a_graph_that_works_differently_is_refused(graph, name, change, words):
    node = graph.nodes[name]
    attributes = {**node.attributes, **{k: v for k, v in change.items() if k != "op"}}
    changed = replace(node, op=change.get("op", node.op), attributes=attributes)
    message = error_of(check_inception, replace(graph, nodes={**graph.nodes, name: changed}))
    assert name in message and words in message and "works differently" in message


def test_other_constants_and_missing_nodes_are_refused(graph):
    constants = {**graph.constants, "Mul/y": np.float32(1 / 127.5)}
    assert "Mul/y is 0.00784" in error_of(check_inception, replace(graph, constants=constants))
    message = error_of(check_inception, replace(graph, nodes={}))
    assert "conv/Conv2D is missing, not Conv2D" in message


def test_an_unknown_backend_or_device_is_refused(graph_path):
    assert "backend jax: is unknown; needed is one of torch" in error_of(
        load_inception, graph_path, backend="jax"
    )
    assert "runs on the CPU alone, got device cuda" in error_of(
        load_inception, graph_path, backend="tensorflow", device="cuda"
    )
    assert "this machine has cpu" in error_of(load_inception, graph_path, device="cuda:7")


def test_images_that_are_none_are_refused(network):
    assert "float32" in error_of(network.run, np.zeros((1, 8, 8, 3), np.float32))
    assert "4 channels" in error_of(network.run, np.zeros((1, 8, 8, 4), np.uint8))


def test_without_tensorflow_the_message_says_what_to_do():
    program = (
        "import sys\n"
        "sys.modules['tensorflow'] = None\n"
        "from eval.networks.tensorflow_backend import make_tensorflow_network\n"
        "from records.errors import main_guard\n"
        "sys.exit(main_guard(lambda _: make_tensorflow_network('x.pb', num_threads=1))())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: backend tensorflow: TensorFlow cannot be imported")
    assert f'pip install "{REQUIREMENT}", or use --backend torch' in done.stderr
    assert "Traceback" not in done.stderr
