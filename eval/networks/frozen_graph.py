"""Read a frozen TensorFlow graph (GraphDef, .pb) without TensorFlow: its nodes and constants.

The field numbers are those of TensorFlow's public .proto files (graph.proto, node_def.proto,
attr_value.proto, tensor.proto, tensor_shape.proto). Only what a frozen graph holds is declared;
other fields are skipped, as protocol buffers are meant to be read.
"""

import math
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

from records.errors import UserError
from records.files import sha256_file

# Message: ((field, number, type, ...), ...); "*" before a type means repeated.
SCHEMA = {
    "TensorShapeProto.Dim": (("size", 1, "int64"),),
    "TensorShapeProto": (("dim", 2, "*TensorShapeProto.Dim"),),
    "TensorProto": (
        ("dtype", 1, "int32"),
        ("tensor_shape", 2, "TensorShapeProto"),
        ("tensor_content", 4, "bytes"),
        ("float_val", 5, "*float"),
        ("int_val", 7, "*int32"),
        ("string_val", 8, "*bytes"),
    ),
    "AttrValue.ListValue": (("i", 3, "*int64"), ("f", 4, "*float")),
    "AttrValue": (
        ("list", 1, "AttrValue.ListValue"),
        ("s", 2, "bytes"),
        ("i", 3, "int64"),
        ("f", 4, "float"),
        ("b", 5, "bool"),
        ("type", 6, "int32"),
        ("shape", 7, "TensorShapeProto"),
        ("tensor", 8, "TensorProto"),
    ),
    "NodeDef.AttrEntry": (("key", 1, "string"), ("value", 2, "AttrValue")),
    "NodeDef": (
        ("name", 1, "string"),
        ("op", 2, "string"),
        ("input", 3, "*string"),
        ("attr", 5, "*NodeDef.AttrEntry"),
    ),
    "VersionDef": (("producer", 1, "int32"), ("min_consumer", 2, "int32")),
    "GraphDef": (("node", 1, "*NodeDef"), ("versions", 4, "VersionDef")),
}
NODE_FIELD, VERSIONS_FIELD = 1, 4
# Field number and wire type of everything a GraphDef has: nodes, function library, old version
# number, versions, debugging information.
GRAPH_FIELDS = {(1, 2), (2, 2), (3, 0), (4, 2), (5, 2)}
DTYPES = {1: np.dtype("<f4"), 3: np.dtype("<i4")}
VALUE_FIELDS = {1: "float_val", 3: "int_val"}
# A damaged shape must not fill the memory with copies of one value.
MAX_REPEATED = 2**26


@dataclass(frozen=True)
class Node:
    """One operation: name, kind, inputs (control inputs begin with ^) and plain attributes."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True)
class FrozenGraph:
    """A graph's nodes in file order, its float32 and int32 constants, and its file's SHA-256."""

    path: str
    sha256: str
    num_bytes: int
    producer: int
    nodes: dict[str, Node]
    constants: dict[str, np.ndarray]


@cache
def make_messages() -> SimpleNamespace:
    """Build message classes that are wire-compatible with TensorFlow's, in a pool of their own."""
    file = descriptor_pb2.FileDescriptorProto(
        name="frozen_graph.proto", package="frozen_graph", syntax="proto3"
    )
    types = {
        name: getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{name.upper()}")
        for name in ("int32", "int64", "float", "bool", "string", "bytes", "message")
    }
    declared: dict[str, descriptor_pb2.DescriptorProto] = {}
    for full_name in sorted(SCHEMA, key=lambda name: name.count(".")):
        parent, _, name = full_name.rpartition(".")
        target = declared[parent].nested_type if parent else file.message_type
        declared[full_name] = made = target.add(name=name)
        for field_name, number, kind in SCHEMA[full_name]:
            field = made.field.add(name=field_name, number=number)
            repeated, kind = kind.startswith("*"), kind.lstrip("*")
            field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
            field.type = types.get(kind, field.TYPE_MESSAGE)
            if kind in SCHEMA:
                field.type_name = f".frozen_graph.{kind}"
            if full_name == "AttrValue":
                field.oneof_index = 0
    declared["AttrValue"].oneof_decl.add(name="value")
    declared["NodeDef.AttrEntry"].options.map_entry = True
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return SimpleNamespace(
        **{
            name: message_factory.GetMessageClass(
                pool.FindMessageTypeByName(f"frozen_graph.{name}")
            )
            for name in SCHEMA
            if "." not in name
        }
    )


