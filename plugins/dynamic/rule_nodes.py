"""The rule of an exit as nodes of a graph: the same arithmetic as `rules.doubt`, in fewer steps."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from stillhouse.plugins.dynamic.info import Criterion
from stillhouse.plugins.dynamic.rules import entropy_scale

Nodes = tuple[list[onnx.NodeProto], list[TensorProto]]
"""In order, with the constants that they read."""


def rule(
    logits: str, classes: int, criterion: Criterion, threshold: str, prefix: str, sure: str
) -> Nodes:
    """Nodes that write `sure`, one truth value: whether the doubt about a sample is below.

    Names of what they write besides begin with `prefix`.
    """
    made = _entropy if criterion == "entropy" else _sorted
    parts, doubt = f"{prefix}m", f"{prefix}d"
    nodes, constants = made(logits, classes, parts, prefix)
    weights = numpy_helper.from_array(_weights(classes, criterion), f"{prefix}w")
    # A product with a column weighs and adds up in one operator.
    nodes.append(helper.make_node("MatMul", [parts, weights.name], [doubt]))
    nodes.append(helper.make_node("Less", [doubt, threshold], [sure]))
    return nodes, [*constants, weights]


def _weights(classes: int, criterion: Criterion) -> NDArray[np.float32]:
    """(classes, 1): of p log p, or of the probabilities from the largest on."""
    if criterion == "entropy":
        return np.full((classes, 1), entropy_scale(classes), np.float32)
    weights = np.ones((classes, 1), np.float32)
    weights[0], weights[1] = 0, 1 if criterion == "max-probability" else 2
    return weights


def _entropy(logits: str, classes: int, parts: str, prefix: str) -> Nodes:
    logs, each = f"{prefix}l", f"{prefix}p"
    nodes = [
        helper.make_node("LogSoftmax", [logits], [logs], axis=-1),
        helper.make_node("Exp", [logs], [each]),
        helper.make_node("Mul", [each, logs], [parts]),
    ]
    return nodes, []


def _sorted(logits: str, classes: int, parts: str, prefix: str) -> Nodes:
    each, order = f"{prefix}p", f"{prefix}i"
    count = numpy_helper.from_array(np.array([classes], np.int64), f"{prefix}k")
    nodes = [
        helper.make_node("Softmax", [logits], [each], axis=-1),
        helper.make_node("TopK", [each, count.name], [parts, order], axis=-1),
    ]
    return nodes, [count]
