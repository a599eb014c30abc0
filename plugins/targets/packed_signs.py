"""Constants that are plus or minus one size in a row, stored as a bit an entry.

Standard operators take the bits apart again. They depend on constants alone, so that ONNX Runtime
runs them once, when a session opens, and computes with the whole tensor: the file is smaller, the
network no slower and no faster, and its answers are the same bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from stillhouse.plugins.targets.graph_file import graphs

Array = NDArray[Any]

_BYTE: Final = 8
_LEAST_SAVED_BYTES: Final = 640
"""What the operators that unpack a tensor take themselves is about this."""
_PLACES: Final = "bits.places"
_ONE: Final = "bits.one"
_AXIS: Final = {"Conv": 0, "Gemm": 1, "MatMul": -1}
"""By its reader, the axis of a weight along which its outputs lie."""


@final
@dataclass(frozen=True, eq=False)
class _Signs:
    """A tensor with its outputs first: bits (rows, bytes), a size for each row, its dimensions."""

    bits: Array
    sizes: Array
    dims: tuple[int, ...]
    axis: int


def pack_signs(model: onnx.ModelProto) -> None:
    """Store every constant that is worth it as bits; changes the model in place.

    Those in a branch are unpacked there.
    """
    found = list(graphs(model.graph))
    axes = {name: axis for graph in found for name, axis in _axes(graph)}
    # Inner ones first: nodes are copied when their order changes, and branches with them.
    for place, graph in reversed(list(enumerate(found))):
        _pack(graph, axes, str(place or ""))


def _pack(graph: onnx.GraphProto, axes: Mapping[str, int], own: str) -> None:
    """`own` ends the names of what several constants share: branches see the names around them."""
    shared = f"{_PLACES}{own}", f"{_ONE}{own}"
    unpacking: list[onnx.NodeProto] = []
    kept, stored = [], []
    for constant in graph.initializer:
        found = _signs(constant, axes.get(constant.name, 0))
        if found is None:
            kept.append(constant)
            continue
        parts, nodes = _written(constant.name, found, shared)
        stored += parts
        unpacking += nodes
    if not stored:
        return
    values = np.arange(_BYTE, dtype=np.uint8), np.ones((), np.uint8)
    stored += [numpy_helper.from_array(v, name) for v, name in zip(values, shared, strict=True)]
    running = list(graph.node)
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend([*kept, *stored])
    graph.node.extend([*unpacking, *running])


def _axes(graph: onnx.GraphProto) -> Iterator[tuple[str, int]]:
    for node in graph.node:
        if node.op_type in _AXIS and len(node.input) > 1:
            flags = {attribute.name: attribute.i for attribute in node.attribute}
            turned = node.op_type == "Gemm" and flags.get("transB", 0)
            yield node.input[1], 0 if turned else _AXIS[node.op_type]


def _signs(constant: onnx.TensorProto, axis: int) -> _Signs | None:
    if constant.data_type != TensorProto.FLOAT or len(constant.dims) < 2:
        return None
    whole = numpy_helper.to_array(constant)
    axis %= whole.ndim
    turned = np.moveaxis(whole, axis, 0)
    rows = turned.reshape(len(turned), -1)
    if not rows.size or rows.shape[1] < _BYTE:
        return None
    sizes = np.abs(rows[:, 0])
    # Bit by bit: a row with another zero, or not a number, is none of these.
    same = np.array_equal(np.where(rows > 0, sizes[:, None], -sizes[:, None]), rows)
    if not same or not np.all(sizes > 0) or not np.all(np.isfinite(sizes)):
        return None
    bits = np.packbits(rows > 0, axis=1, bitorder="little")
    short = sizes.astype(np.float16)
    sizes = short if np.array_equal(short.astype(np.float32), sizes) else sizes
    if whole.nbytes - bits.nbytes - sizes.nbytes < _LEAST_SAVED_BYTES:
        return None
    return _Signs(bits, sizes, turned.shape, axis)


def _written(
    name: str, signs: _Signs, shared: tuple[str, str]
) -> tuple[list[onnx.TensorProto], list[onnx.NodeProto]]:
    """The constants and operators that stand for one tensor, which keeps its name.

    `shared` are the names of the constants that all of a graph take: the places of a byte, and one.
    """
    rows, width = signs.bits.shape
    entries = int(np.prod(signs.dims[1:]))
    constants: list[onnx.TensorProto] = []
    nodes: list[onnx.NodeProto] = []

    def stored(part: str, values: Array) -> str:
        constants.append(numpy_helper.from_array(values, f"{name}.{part}"))
        return f"{name}.{part}"

    def node(operator: str, *inputs: str, **attributes: Any) -> str:
        output = f"{name}.{len(nodes)}"
        nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    size = stored("size", signs.sizes.reshape(rows, 1, 1))
    if signs.sizes.dtype == np.float16:
        size = node("Cast", size, to=TensorProto.FLOAT)
    bits = stored("bits", signs.bits.reshape(rows, width, 1))
    bit = node("BitwiseAnd", node("BitShift", bits, shared[0], direction="RIGHT"), shared[1])
    positive = node("Cast", bit, to=TensorProto.BOOL)
    whole = node("Where", positive, size, node("Neg", size))
    if width * _BYTE != entries:
        flat = node("Reshape", whole, stored("flat", np.array([rows, width * _BYTE])))
        ends = [stored(part, np.array([at])) for part, at in (("from", 0), ("to", entries))]
        whole = node("Slice", flat, *ends, stored("axis", np.array([1])))
    whole = node("Reshape", whole, stored("dims", np.array(signs.dims)))
    if signs.axis:
        axes = list(range(1, len(signs.dims)))
        axes.insert(signs.axis, 0)
        whole = node("Transpose", whole, perm=axes)
    nodes[-1].output[0] = name
    return constants, nodes
