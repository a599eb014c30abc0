"""Front ends of token ids, image patches and Whisper's log-mel: elastic, counted, exported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from stillhouse.core.cost import terms
from stillhouse.core.cost.sheet import GROUPS, Operator
from stillhouse.core.cost.tracing import traced
from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.family import EncoderFamily
from stillhouse.plugins.models.encoder.front_ends import front_end
from stillhouse.plugins.models.encoder.network import Encoder, skeleton
from stillhouse.plugins.targets.info import OnnxRuntimeCpuParams
from stillhouse.plugins.targets.onnxruntime_cpu import OnnxRuntimeCpu

Structure = dict[str, Any]
Kind = tuple[EncoderFamily, Structure]
Built = Callable[[EncoderFamily, Structure], Encoder]
Draw = Callable[[Structure], Tensor]
Drawn = Callable[..., list[dict[str, Any]]]


def tensor_bytes(module: nn.Module) -> int:
    """Bytes of the tensors in a safetensors file, from its header."""
    file = safetensors.torch.save(module.state_dict())
    header = json.loads(file[8 : 8 + int.from_bytes(file[:8], "little")])
    return sum(end - begin for begin, end in (entry["data_offsets"] for entry in header.values()))


@torch.no_grad()
def test_the_full_configuration_is_the_plain_network_bit_for_bit(
    kind: Kind, built: Built, inputs: Draw
) -> None:
    family, full = kind
    plain, x = built(family, full), inputs(full)
    elastic = family.elastic(plain)
    expected = plain(x)
    assert torch.equal(elastic(x), expected)
    elastic.set_active({"width": 4, "depth": 1, "heads": 1, "ffn_ratio": 0.25})
    assert not torch.equal(elastic(x), expected)
    elastic.set_active({})
    assert torch.equal(elastic(x), expected)
    assert list(elastic.state_dict()) == list(plain.state_dict())


@torch.no_grad()
def test_extraction_is_the_sliced_forward_bit_for_bit(
    kind: Kind, built: Built, inputs: Draw, configurations: Drawn
) -> None:
    family, full = kind
    elastic, x = family.elastic(built(family, full)), inputs(full)
    for genes in configurations(10, {**full, "depth": 3}):
        elastic.set_active(genes)
        extracted = elastic.extract()
        assert torch.equal(extracted(x), elastic(x))
        shapes = {n: t.shape for n, t in skeleton(extracted.structure).state_dict().items()}
        assert {n: t.shape for n, t in extracted.state_dict().items()} == shapes


def test_a_narrow_front_end_is_a_prefix_of_the_full_one(
    kind: Kind, built: Built, inputs: Draw
) -> None:
    family, full = kind
    elastic = family.elastic(built(family, full))
    elastic.set_active({"width": 8})
    narrow, wide = elastic.extract().front_end.state_dict(), elastic.front_end.state_dict()
    assert list(narrow) == list(wide)
    for name, tensor in narrow.items():
        assert torch.equal(tensor, wide[name][tuple(slice(size) for size in tensor.shape)])


@pytest.mark.parametrize("count", [10, pytest.param(40, marks=pytest.mark.slow)])
def test_random_networks_are_counted_exactly(
    kind: Kind, inputs: Draw, configurations: Drawn, count: int
) -> None:
    family, full = kind
    structures = [family.subnet(full, genes) for genes in configurations(count, full)]
    sheet = family.sheet(full, family.columns(structures))
    assert {row.group for row in sheet.rows} <= set(GROUPS)
    found = terms.totals(sheet, ("parameters", "weight_bytes", "macs"))
    for place, structure in enumerate(structures):
        module = skeleton(structure).to_empty(device="cpu").eval()
        assert found["parameters"][place] == sum(w.numel() for w in module.parameters())
        assert found["weight_bytes"][place] == tensor_bytes(module)
        example = torch.zeros_like(inputs(structure)[:1])
        with sdpa_kernel(SDPBackend.MATH), torch.no_grad(), FlopCounterMode(display=False) as ran:
            module(example)
        assert found["macs"][place] == ran.get_total_flops() / 2


def test_the_rows_are_those_that_tracing_the_front_end_finds(kind: Kind, inputs: Draw) -> None:
    _, full = kind
    facts, shape = full["front_end"], full["input_shape"]
    part = front_end(facts)
    rows = tuple(part.rows(facts, shape, np.array([16.0]), 1.0))
    module = part.skeleton(facts, 16).to_empty(device="cpu")
    seen = traced(module, torch.zeros_like(inputs(full)[:1]))
    assert [(r.kind, written(r)) for r in rows if r.kind != "table"] == [
        (r.kind, written(r)) for r in seen if r.kind != "table"
    ]


def written(row: Operator) -> float:
    return float(np.max(row["positions"] * row["outputs"]))


def test_positions_are_what_the_front_end_gives(kind: Kind, built: Built, inputs: Draw) -> None:
    family, full = kind
    out = built(family, full).front_end(inputs(full))
    facts = full["front_end"]
    assert out.shape == (2, front_end(facts).positions(facts, full["input_shape"]), 16)


def test_a_subnet_answers_in_onnx_runtime_as_in_torch(
    kind: Kind, built: Built, inputs: Draw, tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    family, full = kind
    elastic = family.elastic(built(family, full))
    elastic.set_active({"width": 8, "depth": 2, "heads": 3, "ffn_ratio": 1.7})
    network, x = elastic.extract(), inputs(full)
    target = OnnxRuntimeCpu(OnnxRuntimeCpuParams(batch=1))
    path = target.export(network, x[:1], tmp_path / "model.onnx").path
    with torch.no_grad():
        expected = network(x).numpy()
    np.testing.assert_allclose(target.run(path, x), expected, atol=2e-5)
    graph = onnx.load(path).graph
    stored = {tensor.name for tensor in graph.initializer}
    products = [n.op_type for n in graph.node if n.op_type in ("Gemm", "MatMul")]
    taken = [n for n in graph.node if n.op_type == "MatMul" and stored.intersection(n.input)]
    assert not taken
    head, pooler = network.head is not None, network.pooler is not None
    assert products.count("Gemm") == 4 * 2 + head + pooler


@pytest.mark.parametrize(
    ("facts", "shape", "said"),
    [
        ({"kind": "tokens", "vocabulary": 9}, (3, 4), r"expected inputs of shape \(tokens,\)"),
        (
            {"kind": "patches", "patch": [4, 4], "channels": 3},
            (1, 8, 8),
            r"expected inputs of shape \(3, height, width\), the task gives \(1, 8, 8\)",
        ),
        (
            {"kind": "patches", "patch": [4, 4], "channels": 1},
            (3, 8),
            r"at least one patch \(4, 4\), the task gives \(3, 8\)",
        ),
        (
            {"kind": "log_mel", "mels": 80, "input": "waveform"},
            (200,),
            "more than 200 samples at 16 kHz .* gives 200",
        ),
        (
            {"kind": "log_mel", "mels": 80, "input": "waveform"},
            (80, 40),
            r"expected waveforms of shape \(samples,\)",
        ),
        (
            {"kind": "log_mel", "mels": 80, "input": "mel"},
            (40, 80),
            r"expected inputs of shape \(80, frames\), the task gives \(40, 80\)",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(
    facts: dict[str, Any], shape: tuple[int, ...], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        front_end(facts).positions(facts, shape)
