"""A graph of several answers as one that stops at the first that is sure: nested `If` nodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from stillhouse.core.errors import UserError
from stillhouse.core.measure import THRESHOLD
from stillhouse.plugins.dynamic.info import Criterion
from stillhouse.plugins.dynamic.rule_nodes import rule

_ANSWER: Final = "logits"


def branched(
    model: onnx.ModelProto, criterion: Criterion, thresholds: Sequence[float]
) -> onnx.ModelProto:
    """Nodes that an exit needs run before its rule; all others lie in the branch for the unsure.

    `model` has one output for each threshold, in order, and a last one; it is taken over. Works on
    whatever the answers are computed with, quantised or not. A constant lies with the nodes that
    read it, and before them where nodes of several branches do; thresholds are constants of the
    whole graph, called `THRESHOLD` and their number.

    Raises `UserError` for a graph of more than one sample: a branch is taken for all of them.
    """
    graph = model.graph
    _check_batch(graph)
    levels = _levels(graph)
    answers = list(graph.output)
    inner = _branch(answers[-1], levels.nodes[-1], levels.constants[-1], len(thresholds))
    for place in reversed(range(len(thresholds))):
        nodes, constants = levels.nodes[place], levels.constants[place]
        own = _deciding(answers[place], place, criterion, inner)
        inner = _graph([*nodes, *own[0]], [*constants, *own[1]], own[2], answers[place], place)
    del graph.node[:], graph.initializer[:], graph.output[:], graph.value_info[:]
    graph.node.extend(inner.node)
    scalars = [
        numpy_helper.from_array(np.array(value, np.float32), f"{THRESHOLD}{place}")
        for place, value in enumerate(thresholds)
    ]
    graph.initializer.extend([*scalars, *inner.initializer])
    graph.output.extend(inner.output)
    return model


def _check_batch(graph: onnx.GraphProto) -> None:
    size = graph.input[0].type.tensor_type.shape.dim[0].dim_value
    if size != 1:
        raise UserError(
            f"early-exit: expected a target that runs one sample at a time, got a batch of {size}: "
            "a batch goes on until its last sample is sure; set the target's batch to 1"
        )


class _Levels:
    """Nodes and constants by the first answer that needs them."""

    def __init__(self, count: int) -> None:
        self.nodes: list[list[NodeProto]] = [[] for _ in range(count)]
        self.constants: list[list[TensorProto]] = [[] for _ in range(count)]


def _levels(graph: onnx.GraphProto) -> _Levels:
    found = _Levels(len(graph.output))
    for node, place in zip(graph.node, _first_needed(graph), strict=True):
        if place is not None:
            found.nodes[place].append(node)
    used: dict[str, int] = {}
    for place, nodes in reversed(list(enumerate(found.nodes))):
        used |= dict.fromkeys((name for node in nodes for name in _read(node)), place)
    used |= {value.name: place for place, value in reversed(list(enumerate(graph.output)))
             if value.name not in used}  # fmt: skip
    for constant in graph.initializer:
        if constant.name in used:
            found.constants[used[constant.name]].append(constant)
    return found


def _first_needed(graph: onnx.GraphProto) -> list[int | None]:
    """For each node the number of the first output that depends on it, if one does."""
    level: list[int | None] = [None] * len(graph.node)
    for number, output in enumerate(graph.output):
        needed = {output.name}
        for place in reversed(range(len(level))):  # nodes are in topological order
            node = graph.node[place]
            if needed.intersection(node.output):
                needed.update(_read(node))
                if level[place] is None:
                    level[place] = number
    return level


def _read(node: NodeProto) -> Iterator[str]:
    """Tensors that a node reads, also inside its own graphs."""
    yield from node.input
    for attribute in node.attribute:
        graphs = [attribute.g] if attribute.HasField("g") else list(attribute.graphs)
        for graph in graphs:
            for inner in graph.node:
                yield from _read(inner)
            yield from (value.name for value in graph.output)


def _deciding(
    answer: ValueInfoProto, place: int, criterion: Criterion, unsure: onnx.GraphProto
) -> tuple[list[NodeProto], list[TensorProto], str]:
    """The rule and the branches behind it; what they write."""
    classes = answer.type.tensor_type.shape.dim[1].dim_value
    condition, result = f"x{place}", _ANSWER if place == 0 else f"y{place}"
    nodes, constants = rule(
        answer.name, classes, criterion, f"{THRESHOLD}{place}", f"x{place}", condition
    )
    sure = _branch(answer, [], [], place, "z")
    branches = {"then_branch": sure, "else_branch": unsure}
    return [*nodes, helper.make_node("If", [condition], [result], **branches)], constants, result


def _branch(
    answer: ValueInfoProto,
    nodes: Sequence[NodeProto],
    constants: Sequence[TensorProto],
    place: int,
    prefix: str = "y",
) -> onnx.GraphProto:
    """Nodes and an answer, which may come from outside."""
    inside = any(answer.name in node.output for node in nodes)
    name = answer.name if inside else f"{prefix}{place}"
    copy = [] if inside else [helper.make_node("Identity", [answer.name], [name])]
    return _graph([*nodes, *copy], constants, name, answer, place)


def _graph(
    nodes: Sequence[NodeProto],
    constants: Sequence[TensorProto],
    output: str,
    like: ValueInfoProto,
    place: int,
) -> onnx.GraphProto:
    value = ValueInfoProto()
    value.CopyFrom(like)
    value.name = output
    return helper.make_graph(nodes, f"g{place}", [], [value], constants)
