"""Constants in the branches of a graph take as little room in the file as those outside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from stillhouse.plugins.targets.graph_file import graphs
from stillhouse.plugins.targets.packed_signs import pack_signs
from stillhouse.plugins.targets.sparse_weights import pack_zeros

Values = NDArray[np.float32]
SIZE = 64


def drawn_signs(place: int) -> Values:
    sizes = 2.0 ** -np.arange(SIZE, dtype=np.float64).clip(max=5)
    signs = np.random.default_rng(place).choice([-1.0, 1.0], (SIZE, SIZE))
    return (signs * sizes).astype(np.float32)


def drawn_zeros(place: int) -> Values:
    rng = np.random.default_rng(place)
    return (rng.integers(1, 100, (SIZE, SIZE)) * (rng.random((SIZE, SIZE)) > 0.9)).astype(
        np.float32
    )


KINDS = {"signs": (pack_signs, drawn_signs), "zeros": (pack_zeros, drawn_zeros)}
Kind = tuple[Callable[[onnx.ModelProto], None], Callable[[int], Values]]


def model(drawn: Callable[[int], Values]) -> onnx.ModelProto:
    """x times w0, and that times w1, or times w2 and, in branches of that branch, w3 or w4."""

    def value(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, SIZE])

    def branch(name: str, x: str, *inner: onnx.NodeProto) -> onnx.GraphProto:
        weight = numpy_helper.from_array(drawn(int(name[1:])), f"w{name[1:]}")
        product = helper.make_node("MatMul", [x, weight.name], [f"y{name[1:]}"])
        return helper.make_graph(
            [product, *inner], name, [], [value((inner or (product,))[-1].output[0])], [weight]
        )

    def choice(sure: onnx.GraphProto, unsure: onnx.GraphProto, output: str) -> onnx.NodeProto:
        return helper.make_node("If", ["c"], [output], then_branch=sure, else_branch=unsure)

    deepest = choice(branch("b3", "y2"), branch("b4", "y2"), "z")
    unsure = branch("b2", "y0", deepest)
    top = branch("b0", "x", choice(branch("b1", "y0"), unsure, "y"))
    top.input.extend([value("x"), helper.make_tensor_value_info("c", TensorProto.BOOL, [])])
    imports = [helper.make_opsetid("", 23)]
    return helper.make_model(top, opset_imports=imports, ir_version=10)


def opened(whole: onnx.ModelProto, path: Path) -> list[Values]:
    """Answers of both ways; `path` gets what the runtime made of the graph."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(whole.SerializeToString(), options)
    x = np.random.default_rng(9).standard_normal((1, SIZE)).astype(np.float32)
    return [session.run(None, {"x": x, "c": np.array(sure)})[0] for sure in (True, False)]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_files_with_branches_are_as_small_and_answer_and_run_as_before(
    kind: Kind, tmp_path: Path
) -> None:
    pack, drawn = kind
    dense, packed = model(drawn), model(drawn)
    pack(packed)
    onnx.checker.check_model(packed, full_check=True)
    assert packed.ByteSize() < dense.ByteSize() / 3
    expected, came = (
        opened(one, tmp_path / f"{place}.onnx") for place, one in enumerate((dense, packed))
    )
    assert all(np.array_equal(a, b) for a, b in zip(expected, came, strict=True))
    run = [
        node.op_type for one in graphs(onnx.load(tmp_path / "1.onnx").graph) for node in one.node
    ]
    assert sorted(run) == ["If", "If", *["MatMul"] * 5]
