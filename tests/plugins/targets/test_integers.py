"""Graphs with rounded constants, rewritten: the same answers, by integer kernels where they are."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from stillhouse.plugins.targets.integers import settle_integers

RNG = np.random.default_rng(0)
X = RNG.standard_normal((1, 6, 8)).astype(np.float32)
WHOLE = RNG.integers(-127, 128, (4, 6, 3)).astype(np.int8)
NORM = {
    "scale": np.array([1.5, -0.7, 0.0, 2.0]),
    "shift": RNG.standard_normal(4),
    "mean": RNG.standard_normal(4),
    "variance": np.array([0.5, 1.0, 2.0, 0.1]),
}


def node(operator: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), [output], **attributes)


ENTERING = [
    node("QuantizeLinear", "x x_step x_zero", "q"),
    node("DequantizeLinear", "q x_step x_zero", "entering"),
    node("DequantizeLinear", "whole steps", "weight", axis=0),
]
LEAVING = [
    node("QuantizeLinear", "y y_step y_zero", "r"),
    node("DequantizeLinear", "r y_step y_zero", "out"),
]


def built(nodes: list[onnx.NodeProto], opset: int = 21, **constants: Any) -> onnx.ModelProto:
    given = {
        "x_step": np.float32(0.03), "x_zero": np.uint8(120), "y_step": np.float32(0.2),
        "y_zero": np.uint8(110), "whole": WHOLE,
        "steps": np.linspace(0.01, 0.04, 4).astype(np.float32),
        **{name: values.astype(np.float32) for name, values in NORM.items()}, **constants,
    }  # fmt: skip
    read = {name for one in nodes for name in one.input}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(X.shape))],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in given.items() if n in read],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    model = onnx.shape_inference.infer_shapes(model)
    del model.graph.value_info[:]
    return model


def answer(model: onnx.ModelProto, optimised: bool = True, path: Path | None = None) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if path is not None:
        options.optimized_model_filepath = str(path)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": X})[0]


def rewritten(model: onnx.ModelProto, folder: Path) -> tuple[Any, Counter[str]]:
    """Answers after, and the operators that a session runs."""
    settle_integers(model)
    onnx.checker.check_model(model, full_check=True)
    after = answer(model, path=folder / "optimised.onnx")
    ran = onnx.load(folder / "optimised.onnx").graph.node
    return after, Counter(one.op_type for one in ran)


NORMED = node("BatchNormalization", "conv scale shift mean variance", "normed")


def test_a_batch_norm_becomes_part_of_the_steps_whatever_its_sign(tmp_path: Path) -> None:
    nodes = [
        *ENTERING,
        node("Conv", "entering weight", "conv"),
        NORMED,
        node("Relu", "normed", "y"),
    ]
    nought = {"y_zero": np.uint8(0)}
    before = answer(built([*nodes, *LEAVING], **nought), optimised=False)
    after, ran = rewritten(built([*nodes, *LEAVING], **nought), tmp_path)
    assert ran["QLinearConv"] == 1
    assert not {"Conv", "BatchNormalization", "Relu", "Mul", "Sub"} & set(ran)
    # One level where a bias, rounded to whole numbers, brings an answer over a border.
    assert np.abs(after - before).max() <= 0.2 + 1e-6
    assert np.mean(after != before) < 0.1


def test_where_nothing_rounds_the_answer_weights_become_floats_once(tmp_path: Path) -> None:
    nodes = [
        *ENTERING,
        node("Conv", "entering weight", "conv"),
        NORMED,
        node("Elu", "normed", "out"),
    ]
    before = answer(built(nodes), optimised=False)
    after, ran = rewritten(built(nodes), tmp_path)
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5)
    assert ran["Conv"] + ran["FusedConv"] == 1
    assert not {"BatchNormalization", "Cast", "Mul"} & set(ran)


@pytest.mark.parametrize("bias", [True, False])
def test_a_product_of_two_axes_runs_on_integers_with_and_without_a_bias(
    bias: bool, tmp_path: Path
) -> None:
    product = (
        [node("Gemm", "entering weight shift", "out", transB=1)]
        if bias
        else [node("Transpose", "weight", "turned"), node("MatMul", "entering turned", "out")]
    )
    nodes = [node("Reshape", "x shape", "rows"), *ENTERING, *product]
    nodes[1] = node("QuantizeLinear", "rows x_step x_zero", "q")
    given = {"shape": np.array([6, 8]), "whole": WHOLE.reshape(-1)[:32].reshape(4, 8)}
    before = answer(built(nodes, **given), optimised=False)
    after, ran = rewritten(built(nodes, **given), tmp_path)
    assert ran == Counter(Reshape=1, QuantizeLinear=1, QGemm=1)
    # A bias is a whole number of products of steps.
    np.testing.assert_allclose(after, before, atol=0.03 * 0.04 / 2 + 1e-4)


@pytest.mark.parametrize(
    ("most", "entries", "packed"), [(7, 3, False), (7, 2, True), (9, 2, False)]
)
def test_4_bits_hold_what_fits_and_pairs(
    most: int, entries: int, packed: bool, tmp_path: Path
) -> None:
    whole = RNG.integers(-most, most + 1, (4, 3, entries)).astype(np.int8)
    whole[0, 0, 0] = most
    x = {"start": np.array([0]), "end": np.array([3]), "axes": np.array([1])}
    nodes = [node("Slice", "x start end axes", "rows"), *ENTERING]
    nodes[1] = node("QuantizeLinear", "rows x_step x_zero", "q")
    nodes += [node("Conv", "entering weight", "y"), *LEAVING]
    before = answer(built(nodes, whole=whole, **x), optimised=False)
    model = built(nodes, whole=whole, **x)
    after, ran = rewritten(model, tmp_path)
    kinds = Counter(c.data_type for c in model.graph.initializer)
    assert (kinds[TensorProto.INT4], kinds[TensorProto.INT8]) == ((1, 0) if packed else (0, 1))
    np.testing.assert_array_equal(after, before)
    assert ran["QLinearConv"] == 1
    assert ran["Cast"] == 0


def test_before_opset_21_two_share_a_byte_all_the_same(tmp_path: Path) -> None:
    whole = RNG.integers(-8, 8, (4, 6, 2)).astype(np.int8)
    nodes = [*ENTERING, node("Conv", "entering weight", "y"), *LEAVING]
    before = answer(built(nodes, 20, whole=whole), optimised=False)
    model = built(nodes, 20, whole=whole)
    after, ran = rewritten(model, tmp_path)
    held = {(c.data_type, math.prod(c.dims)) for c in model.graph.initializer}
    assert (TensorProto.UINT8, whole.size / 2) in held
    assert TensorProto.INT8 not in {kind for kind, _ in held}
    np.testing.assert_array_equal(after, before)
    assert ran["QLinearConv"] == 1
    assert ran["BitShift"] == 0


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Conv", "x other", "out")],
        [ENTERING[2], node("Conv", "x weight", "conv"), node("Mul", "weight weight", "w2"),
         node("ReduceSum", "w2", "s", keepdims=0), node("Mul", "conv s", "out")],
        [node("DequantizeLinear", "whole steps", "w", axis=0), node("ReduceSum", "w", "s"),
         node("Mul", "x s", "out")],
    ],
    ids=["no integers", "read twice", "no product"],
)  # fmt: skip
def test_other_graphs_stay_as_they_are(nodes: list[onnx.NodeProto]) -> None:
    model = built(nodes, other=WHOLE.astype(np.float32))
    before = model.SerializeToString(deterministic=True)
    settle_integers(model)
    assert model.SerializeToString(deterministic=True) == before
