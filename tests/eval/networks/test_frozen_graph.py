import numpy as np
import pytest

from eval.networks.frozen_graph import MAX_REPEATED, load_frozen_graph, make_messages
from records.errors import UserError

FLOAT, INT32, STRING = 1, 3, 7


def make_small_graph():
    """Constants in each way in which TensorFlow writes them, and a node that uses them."""
    messages = make_messages()
    graph = messages.GraphDef()
    graph.versions.producer = 8

    def add_constant(name, dtype, shape, **values):
        node = graph.node.add(name=name, op="Const")
        node.attr["dtype"].type = dtype
        tensor = node.attr["value"].tensor
        tensor.dtype = dtype
        tensor.tensor_shape.SetInParent()
        for size in shape:
            tensor.tensor_shape.dim.add(size=size)
        for key, value in values.items():
            if key == "tensor_content":
                tensor.tensor_content = value
            else:
                getattr(tensor, key).extend(value)

    matrix = np.arange(6, dtype="<f4").reshape(2, 3)
    add_constant("content", FLOAT, (2, 3), tensor_content=matrix.tobytes())
    add_constant("values", FLOAT, (3,), float_val=[1.5, 2.5, -3.5])
    add_constant("repeated", FLOAT, (2, 2), float_val=[7.0])
    add_constant("scalar", INT32, (), int_val=[-4])
    add_constant("text", STRING, (), string_val=[b"\xff\xd8"])
    node = graph.node.add(name="sum", op="Sum", input=["content", "scalar:0", "^values"])
    node.attr["T"].type = FLOAT
    node.attr["keep_dims"].b = True
    node.attr["strides"].list.i.extend([1, -2, 2, 1])
    node.attr["padding"].s = b"SAME"
    node.attr["epsilon"].f = 0.25
    node.attr["N"].i = 2**40
    return graph


def save(path, graph):
    path.write_bytes(graph if isinstance(graph, bytes) else graph.SerializeToString())
    return path


def error_of(path):
    with pytest.raises(UserError) as caught:
        load_frozen_graph(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_reads_nodes_constants_and_version(tmp_path):
    path = save(tmp_path / "graph.pb", make_small_graph())
    graph = load_frozen_graph(path)
    assert graph.producer == 8
    assert graph.num_bytes == path.stat().st_size
    assert list(graph.nodes) == ["content", "values", "repeated", "scalar", "text", "sum"]
    assert graph.nodes["sum"].op == "Sum"
    assert graph.nodes["sum"].inputs == ("content", "scalar:0", "^values")
    assert graph.nodes["sum"].attributes == {
        "T": FLOAT,
        "keep_dims": True,
        "strides": (1, -2, 2, 1),
        "padding": "SAME",
        "epsilon": 0.25,
        "N": 2**40,
    }
    assert set(graph.constants) == {"content", "values", "repeated", "scalar"}
    np.testing.assert_array_equal(graph.constants["content"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(graph.constants["values"], np.float32([1.5, 2.5, -3.5]))
    np.testing.assert_array_equal(graph.constants["repeated"], np.full((2, 2), 7))
    assert graph.constants["scalar"] == -4
    assert graph.constants["scalar"].dtype == np.int32


@pytest.mark.slow
def test_reads_the_bytes_as_tensorflow_does(tmp_path):
    tf = pytest.importorskip("tensorflow")
    path = save(tmp_path / "graph.pb", make_small_graph())
    read = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    ours = load_frozen_graph(path)
    assert read.versions.producer == ours.producer
    assert [(n.name, n.op, tuple(n.input)) for n in read.node] == [
        (n.name, n.op, n.inputs) for n in ours.nodes.values()
    ]
    for name, constant in ours.constants.items():
        (node,) = (n for n in read.node if n.name == name)
        np.testing.assert_array_equal(tf.make_ndarray(node.attr["value"].tensor), constant)
    attributes = read.node[-1].attr
    assert list(attributes["strides"].list.i) == [1, -2, 2, 1]
    assert (attributes["keep_dims"].b, attributes["N"].i) == (True, 2**40)


@pytest.mark.slow
def test_reads_what_tensorflow_writes(tmp_path):
    tf = pytest.importorskip("tensorflow")
    with tf.Graph().as_default() as graph:
        x = tf.constant(np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3), name="x")
        tf.constant(2.5, shape=(4, 5), name="filled")
        tf.nn.max_pool2d(x, ksize=2, strides=1, padding="VALID", name="pooled")
    written = graph.as_graph_def()
    read = load_frozen_graph(save(tmp_path / "graph.pb", written))
    assert read.nodes["pooled"].inputs == ("x",)
    assert read.nodes["pooled"].attributes["ksize"] == (1, 2, 2, 1)
    assert read.nodes["pooled"].attributes["padding"] == "VALID"
    assert read.producer == written.versions.producer
    np.testing.assert_array_equal(read.constants["x"].ravel(), np.arange(12))
    np.testing.assert_array_equal(read.constants["filled"], np.full((4, 5), 2.5))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["is empty", "GraphDef"]),
        (b"<html><body>404 Not Found</body></html>", ["is not a frozen TensorFlow graph"]),
        (b"\n\nplain text that begins with empty lines", ["is not a frozen TensorFlow graph"]),
        (b"node {\n  name: 'x'\n}\n", ["is not a frozen TensorFlow graph"]),
        (b"PK\x03\x04 an archive", ["is not a frozen TensorFlow graph", "archive it came in"]),
        (b"\x08\x01\x12\x07abcdefg", ["is not a frozen TensorFlow graph"]),  # a SavedModel
        (b"\x22\x02\x08\x08", ["holds no node"]),  # versions alone
        (b"\x0a" + b"\xff" * 11, ["is not a frozen TensorFlow graph", "has no end"]),
    ],
)
def test_what_is_no_graph_is_refused(tmp_path, content, words):
    message = error_of(save(tmp_path / "graph.pb", content))
    for word in words:
        assert word in message


