"""What ONNX Runtime makes of the exported graph: integer kernels, and torch's answers."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from stillhouse.core.cost.terms import weight_bytes
from stillhouse.core.evaluate import Choice
from stillhouse.core.measure.layer_form import deployed
from stillhouse.plugins.qat.info import QatParams
from stillhouse.plugins.qat.qat import Qat
from stillhouse.plugins.qat.quantisers import Range, Steps
from stillhouse.plugins.targets.info import OnnxRuntimeCpuParams, TorchCpuParams
from stillhouse.plugins.targets.onnxruntime_cpu import OnnxRuntimeCpu
from stillhouse.plugins.targets.torch_cpu import torch_cpu

FAMILIES = ("keyword-transformer", "depthwise", "residual", "plain-cnn", "vit", "hubert")


def optimised(path: Path) -> Counter[str]:
    """The operators that a session runs."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(path.with_suffix(".optimised.onnx"))
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    graph = onnx.load(options.optimized_model_filepath).graph
    return Counter(node.op_type for node in graph.node)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_layer_runs_as_an_integer_kernel_and_answers_as_torch(
    family: str, network: Any, applied: Any, tmp_path: Path
) -> None:
    context, _ = made = network(family)
    module = applied(made).module
    target = OnnxRuntimeCpu(OnnxRuntimeCpuParams())
    exported = target.export(module, context.task.example(1), tmp_path / "model.onnx")
    ran = optimised(exported.path)
    assert ran["QGemm"] + ran["QLinearConv"] == sum(isinstance(p, Steps) for p in module.modules())
    assert not {"Gemm", "MatMul", "Conv", "FusedConv", "BatchNormalization"} & set(ran)
    x = context.task.data.train.inputs
    with torch.no_grad():
        ours = module(x).numpy()
    # A rounding that goes the other way moves an answer as much as rounding does at all.
    theirs = target.run(exported.path, x)
    assert np.median(np.abs(ours - theirs)) < 0.02 * np.abs(ours).max()


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_timed_beforehand_runs_the_operators_of_what_is_made(
    family: str, network: Any, applied: Any, tmp_path: Path
) -> None:
    context, state = made = network(family)
    target, x = OnnxRuntimeCpu(OnnxRuntimeCpuParams()), context.task.example(1)
    timed = Qat().skeleton(state.student, Choice(QatParams()), context)
    paths = [
        target.export(student.module, x, tmp_path / f"{name}.onnx").path
        for name, student in (("timed", timed), ("made", applied(made)))
    ]
    assert optimised(paths[0]) == optimised(paths[1])


@pytest.mark.parametrize("family", ["keyword-transformer", "vit"])
def test_linear_layers_answer_as_torch_to_the_last_digits(
    family: str, network: Any, applied: Any, tmp_path: Path
) -> None:
    context, _ = made = network(family)
    for bits in (8, 4):
        module = applied(made, bits=bits).module
        target = OnnxRuntimeCpu(OnnxRuntimeCpuParams())
        exported = target.export(module, context.task.example(1), tmp_path / "model.onnx")
        assert exported.max_difference < 1e-5


@pytest.mark.slow
def test_the_other_exporter_writes_the_same_integers(
    network: Any, applied: Any, tmp_path: Path
) -> None:
    context, _ = made = network("keyword-transformer")
    module = applied(made, bits=4).module
    found = []
    for exporter in ("torchscript", "dynamo"):
        target = OnnxRuntimeCpu(OnnxRuntimeCpuParams(exporter=exporter))
        path = target.export(module, context.task.example(1), tmp_path / f"{exporter}.onnx").path
        packed = [
            (tuple(c.dims), c.raw_data) for c in onnx.load(path).graph.initializer
            if c.data_type in (onnx.TensorProto.INT4, onnx.TensorProto.INT8)
        ]  # fmt: skip
        found.append(sorted(packed))
        assert optimised(path)["QGemm"] == 10
    assert found[0] == found[1]
    assert len(found[0]) == 10


def test_weights_alone_are_stored_small_and_run_as_floats(
    network: Any, applied: Any, tmp_path: Path
) -> None:
    context, state = made = network("residual")
    target = OnnxRuntimeCpu(OnnxRuntimeCpuParams())
    x = context.task.example(1)
    whole = target.export(state.student.module, x, tmp_path / "whole.onnx")
    module = applied(made, activations=False).module
    assert not any(isinstance(part, Range) for part in module.modules())
    small = target.export(module, x, tmp_path / "small.onnx")
    assert small.size_bytes < 0.3 * whole.size_bytes
    assert optimised(small.path) == optimised(whole.path)
    assert small.max_difference < 1e-5


@pytest.mark.parametrize("family", ["keyword-transformer", "residual"])
def test_before_integers_of_4_bits_were_a_type_two_share_a_byte_too(
    family: str, network: Any, applied: Any, tmp_path: Path
) -> None:
    context, _ = made = network(family)
    module, x = applied(made, bits=4, head=4, front_end=4).module, context.task.example(1)
    held = []
    for opset, kind, share in ((23, onnx.TensorProto.INT4, 1), (18, onnx.TensorProto.UINT8, 2)):
        target = OnnxRuntimeCpu(OnnxRuntimeCpuParams(opset=opset))
        graph = onnx.load(target.export(module, x, tmp_path / f"{opset}.onnx").path).graph
        found = [c for c in graph.initializer if c.data_type == kind and math.prod(c.dims) > 1]
        held.append([math.prod(c.dims) * share for c in found])
    assert held[0] == held[1] != []
    assert optimised(tmp_path / "18.onnx")["BitShift"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("family", ["keyword-transformer", "residual"])
def test_torch_stores_whole_numbers_and_answers_the_same(
    family: str, network: Any, applied: Any, columns: Any, tmp_path: Path
) -> None:
    context, _ = made = network(family)
    target, x = torch_cpu(TorchCpuParams()), context.task.example(1)
    for bits in (8, 4):
        module = applied(made, bits=bits).module
        exported = target.export(module, x, tmp_path / "model.aten")
        assert exported.max_difference < 1e-6
        plain = context.family.sheet(context.full, context.family.columns([context.full]))
        sheet = Qat().sheet(plain, columns(1, bits=float(bits)), context)
        held = sum(t.nbytes for n, t in deployed(module).state_dict().items() if _counted(n))
        assert held == weight_bytes(sheet)


def _counted(name: str) -> bool:
    """Whether a tensor is a layer's own: no end of a range, no running statistic."""
    return not name.endswith(("low", "high", "num_batches_tracked")) and "running" not in name
