from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.plugins.targets.info import OnnxRuntimeCpuParams
from stillhouse.plugins.targets.onnxruntime_cpu import OnnxRuntimeCpu

Mix = Callable[[Tensor, Tensor, Tensor], Tensor]


class _Attention(nn.Module):
    """Three separate projections of (batch, 5, 12) to two heads of four, mixed as told."""

    def __init__(self, mix: Mix, heads_last: bool = False) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(12, 8) for _ in range(3))
        self.mix, self.heads_last = mix, heads_last
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))

    def _heads(self, x: Tensor) -> Tensor:
        if self.heads_last:
            return x.view(1, 5, 4, 2).permute(0, 3, 1, 2)
        return x.view(1, 5, 2, 4).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (self._heads(layer(x)) for layer in (self.q, self.k, self.v))
        return self.mix(q, k, v).transpose(1, 2).flatten(2)


def _plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(q, k, v)


def _scaled(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(q, k, v, scale=0.3)


def _divided(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return ((q / 2.0) @ (k * 0.5).transpose(-1, -2)).softmax(-1) @ v


def _causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(q, k, v, is_causal=True)


def _relative(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.transpose(-1, -2) + torch.eye(5)).softmax(-1) @ v


def _over_queries(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.transpose(-1, -2)).softmax(-2) @ v


def _inspected(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = (q @ k.transpose(-1, -2)).softmax(-1)
    return weights @ v + weights.sum(-1, keepdim=True)


def _value_scaled(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.transpose(-1, -2)).softmax(-1) @ (v * 3.0)


def _attentions(module: nn.Module, folder: Path, exporter: str) -> int:
    """Exports (outputs are compared on the way) and counts fused attentions."""
    target = OnnxRuntimeCpu(OnnxRuntimeCpuParams(exporter=exporter))
    example = torch.randn(1, 5, 12, generator=torch.Generator().manual_seed(1))
    exported = target.export(module, example, folder / "net.onnx")
    inputs = torch.randn(3, 5, 12, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected = np.concatenate([module.eval()(inputs[i : i + 1]).numpy() for i in range(3)])
    assert np.abs(target.run(exported.path, inputs) - expected).max() < 1e-4
    return [node.op_type for node in onnx.load(exported.path).graph.node].count("Attention")


@pytest.mark.parametrize("mix", [_plain, _scaled, _divided])
def test_attention_over_separate_projections_is_recognised(tmp_path: Path, mix: Mix) -> None:
    assert _attentions(_Attention(mix), tmp_path, "torchscript") == 1


def test_the_operator_that_the_dynamo_exporter_writes_takes_whole_tensors(tmp_path: Path) -> None:
    assert _attentions(_Attention(_scaled), tmp_path, "dynamo") == 1
    operators = [node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node]
    assert "Transpose" not in operators


@pytest.mark.parametrize("mix", [_causal, _relative, _over_queries, _inspected, _value_scaled])
def test_what_is_not_plain_attention_is_left_as_it_is(tmp_path: Path, mix: Mix) -> None:
    assert _attentions(_Attention(mix), tmp_path, "torchscript") == 0


def test_heads_that_are_not_runs_of_features_are_left_as_they_are(tmp_path: Path) -> None:
    assert _attentions(_Attention(_plain, heads_last=True), tmp_path, "torchscript") == 0
