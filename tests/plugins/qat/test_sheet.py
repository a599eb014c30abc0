"""What the sheet says is what the built network has and what the exported file holds."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from stillhouse.core.cost.file_size import SizeModel
from stillhouse.core.cost.sheet import Operator, OperatorSheet
from stillhouse.core.cost.terms import macs, parameters, totals, weight_bytes
from stillhouse.core.evaluate import Artefact, Choice
from stillhouse.core.space import Choice as Gene
from stillhouse.core.space import Space
from stillhouse.plugins.factorize.factorize import Factorize
from stillhouse.plugins.factorize.info import FactorizeParams
from stillhouse.plugins.qat.info import QatParams
from stillhouse.plugins.qat.qat import Qat
from stillhouse.plugins.supernet.supernet import Supernet
from stillhouse.plugins.targets.info import OnnxRuntimeCpuParams
from stillhouse.plugins.targets.onnxruntime_cpu import OnnxRuntimeCpu

SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"bits": 4},
    {"bits": 7, "head": 32},
    {"bits": 32, "feed_forward": 4},
    {"bits": 8, "activations": False, "layers": "*, !*.0"},
)


def sheet_of(context: Any, columns: dict[str, Any]) -> OperatorSheet:
    plain = context.family.sheet(context.full, context.family.columns([context.full]))
    return Qat().sheet(plain, columns, context)


def stored(graph: onnx.ModelProto) -> int:
    """Bytes of a graph's tensors, without single numbers and shapes."""
    sizes = {onnx.TensorProto.INT4: 0.5, onnx.TensorProto.INT8: 1}
    kept = [
        c for c in graph.graph.initializer
        if c.dims and c.data_type not in (onnx.TensorProto.INT64, onnx.TensorProto.UINT8)
    ]  # fmt: skip
    return int(sum(math.prod(c.dims) * sizes.get(c.data_type, 4) for c in kept))


@pytest.mark.parametrize("family", [
    "keyword-transformer", "residual",
    pytest.param("vit", marks=pytest.mark.slow), pytest.param("depthwise", marks=pytest.mark.slow),
])  # fmt: skip
@pytest.mark.parametrize("given", SETTINGS, ids=str)
def test_parameters_and_stored_bytes_are_those_of_network_and_file(
    family: str, given: dict[str, Any], network: Any, columns: Any, applied: Any
) -> None:
    context, _ = made = network(family)
    sheet, student = sheet_of(context, columns(1, **given)), applied(made, **given)
    assert parameters(sheet) == sum(w.numel() for w in student.module.parameters())
    target, x = OnnxRuntimeCpu(OnnxRuntimeCpuParams()), context.task.example(1)
    # Half of a batch norm's numbers become a bias of the convolution before it, rounded or not.
    norms = weight_bytes(sheet_of(context, columns(1, bits=32.0))) - stored(
        target.graph(made[1].student.module, x)
    )
    assert weight_bytes(sheet) - norms == stored(target.graph(student.module, x))


def test_bits_of_32_leave_every_row_as_it_was(network: Any, columns: Any) -> None:
    context, _ = network("residual")
    plain = context.family.sheet(context.full, context.family.columns([context.full]))
    assert Qat().sheet(plain, columns(1, bits=32.0), context).rows == plain.rows


def test_candidates_of_all_bits_are_counted_together(network: Any, columns: Any) -> None:
    context, _ = network("keyword-transformer")
    bits = np.array([32.0, 8, 7, 4])
    plain = context.family.sheet(context.full, context.family.columns([context.full]))
    together = totals(
        Qat().sheet(plain.take(np.zeros(4, np.int64)), columns(4, bits=bits), context)
    )
    for place, one in enumerate(bits):
        alone = totals(sheet_of(context, columns(1, bits=one)))
        assert {n: v[place] for n, v in together.items()} == {n: v[0] for n, v in alone.items()}
    assert np.all(np.diff(together["weight_bytes"][[0, 1, 3]]) < 0)
    assert together["macs"].tolist() == [macs(plain)[0]] * 4


