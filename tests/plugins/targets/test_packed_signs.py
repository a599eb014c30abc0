"""Constants of one size in a row: a bit an entry in the file, the same numbers in a session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from stillhouse.plugins.targets.packed_signs import pack_signs

SIZES = {
    "one size": lambda rows: np.full(rows, 0.5),
    "a size a row": lambda rows: 2.0 ** -np.arange(1, rows + 1, dtype=np.float64).clip(max=9),
    "sizes that half precision lacks": lambda rows: 0.1 + np.arange(rows) / 7,
}


def drawn(rows: int, entries: int, sizes: Any) -> Any:
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (rows, entries))
    return (signs * sizes(rows)[:, None]).astype(np.float32)


def model(operator: str, weight: Any, x: tuple[int, ...], **attributes: Any) -> onnx.ModelProto:
    node = helper.make_node(operator, ["x", "w"], ["y"], **attributes)
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, x)
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * len(x))
    graph = helper.make_graph([node], "g", [given], [made], [numpy_helper.from_array(weight, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def answer(graph: onnx.ModelProto, x: tuple[int, ...]) -> Any:
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    inputs = np.random.default_rng(1).standard_normal(x).astype(np.float32)
    return session.run(None, {"x": inputs})[0]


def copied(graph: onnx.ModelProto) -> onnx.ModelProto:
    other = onnx.ModelProto()
    other.CopyFrom(graph)
    return other


READERS: dict[str, Any] = {
    "MatMul": lambda w: model("MatMul", np.ascontiguousarray(w.T), (3, w.shape[1])),
    "Gemm": lambda w: model("Gemm", w, (3, w.shape[1]), transB=1),
    "Gemm, untransposed": lambda w: model("Gemm", np.ascontiguousarray(w.T), (3, w.shape[1])),
    "Conv": lambda w: model("Conv", w.reshape(len(w), -1, 3), (1, w.shape[1] // 3, 8)),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("entries", [48, 51])
def test_answers_stay_the_same_bit_for_bit(reader: str, sizes: str, entries: int) -> None:
    whole = READERS[reader](drawn(32, entries, SIZES[sizes]))
    packed = copied(whole)
    pack_signs(packed)
    onnx.checker.check_model(packed)
    bits = next(c for c in packed.graph.initializer if c.name == "w.bits")
    assert list(bits.dims) == [32, -(-entries // 8), 1]
    assert packed.ByteSize() < whole.ByteSize() / 3
    x = tuple(d.dim_value for d in whole.graph.input[0].type.tensor_type.shape.dim)
    assert np.array_equal(answer(packed, x), answer(whole, x))


def test_an_open_session_holds_the_whole_tensor_and_unpacks_no_more(tmp_path: Path) -> None:
    packed = READERS["Gemm"](drawn(64, 64, SIZES["one size"]))
    pack_signs(packed)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "open.onnx")
    onnxruntime.InferenceSession(
        packed.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    assert [node.op_type for node in onnx.load(tmp_path / "open.onnx").graph.node] == ["Gemm"]


OTHERS = {
    "another number": lambda w: np.where(np.arange(w.size).reshape(w.shape) == 77, 0.25, w),
    "a zero": lambda w: np.where(np.arange(w.size).reshape(w.shape) == 77, 0.0, w),
    "no number": lambda w: np.where(np.arange(w.size).reshape(w.shape) == 77, np.nan, w),
    "infinite": lambda w: w * np.inf,
    "all zero": lambda w: w * 0,
    "small": lambda w: w[:8],
    "doubles": lambda w: w.astype(np.float64),
}


@pytest.mark.parametrize("name", OTHERS)
def test_all_else_is_left_as_it_is(name: str) -> None:
    weight = drawn(32, 16, SIZES["one size"])
    made = OTHERS[name](weight)
    given = READERS["MatMul"](made.astype(np.float64 if name == "doubles" else np.float32))
    before = given.SerializeToString(deterministic=True)
    pack_signs(given)
    assert given.SerializeToString(deterministic=True) == before
