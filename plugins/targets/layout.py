"""Where the elements of a tensor come from, through operators that only rearrange."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Shape = tuple[int, ...]
Indices = NDArray[np.int64]
"""Any shape; each element is a flat position in the tensor it was traced to."""


@dataclass(frozen=True, eq=False)
class Graph:
    """A model's nodes by what they produce, its constants, and the static shapes in it."""

    producer: Mapping[str, onnx.NodeProto]
    constants: Mapping[str, NDArray[Any]]
    shapes: Mapping[str, Shape]
    users: Mapping[str, list[onnx.NodeProto]] = field(default_factory=dict)

    @staticmethod
    def of(model: onnx.ModelProto) -> Graph:
        graph = onnx.shape_inference.infer_shapes(model).graph
        users: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                users.setdefault(name, []).append(node)
        return Graph(
            {name: node for node in model.graph.node for name in node.output},
            {c.name: numpy_helper.to_array(c) for c in model.graph.initializer},
            {v.name: _shape(v) for v in (*graph.input, *graph.value_info, *graph.output)},
            users,
        )


@dataclass(frozen=True, eq=False)
class Origin:
    """A tensor's element `i` is element `indices[i]` of `source`, times `scale`."""

    source: str
    source_size: int
    indices: Indices
    scale: float


def origin(graph: Graph, name: str) -> Origin:
    """Trace a tensor of static shape back through layout operators and constant factors."""
    node = graph.producer.get(name)
    if node is not None and node.op_type in ("Mul", "Div"):
        factor = _factor(graph, node)
        if factor is not None:
            before = origin(graph, factor[0])
            return replace(before, scale=before.scale * factor[1])
    if node is not None and is_layout(graph, node):
        before = origin(graph, node.input[0])
        return replace(before, indices=rearranged(graph, node, before.indices, name))
    shape = graph.shapes.get(name, ())
    size = math.prod(shape)
    return Origin(name, size, np.arange(size).reshape(shape), 1.0)


def rearranged(graph: Graph, node: onnx.NodeProto, indices: Indices, output: str) -> Indices:
    """What a layout operator makes of an array that stands in for its first input."""
    given = [graph.constants[name] for name in node.input[1:] if name]
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    result = _LAYOUT[node.op_type](indices, given, attributes)
    return result[list(node.output).index(output)] if isinstance(result, list) else result


def is_layout(graph: Graph, node: onnx.NodeProto) -> bool:
    """Whether a node only rearranges its first input, in a way that is known beforehand."""
    known = all(name in graph.constants for name in node.input[1:] if name)
    return node.op_type in _LAYOUT and known


def drop_identities(model: onnx.ModelProto) -> None:
    """Feed every user of a tensor that layout operators leave as it was from the original."""
    graph = Graph.of(model)
    same = {}
    for node in model.graph.node:
        if is_layout(graph, node):
            for name in node.output:
                traced = origin(graph, name)
                if _unchanged(graph, traced):
                    same[name] = traced.source
    outputs = {output.name for output in model.graph.output}
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            if name not in outputs:
                node.input[i] = same.get(name, name)


def _unchanged(graph: Graph, traced: Origin) -> bool:
    shape = graph.shapes.get(traced.source)
    straight = np.array_equal(traced.indices.ravel(), np.arange(traced.source_size))
    return shape == traced.indices.shape and straight and traced.scale == 1.0


def _factor(graph: Graph, node: onnx.NodeProto) -> tuple[str, float] | None:
    """The tensor and the one number that a Mul or Div scales it by."""
    first, second = node.input
    if (number := _number(graph, second)) is not None:
        return first, number if node.op_type == "Mul" else 1 / number
    if node.op_type == "Mul" and (number := _number(graph, first)) is not None:
        return second, number
    return None


def _number(graph: Graph, name: str) -> float | None:
    constant = graph.constants.get(name)
    # One element of higher rank could raise the rank of what it multiplies.
    plain = constant is not None and constant.size == 1 and constant.ndim <= 1
    return float(constant.item()) if plain and constant is not None else None


def _reshape(x: Indices, given: list[Indices], attributes: Mapping[str, Any]) -> Indices:
    wanted = [x.shape[i] if size == 0 else int(size) for i, size in enumerate(given[0])]
    return x.reshape(wanted)


def _flatten(x: Indices, given: list[Indices], attributes: Mapping[str, Any]) -> Indices:
    axis = attributes.get("axis", 1)
    return x.reshape(math.prod(x.shape[:axis]), -1)


def _transpose(x: Indices, given: list[Indices], attributes: Mapping[str, Any]) -> Indices:
    return x.transpose(attributes.get("perm"))


def _squeeze(x: Indices, given: list[Indices], attributes: Mapping[str, Any]) -> Indices:
    return x.squeeze(tuple(int(a) for a in given[0]) if given else None)


def _unsqueeze(x: Indices, given: list[Indices], attributes: Mapping[str, Any]) -> Indices:
    return np.expand_dims(x, tuple(int(a) for a in given[0]))


def _split(x: Indices, given: list[Indices], attributes: Mapping[str, Any]) -> list[Indices]:
    axis = attributes.get("axis", 0)
    if given:
        return np.split(x, np.cumsum(given[0])[:-1], axis)
    return np.array_split(x, attributes["num_outputs"], axis)


def _slice(x: Indices, given: list[Indices], attributes: Mapping[str, Any]) -> Indices:
    starts, ends = given[0], given[1]
    axes = given[2] if len(given) > 2 else range(len(starts))
    steps = given[3] if len(given) > 3 else [1] * len(starts)
    cut = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        # A backward slice that runs off the front ends at INT_MIN, which numpy calls None.
        stop = None if step < 0 and end < -x.shape[axis] else int(end)
        cut[axis] = slice(int(start), stop, int(step))
    return x[tuple(cut)]


def _gather(x: Indices, given: list[Indices], attributes: Mapping[str, Any]) -> Indices:
    return np.take(x, given[0], axis=attributes.get("axis", 0))


_LAYOUT: Final[
    Mapping[str, Callable[[Indices, list[Indices], Mapping[str, Any]], Indices | list[Indices]]]
] = {
    "Flatten": _flatten,
    "Gather": _gather,
    "Reshape": _reshape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}


def _shape(value: onnx.ValueInfoProto) -> Shape:
    return tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
