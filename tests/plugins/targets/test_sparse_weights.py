"""Constants with zeros take less room in the file, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from stillhouse.plugins.targets.sparse_weights import pack_zeros

Values = NDArray[np.generic]


def model(*weights: Values, opset: int = 23) -> onnx.ModelProto:
    """A chain of products of its input with matrices."""
    nodes, name = [], "x"
    for place, weight in enumerate(weights):
        wide = f"w{place}"
        if weight.dtype != np.float32:
            nodes.append(helper.make_node("Cast", [wide], [f"f{place}"], to=TensorProto.FLOAT))
            wide = f"f{place}"
        nodes.append(helper.make_node("MatMul", [name, wide], [f"y{place}"]))
        name = f"y{place}"
    shapes = [1, weights[0].shape[0]], [1, weights[-1].shape[1]]
    given, answer = (
        helper.make_tensor_value_info(n, TensorProto.FLOAT, shape)
        for n, shape in zip(("x", name), shapes, strict=True)
    )
    constants = [numpy_helper.from_array(w, f"w{i}") for i, w in enumerate(weights)]
    graph = helper.make_graph(nodes, "g", [given], [answer], constants)
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def drawn(rows: int, columns: int, zeros: float, dtype: type = np.float32) -> Values:
    rng = np.random.default_rng(rows * columns)
    values = rng.integers(1, 100, (rows, columns)) * (rng.random((rows, columns)) >= zeros)
    return values.astype(dtype)


def optimised(model: onnx.ModelProto, path: Path) -> tuple[onnx.GraphProto, Values]:
    """What ONNX Runtime runs, and what it answers."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    size = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    x = np.random.default_rng(0).standard_normal((1, size)).astype(np.float32)
    return onnx.load(path).graph, session.run(None, {"x": x})[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8, np.uint8])
@pytest.mark.parametrize("shapes", [((64, 40), (40, 33)), ((61, 41), (41, 7)), ((64, 64),)])
def test_what_runs_and_what_it_answers_is_that_of_the_dense_file(
    dtype: type, shapes: tuple[tuple[int, int], ...], tmp_path: Path
) -> None:
    weights = [drawn(*shape, 0.8, dtype) for shape in shapes]
    dense, sparse = model(*weights), model(*weights)
    pack_zeros(sparse)
    onnx.checker.check_model(sparse)
    assert len(sparse.SerializeToString()) < len(dense.SerializeToString())
    (one, expected), (two, came) = (
        optimised(m, tmp_path / f"{i}.onnx") for i, m in enumerate((dense, sparse))
    )
    assert np.array_equal(came, expected)
    assert [node.op_type for node in two.node] == [node.op_type for node in one.node]
    kept = [
        sorted(numpy_helper.to_array(c).tobytes() for c in graph.initializer)
        for graph in (one, two)
    ]
    assert kept[0] == kept[1]


def test_the_file_holds_a_bit_an_entry_and_what_is_not_zero() -> None:
    sizes = {}
    for zeros in (0.5, 0.9):
        weight = drawn(256, 256, zeros)
        packed = model(weight)
        pack_zeros(packed)
        own = 4 * np.count_nonzero(weight) + 256 * 256 // 8
        sizes[zeros] = len(packed.SerializeToString()) - own
    assert abs(sizes[0.5] - sizes[0.9]) <= 4
    assert sizes[0.5] < 600


def test_files_that_would_not_be_smaller_stay_as_they_are() -> None:
    for weights in (
        [drawn(64, 64, 0.0)], [drawn(64, 64, 0.01)], [drawn(8, 8, 0.9)], [drawn(5, 4, 1.0)],
    ):  # fmt: skip
        dense, same = model(*weights), model(*weights)
        pack_zeros(same)
        assert same == dense


def test_opsets_without_bitwise_operators_stay_dense() -> None:
    old = model(drawn(64, 64, 0.9), opset=17)
    before = old.SerializeToString()
    pack_zeros(old)
    assert old.SerializeToString() == before
