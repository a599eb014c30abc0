from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from stillhouse.core.cost.latency.shapes import FUNCTIONS, Shape, shapes_of
from stillhouse.core.evaluate.context import Silent
from stillhouse.core.measure import DeviceFile
from stillhouse.core.measure.blocks import general_shapes, latency_models, measure_blocks
from stillhouse.plugins.models.keyword_transformer.sheet import keyword_transformer_sheet
from stillhouse.plugins.targets.blocks import block_model
from stillhouse.plugins.targets.info import OnnxRuntimeCpuParams
from stillhouse.plugins.targets.onnxruntime_cpu import OnnxRuntimeCpu

CASES = {
    "Gemm": Shape("linear", 6, 8, 12, bias=1),
    "MatMul": Shape("linear", 6, 8, 12),
    "Attention": Shape("attention", 6, 4, 6, groups=3),
    "LayerNormalization": Shape("norm", 6, 0, 8, bias=1),
    "Gather": Shape("table", 6, 0, 8),
    "ReduceMean": Shape("mean", 1, 0, 8, read_positions=6),
    "Add": Shape("add", 6, 0, 8, read_positions=12),
    "LSTM": Shape("recurrent", 6, 8, 12, groups=4, bias=1),
    "GRU": Shape("recurrent", 6, 8, 12, groups=3, bias=1),
    "Conv": Shape("conv1d", 6, 8, 12, kernel=3, groups=4, bias=1, read_positions=12),
}


def _operators(model: onnx.ModelProto, folder: Path) -> Counter[str]:
    """What the runtime makes of a file, once loaded and optimised."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return Counter(n.op_type for n in onnx.load(options.optimized_model_filepath).graph.node)


@pytest.mark.parametrize("operator", CASES)
@pytest.mark.parametrize("batch", [1, 2])
def test_the_runtime_runs_as_many_operators_as_there_are_copies(
    operator: str, batch: int, tmp_path: Path
) -> None:
    model = block_model(CASES[operator], 3, batch, 23)
    assert model is not None
    onnx.checker.check_model(model, full_check=True)
    found = _operators(model, tmp_path)
    assert (found[operator], found["Slice"], found["Sum"]) == (3, 3, 1)
    assert found["ConstantOfShape"] == 0


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_every_function_of_elementwise_rows_can_be_written(function: str) -> None:
    model = block_model(Shape(function, 6, 0, 8), 2, 1, 23)
    assert model is not None
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize(
    "shape",
    [
        Shape("attention", 6, 4, 9, groups=3),
        Shape("matmul", 6, 4, 9, groups=3),
        Shape("conv2d", 16, 4, 8, kernel=9, bias=1, read_positions=64),
        Shape("conv2d", 7, 4, 8, kernel=3),
        Shape("cache", 8, 16, 16, groups=4),
        Shape("norm", 6, 0, 8),
    ],
    ids=lambda shape: shape.key,
)
def test_less_common_shapes_can_be_written_too(shape: Shape, tmp_path: Path) -> None:
    model = block_model(shape, 2, 1, 23)
    assert model is not None
    onnx.checker.check_model(model, full_check=True)
    assert _operators(model, tmp_path)["Slice"] == 2


def test_a_convolution_has_the_positions_of_its_shape() -> None:
    for stride, kernel in ((1, 3), (2, 3), (2, 5), (3, 1)):
        shape = Shape("conv1d", 10, 4, 4, kernel=kernel, read_positions=10 * stride)
        model = block_model(shape, 1, 1, 23)
        assert model is not None
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
        (conv,) = (node for node in inferred.graph.node if node.op_type == "Conv")
        (value,) = (v for v in inferred.graph.value_info if v.name == conv.output[0])
        assert [d.dim_value for d in value.type.tensor_type.shape.dim] == [1, 4, 10]


def test_a_file_without_blocks_only_cuts_and_sums(tmp_path: Path) -> None:
    model = block_model(None, 4, 1, 23)
    assert model is not None
    assert _operators(model, tmp_path) == {"Slice": 4, "Sum": 1}


def test_a_file_is_small_however_large_its_weights() -> None:
    model = block_model(Shape("linear", 8, 4096, 4096, bias=1), 4, 1, 23)
    assert model is not None
    assert model.ByteSize() < 4_000


@pytest.mark.parametrize(
    ("shape", "opset"),
    [
        (Shape("attention", 6, 4, 6, groups=3), 22),
        (Shape("gelu", 6, 0, 8), 19),
        (Shape("linear", 6, 8, 8, weight_bits=8, activation_bits=8), 23),
        (Shape("recurrent", 6, 8, 8, groups=2), 23),
        (Shape("unheard-of", 6, 0, 8), 23),
    ],
    ids=["attention spelt out", "gelu spelt out", "8 bits", "two gates", "unknown kind"],
)
def test_what_an_export_does_not_hold_as_one_operator_is_no_block(shape: Shape, opset: int) -> None:
    assert block_model(shape, 2, 1, opset) is None


FULL = {
    "input_shape": [16, 13], "outputs": 4, "width": 32, "depth": 2, "heads": [2, 2],
    "ffn_ratio": 1.0, "hidden": [32, 32], "head_dim": 16, "activation": "gelu",
}  # fmt: skip


def test_all_blocks_of_a_keyword_transformer_are_measured_and_predict_it(tmp_path: Path) -> None:
    target = OnnxRuntimeCpu(OnnxRuntimeCpuParams())
    device = DeviceFile.open(tmp_path / "device.json", target.identity())
    width, depth = np.array([16.0, 32.0]), np.array([1.0, 2.0])
    sheet = keyword_transformer_sheet(FULL, {"width": width, "depth": depth})
    shapes = [s for s in general_shapes(np.random.default_rng(0)) if s.kind in ("linear", "norm")]
    wanted = [*shapes_of(sheet), *shapes]
    assert measure_blocks(target, wanted, device, Silent(), repeats=3) == []
    table, roofline = latency_models(device, sheet)
    for model in (table, roofline):
        small, large = model.predict(sheet)
        assert 0 < small < large < 10
