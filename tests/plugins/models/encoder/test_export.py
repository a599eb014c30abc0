"""Encoders as ONNX: the same answers, products as Gemm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stillhouse.plugins.models.encoder.hubert import HubertFamily
from stillhouse.plugins.models.encoder.network import Encoder
from stillhouse.plugins.targets.info import OnnxRuntimeCpuParams
from stillhouse.plugins.targets.onnxruntime_cpu import OnnxRuntimeCpu

Structure = dict[str, Any]


def products(path: Path) -> list[str]:
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(path).graph
    stored = {tensor.name for tensor in graph.initializer}
    return [
        node.op_type
        for node in graph.node
        if node.op_type in ("Gemm", "MatMul") and stored.intersection(node.input)
    ]


@pytest.mark.parametrize("front_end", ["waveform", "fbank"])
def test_a_subnet_answers_in_onnx_runtime_as_in_torch(
    tmp_path: Path,
    tiny: Callable[..., Structure],
    built: Callable[[Structure], Encoder],
    inputs: Callable[..., Tensor],
    front_end: str,
) -> None:
    full = tiny(front_end="both")
    twin = HubertFamily().elastic(built(full))
    twin.set_active({"width": 8, "depth": 4, "heads": 3, "ffn_ratio": 3.5, "front_end": front_end})
    network, target = twin.extract(), OnnxRuntimeCpu(OnnxRuntimeCpuParams(batch=1))
    path = target.export(network, inputs(full, 1), tmp_path / "model.onnx").path
    x = inputs(full, 3)
    with torch.no_grad():
        expected = network(x).numpy()
    np.testing.assert_allclose(target.run(path, x), expected, atol=2e-5)
    # One for the projection, four a layer, one for the head.
    assert products(path) == ["Gemm"] * (1 + 4 * 4 + 1)
