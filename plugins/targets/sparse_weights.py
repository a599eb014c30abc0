"""Constants with many zeros, written as a bitmap and what is not zero.

The bitmaps and the entries of all such constants of one type lie one after another, and one chain
of standard operators lays the entries out again. Its inputs are constants, so that ONNX Runtime
works it out once, when it opens the file: what runs is the dense graph.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from stillhouse.plugins.targets.graph_file import graphs

_LEAST_ENTRIES: Final = 64
"""Smaller constants save less than the name and the shape that each needs."""
_OWN_BYTES: Final = 64
"""More than the name and shape of one constant take."""
_CHAIN_BYTES: Final = 600
"""More than the operators take that unpack all constants of a type."""
_OPSET: Final = 18
"""Of the first bitwise operators."""
_TYPES: Final = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8, TensorProto.UINT8)
_BITS: Final = 8


def pack_zeros(model: onnx.ModelProto) -> None:
    """Rewrite, in place, the constants with zeros wherever that makes the file smaller.

    Those in a branch are unpacked there, by a chain of its own. Values stay bit for bit, but that a
    negative zero loses its sign.
    """
    if model.opset_import[0].version < _OPSET:
        return
    for place, graph in enumerate(graphs(model.graph)):
        constants = list(graph.initializer)  # and not the bitmaps that are written on the way
        for kind in _TYPES:
            found = [one for one in constants if _saves(one, kind) > 0]
            if sum(_saves(one, kind) for one in found) > _CHAIN_BYTES:
                _pack(graph, found, f"z{kind:x}{place or ''}")


def _saves(constant: TensorProto, kind: int) -> int:
    """Bytes that a constant takes less when packed."""
    entries = math.prod(constant.dims)
    if constant.data_type != kind or len(constant.dims) < 2 or entries < _LEAST_ENTRIES:
        return 0
    values = numpy_helper.to_array(constant)
    zeros = entries - int(np.count_nonzero(values))
    return int(zeros * values.itemsize - -(-entries // _BITS) - _OWN_BYTES)


def _pack(graph: onnx.GraphProto, constants: Sequence[TensorProto], prefix: str) -> None:
    """Names of what is written besides begin with `prefix`: branches see the names around them."""
    flat = [numpy_helper.to_array(one).reshape(-1) for one in constants]
    whole: NDArray[np.generic] = np.concatenate(flat)
    used = whole != 0
    bitmap = np.packbits(used, bitorder="little")[:, None]
    sizes = [len(one) for one in flat]
    spare = bitmap.size * _BITS - len(whole)
    parts = [f"{one.name}f" for one in constants]
    nodes = _chain(prefix)
    ends = [*parts, f"{prefix}s"] if spare else parts
    nodes.append(helper.make_node("Split", [f"{prefix}w", f"{prefix}n"], ends, axis=0))
    own = {
        f"{prefix}b": bitmap,
        f"{prefix}v": np.concatenate([np.zeros(1, whole.dtype), whole[used]]),
        f"{prefix}p": (1 << np.arange(_BITS)).astype(np.uint8),
        f"{prefix}l": np.array([-1], np.int64),
        f"{prefix}x": np.array(0, np.int64),
        f"{prefix}n": np.array([*sizes, spare] if spare else sizes, np.int64),
    }
    for one, part in zip(constants, parts, strict=True):
        own[f"{one.name}d"] = np.array(one.dims, np.int64)
        nodes.append(helper.make_node("Reshape", [part, f"{one.name}d"], [one.name]))
    _replace(graph, {one.name for one in constants}, own, nodes)


def _chain(prefix: str) -> list[onnx.NodeProto]:
    """From bitmap `b` (bytes, 1) and entries `v`, the first of which is 0, to all values `w`.

    A value that is not zero is the entry of its number among those. `NonZero` would be shorter, but
    ONNX Runtime leaves it to every inference.
    """

    def node(kind: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
        return helper.make_node(
            kind, [prefix + name for name in inputs], [prefix + output], **attributes
        )

    return [
        node("BitwiseAnd", "bp", "a"),
        node("Cast", "a", "c", to=TensorProto.BOOL),
        node("Cast", "c", "i", to=TensorProto.INT32),
        node("Reshape", "il", "r"),
        node("CumSum", "rx", "t"),
        node("Mul", "tr", "o"),
        node("Gather", "vo", "w"),
    ]


def _replace(
    graph: onnx.GraphProto,
    gone: set[str],
    constants: dict[str, NDArray[np.generic]],
    nodes: Sequence[onnx.NodeProto],
) -> None:
    kept = [one for one in graph.initializer if one.name not in gone]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in constants.items())
    running = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *running])
