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


def _passed_over(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """With a mask that depends on the data: true where a key's first feature is positive."""
    kept = k[:, :1, None, :, 0] > 0
    return functional.scaled_dot_product_attention(q, k, v, kept)


def _per_query(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.transpose(-1, -2)
    kept = scores >= scores.mean(-1, keepdim=True)
    return scores.masked_fill(~kept, -torch.inf).softmax(-1) @ v


def _penalised(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(q, k, v, k[:, :1, None, :, 0])


class _Twice(nn.Module):
    """Two attentions over (1, 5, 12) that pass over the positions that begin below 0."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([_Attention(_plain), _Attention(_plain)])
        with torch.no_grad():
            self.parts[1].q.weight.mul_(2.0)  # else exporters write one attention for both

    def forward(self, x: Tensor) -> Tensor:
        kept, out = (x[:, None, None, :, 0] > 0), []
        for part in self.parts:
            q, k, v = (part._heads(layer(x)) for layer in (part.q, part.k, part.v))
            mixed = functional.scaled_dot_product_attention(q, k, v, kept)
            out.append(mixed.transpose(1, 2).flatten(2))
        return torch.cat(out, -1)


def test_masks_that_hide_positions_are_recognised(tmp_path: Path) -> None:
    assert _attentions(_Attention(_passed_over), tmp_path, "torchscript") == 1


def test_a_mask_is_repeated_for_the_queries_once_a_graph(tmp_path: Path) -> None:
    assert _attentions(_Twice(), tmp_path, "torchscript") == 2
    operators = [node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node]
    assert operators.count("Expand") == 1


def test_a_query_that_sees_nothing_gets_zeros(tmp_path: Path) -> None:
    target = OnnxRuntimeCpu(OnnxRuntimeCpuParams())
    net = _Twice()
    example = torch.randn(1, 5, 12, generator=torch.Generator().manual_seed(1))
    path = target.export(net, example, tmp_path / "net.onnx").path
    assert not target.run(path, -example.abs()).any()
    with torch.no_grad():
        assert not net(-example.abs()).any()


def test_the_dynamo_exporters_masks_are_repeated_too(tmp_path: Path) -> None:
    assert _attentions(_Twice(), tmp_path, "dynamo") == 2


@pytest.mark.parametrize("mix", [_per_query, _penalised])
def test_other_masks_answer_the_same(tmp_path: Path, mix: Mix) -> None:
    _attentions(_Attention(mix), tmp_path, "torchscript")


@pytest.mark.parametrize("mix", [_causal, _relative, _over_queries, _inspected, _value_scaled])
def test_what_is_not_plain_attention_is_left_as_it_is(tmp_path: Path, mix: Mix) -> None:
    assert _attentions(_Attention(mix), tmp_path, "torchscript") == 0


def test_heads_that_are_not_runs_of_features_are_left_as_they_are(tmp_path: Path) -> None:
    assert _attentions(_Attention(_plain, heads_last=True), tmp_path, "torchscript") == 0
