"""Activations that are quantised statically, and the numbers that they are quantised by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray

from stillhouse.plugins.quantize.layers import STATIC

Ranges = Mapping[str, tuple[float, float]]
"""The least and the largest number of each tensor that is quantised statically."""
_MOST: Final = 255


def static_tensors(graph: onnx.ModelProto, schemes: Mapping[str, str]) -> list[str]:
    """Tensors whose ranges `quantised` asks for; `schemes` are by the names of constants."""
    found: dict[str, None] = {}
    for node in graph.graph.node:
        if len(node.input) > 1 and schemes.get(node.input[1]) == STATIC:
            found[node.input[0]] = None
    return list(found | dict.fromkeys(answers(graph, schemes)))


def made_up(graph: onnx.ModelProto, tensors: list[str]) -> Ranges:
    """Ranges for networks that nothing has trained: what follows a Relu is never negative."""
    rectified = {node.output[0] for node in graph.graph.node if node.op_type == "Relu"}
    return {name: (0.0 if name in rectified else -1.0, 1.0) for name in tensors}


def answers(graph: onnx.ModelProto, schemes: Mapping[str, str]) -> list[str]:
    """What is of integers from where it is written: what static convolutions answer, after the Relu
    that follows, and sums of two such tensors.

    ONNX Runtime has integer convolutions only where the answer is of integers too.
    """
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    outputs = {output.name for output in graph.graph.output}
    found: dict[str, None] = {}
    for node in graph.graph.node:
        static = node.op_type == "Conv" and schemes.get(node.input[1]) == STATIC
        between = node.op_type == "Add" and all(name in found for name in node.input)
        if static or between:
            name = node.output[0]
            after = users.get(name, [])
            if len(after) == 1 and after[0].op_type == "Relu" and name not in outputs:
                name = after[0].output[0]
            found |= {name: None} if name not in outputs else {}
    return list(found)


def scale_and_zero(low: float, high: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Of unsigned integers of 8 bits that span a range and 0."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32((high - low) / _MOST) or np.float32(1)
    return np.asarray(scale), np.asarray(np.rint(-low / scale).clip(0, _MOST), np.uint8)