def test_a_missing_file_is_named(tmp_path):
    assert "no such file" in error_of(tmp_path / "absent.pb")
    assert "no such file" in error_of(tmp_path)


def test_every_cut_is_refused_or_ends_between_nodes(tmp_path):
    """A cut between two nodes leaves a whole, smaller graph, which only its user can refuse."""
    graph = make_small_graph()
    content = graph.SerializeToString()
    parts = [len(node.SerializeToString()) for node in graph.node]
    sizes = np.cumsum([1 + (1 if size < 128 else 2) + size for size in parts])
    num_cut = 0
    for length in range(1, len(content)):
        path = save(tmp_path / "graph.pb", content[:length])
        if length in sizes:
            assert len(load_frozen_graph(path).nodes) == list(sizes).index(length) + 1
            continue
        message = error_of(path)
        if length < sizes[0]:
            assert "is not a frozen TensorFlow graph (GraphDef), or is cut short" in message
        else:
            assert "is cut short" in message and "whole nodes" in message
            num_cut += 1
    assert num_cut > len(content) // 2


def test_damage_gives_no_other_error(tmp_path):
    content = bytearray(make_small_graph().SerializeToString())
    random = np.random.default_rng(0)
    num_refused = 0
    for _ in range(300):
        damaged = content.copy()
        damaged[random.integers(len(content))] = random.integers(256)
        try:
            load_frozen_graph(save(tmp_path / "graph.pb", bytes(damaged)))
        except UserError:
            num_refused += 1
    assert num_refused > 50


def test_values_that_do_not_fill_the_shape_are_refused(tmp_path):
    graph = make_small_graph()
    graph.node[0].attr["value"].tensor.tensor_shape.dim[0].size = 5
    message = error_of(save(tmp_path / "graph.pb", graph))
    assert "content: has 6 values for the shape [5, 3]" in message
    graph = make_small_graph()
    graph.node[2].attr["value"].tensor.tensor_shape.dim[0].size = MAX_REPEATED
    assert "repeated: has 1 values" in error_of(save(tmp_path / "graph.pb", graph))