def test_outputs_with_an_odd_number_of_entries_are_not_packed(columns: Any) -> None:
    odd = {"inputs": 5.0, "outputs": 4.0, "kernel": 3.0, "groups": 1.0}
    rows = (
        Operator("odd", "conv1d", "convolution", odd),
        Operator("even", "conv1d", "convolution", {**odd, "kernel": 4.0}),
        Operator("grouped", "conv1d", "convolution", {**odd, "inputs": 4.0, "groups": 4.0}),
    )
    sheet = Qat().sheet(OperatorSheet(1, rows), columns(1, bits=4.0), None)  # type: ignore[arg-type]
    bits = {
        row.name: float(np.max(row["weight_bits"])) for row in sheet.rows if row.kind != "table"
    }
    assert bits == {"odd": 8, "even": 4, "grouped": 8}
    assert weight_bytes(sheet) == 4 * (15 + 20 / 2 + 3) + 3 * 4 * 4


def test_a_rounded_input_takes_a_byte_an_element_and_all_else_alive_four(columns: Any) -> None:
    cells = {"inputs": 6.0, "outputs": 10.0, "positions": 3.0, "held": 7.0}
    sheet = OperatorSheet(1, (Operator("up", "linear", "feed_forward", cells),))
    rounded = Qat().sheet(sheet, columns(1), None)  # type: ignore[arg-type]
    assert totals(rounded)["peak_activation_bytes"] == 6 * 3 + 4 * (10 * 3 + 7)
    weights_only = Qat().sheet(sheet, columns(1, activations=0.0), None)  # type: ignore[arg-type]
    assert totals(weights_only)["peak_activation_bytes"] == 4 * (6 * 3 + 10 * 3 + 7)


def test_two_factors_of_one_layer_are_counted_as_built(network: Any, columns: Any) -> None:
    context, state = network("keyword-transformer")
    params = FactorizeParams(rank=0.25)
    thin = Factorize().apply(state, Choice(params), Artefact(), context)
    plain = context.family.sheet(context.full, context.family.columns([context.full]))
    factors = {
        n: np.full(1, v, object if v is None or n == "layers" else float)
        for n, v in vars(params).items()
    }
    sheet = Qat().sheet(Factorize().sheet(plain, factors, context), columns(1, bits=4.0), context)
    student = Qat().apply(thin, Choice(QatParams(bits=4)), Artefact(), context).student
    assert student is not None
    assert parameters(sheet) == sum(w.numel() for w in student.module.parameters())
    graph = OnnxRuntimeCpu(OnnxRuntimeCpuParams()).graph(student.module, context.task.example(1))
    assert weight_bytes(sheet) == stored(graph)


@pytest.mark.slow
def test_the_files_size_is_predicted_from_that_of_other_candidates(
    network: Callable[[str], Any], columns: Any, tmp_path: Path
) -> None:
    context, _ = network("keyword-transformer")
    genes = Space(
        [Gene("width", (8, 12, 16)), Gene("depth", (1, 2)), Gene("heads", (1, 2), per="depth")]
    )
    codes = genes.unique(genes.sample(60, np.random.default_rng(0)))[:20]
    bits = np.array([32.0, 8, 4, 8, 4])[np.arange(len(codes)) % 5]
    attention = np.array([8.0, 4, 32, 8])[np.arange(len(codes)) % 4]
    sheet = Qat().sheet(
        context.family.sheet(context.full, genes.columns(codes)),
        columns(len(codes), bits=bits, attention=attention),
        context,
    )
    target, sizes = OnnxRuntimeCpu(OnnxRuntimeCpuParams()), []
    for row, one, other in zip(codes, bits, attention, strict=True):
        subnet = Supernet().skeleton(None, Choice(None, genes.decode(row)), context)
        choice = Choice(QatParams(bits=int(one), attention=int(other)))
        student = Qat().skeleton(subnet, choice, context)
        assert student is not None
        path = tmp_path / "model.onnx"
        sizes.append(target.export(student.module, context.task.example(1), path).size_bytes)
    known, held = np.arange(12), np.arange(12, len(codes))
    model = SizeModel.fit(sheet.take(known), np.array(sizes)[known])
    error = model.predict(sheet.take(held)) / np.array(sizes)[held] - 1
    assert np.abs(error).max() < 0.02
