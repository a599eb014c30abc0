from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from stillhouse.plugins.targets.layout import Graph, drop_identities, origin

SHAPE = (2, 3, 12)

Step = tuple[str, list[list[int]], dict[str, object]]
"""Operator, constant inputs, attributes."""

CHAINS: dict[str, list[Step]] = {
    "reshape keeps sizes given as 0": [("Reshape", [[0, 0, 3, -1]], {})],
    "flatten": [("Flatten", [], {"axis": 2})],
    "transpose without a permutation reverses": [("Transpose", [], {})],
    "squeeze undoes unsqueeze": [("Unsqueeze", [[1]], {}), ("Squeeze", [[1]], {})],
    "slice backwards off the front": [("Slice", [[-1], [-(2**62)], [1], [-2]], {})],
    "slice from the end": [("Slice", [[-4], [12], [2]], {})],
    "gather drops an axis": [("Gather", [[1]], {"axis": 1}), ("Squeeze", [[1]], {})],
    "split in unequal parts": [("Split", [[5, 7]], {"axis": 2})],
    "split in equal parts": [("Split", [], {"axis": 2, "num_outputs": 3})],
    "heads first": [("Reshape", [[2, 3, 4, 3]], {}), ("Transpose", [], {"perm": [0, 2, 1, 3]})],
}


def _model(steps: list[Step]) -> onnx.ModelProto:
    nodes, constants, name = [], [], "x"
    for i, (kind, given, attributes) in enumerate(steps):
        names = [f"c{i}.{j}" for j in range(len(given))]
        constants += [
            numpy_helper.from_array(np.array(values, np.int64), n)
            for n, values in zip(names, given, strict=True)
        ]
        outputs = [f"y{i}"] + ([f"y{i}.b"] if kind == "Split" else [])
        outputs += [f"y{i}.c"] if attributes.get("num_outputs") == 3 else []
        nodes.append(helper.make_node(kind, [name, *names], outputs, **attributes))
        name = outputs[-1] if kind == "Split" else outputs[0]
    nodes.append(helper.make_node("Neg", [name], ["out"]))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


@pytest.mark.parametrize("name", CHAINS)
def test_elements_are_followed_as_the_reference_moves_them(name: str) -> None:
    model = _model(CHAINS[name])
    values = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    (expected,) = ReferenceEvaluator(model).run(None, {"x": values})
    traced = origin(Graph.of(model), model.graph.node[-1].input[0])
    assert (traced.source, traced.source_size, traced.scale) == ("x", values.size, 1.0)
    assert np.array_equal(-traced.indices.astype(np.float32), expected)


def test_what_layout_operators_leave_as_it_was_is_bypassed() -> None:
    model = _model([("Reshape", [[6, 12]], {}), ("Reshape", [[2, 3, 12]], {})])
    drop_identities(model)
    assert list(model.graph.node[-1].input) == ["x"]


def test_what_only_has_the_same_shape_is_not_bypassed() -> None:
    model = _model([("Slice", [[-1], [-(2**62)], [0], [-1]], {})])
    drop_identities(model)
    assert list(model.graph.node[-1].input) == ["y0"]