def load_frozen_graph(path: str | Path) -> FrozenGraph:
    """Read a frozen graph.

    Args:
        path: the .pb file.

    Returns:
        Nodes and constants; float32 and int32 constants alone are kept.

    Raises:
        UserError: no such file, not a GraphDef, or cut short.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; the frozen graph (.pb) is needed there")
    size, found = path.stat().st_size, sha256_file(path)
    if size == 0:
        raise UserError(f"{path}: is empty; a frozen TensorFlow graph (GraphDef) is needed")
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        nodes, constants, producer = _read_graph(data, str(path))
    return FrozenGraph(str(path), found, size, producer, nodes, constants)


def _read_graph(data: mmap.mmap, where: str) -> tuple[dict[str, Node], dict[str, np.ndarray], int]:
    """Read node after node, so that of a large file one node at a time is in memory twice."""
    messages = make_messages()
    nodes: dict[str, Node] = {}
    constants: dict[str, np.ndarray] = {}
    producer = 0
    for field, start, content in _iterate_fields(data, where):
        try:
            if field == VERSIONS_FIELD:
                producer = messages.VersionDef.FromString(content).producer
            if field != NODE_FIELD:
                continue
            node = messages.NodeDef.FromString(content)
        except message.DecodeError:
            _refuse(where, len(nodes), f"what is at byte {start} is not a node")
        if not node.name or not node.op:
            _refuse(where, len(nodes), f"the node at byte {start} has no name or no operation")
        nodes[node.name] = _convert_node(node)
        if node.op == "Const":
            value = node.attr["value"].tensor
            if value.dtype in DTYPES:
                constants[node.name] = _convert_tensor(value, f"{where}: {node.name}")
    if not nodes:
        _refuse(where, 0, "it holds no node")
    return nodes, constants, producer


def _iterate_fields(data: mmap.mmap, where: str) -> Iterator[tuple[int, int, bytes]]:
    """Yield number, position and content of each field of a GraphDef."""
    position = num_nodes = 0
    while position < len(data):
        start = position
        tag, position = _read_varint(data, position, where, num_nodes)
        field, wire_type = tag >> 3, tag & 7
        if (field, wire_type) not in GRAPH_FIELDS:
            _refuse(where, num_nodes, f"byte {start} begins no field of a graph")
        value, position = _read_varint(data, position, where, num_nodes)
        if wire_type == 0:
            continue
        if position + value > len(data):
            left = len(data) - position
            _refuse(
                where, num_nodes, f"a part of {value} bytes at byte {start} has only {left}", True
            )
        yield field, start, data[position : position + value]
        position += value
        num_nodes += field == NODE_FIELD


def _read_varint(data: mmap.mmap, position: int, where: str, num_nodes: int) -> tuple[int, int]:
    """Read a number of 7 bits a byte, lowest first; return it and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            _refuse(where, num_nodes, f"it ends within a number at byte {position}", True)
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    _refuse(where, num_nodes, f"the number at byte {position - 10} has no end")
    raise AssertionError  # _refuse has raised


def _refuse(where: str, num_nodes: int, why: str, ends_early: bool = False) -> None:
    """Raise: cut short or damaged when nodes came before, otherwise no graph at all."""
    if num_nodes and ends_early:
        raise UserError(
            f"{where}: is cut short: {why}, after {num_nodes} whole nodes; fetch the file again"
        )
    if num_nodes:
        raise UserError(
            f"{where}: is damaged: {why}, after {num_nodes} good nodes; fetch the file again"
        )
    cut = ", or is cut short within its first node" if ends_early else ""
    raise UserError(
        f"{where}: is not a frozen TensorFlow graph (GraphDef){cut}: {why}; "
        "give classify_image_graph_def.pb itself, not the archive it came in"
    )


def _convert_node(node: Any) -> Node:
    """Turn a NodeDef into plain Python."""
    attributes = {}
    for key, value in node.attr.items():
        kind = value.WhichOneof("value")
        if kind == "list":
            attributes[key] = tuple(value.list.i) or tuple(value.list.f)
        elif kind == "s":
            attributes[key] = value.s.decode("utf-8", "replace")
        elif kind in ("i", "f", "b", "type"):
            attributes[key] = getattr(value, kind)
    return Node(node.name, node.op, tuple(node.input), attributes)


def _convert_tensor(tensor: Any, where: str) -> np.ndarray:
    """Turn a TensorProto into an array; fewer values than places means that the last repeats."""
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    dtype, size = DTYPES[tensor.dtype], math.prod(shape)
    if tensor.tensor_content:
        content = tensor.tensor_content
        values = np.frombuffer(content, dtype, len(content) // dtype.itemsize)
    else:
        values = np.array(getattr(tensor, VALUE_FIELDS[tensor.dtype]), dtype)
        if len(values) and len(values) < size <= MAX_REPEATED:
            values = np.pad(values, (0, size - len(values)), mode="edge")
    if min(shape, default=1) < 0 or len(values) != size:
        raise UserError(
            f"{where}: has {len(values)} values for the shape {list(shape)}; "
            "the file is damaged: fetch it again"
        )
    return values.reshape(shape)
