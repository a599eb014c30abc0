"""What the sheet says is what the built network holds, trains and stores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from safetensors.torch import load_file

from stillhouse.core.cost.kinds import KINDS
from stillhouse.core.cost.latency.features import features
from stillhouse.core.cost.latency.shapes import shapes_of
from stillhouse.core.cost.row_costs import RowCosts
from stillhouse.core.cost.sheet import Operator
from stillhouse.core.cost.terms import macs, macs_by_bits, parameters
from stillhouse.core.evaluate import Artefact, Choice
from stillhouse.plugins.binary.binary import Binary
from stillhouse.plugins.binary.info import BinaryParams
from stillhouse.plugins.targets.info import OnnxRuntimeCpuParams, TorchCpuParams
from stillhouse.plugins.targets.onnxruntime_cpu import OnnxRuntimeCpu
from stillhouse.plugins.targets.torch_cpu import torch_cpu

Network = Callable[[str], Any]
FAMILIES = ("keyword-transformer", "depthwise", "residual", "resnet", "plain-cnn", "hubert")
WHOLE = {"front_end": True, "head": True}


def sheets(context: Any, over: dict[str, Any]) -> tuple[Any, Any]:
    plain = context.family.sheet(context.full, context.family.columns([context.full]))
    return plain, Binary().sheet(plain, over, context)


def binary_rows(sheet: Any) -> list[Operator]:
    """Rows of signs and those of what is stored beside them."""
    chosen = {row.name for row in sheet.rows if np.any(np.equal(row["weight_bits"], 1))}
    beside = {f"{name}.{part}" for name in chosen for part in ("threshold", "scale")}
    return [row for row in sheet.rows if row.name in chosen | beside]


def stored_bytes(sheet: Any) -> float:
    rows = binary_rows(sheet)
    return sum(float(np.sum(RowCosts(row).weight_bytes * row["active"])) for row in rows)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("given", [{}, WHOLE, {"scale": False}])
def test_parameters_are_those_of_the_network_and_multiplications_stay(
    family: str, given: dict[str, Any], network: Network, columns: Callable[..., Any]
) -> None:
    context, state = network(family)
    plain, found = sheets(context, columns(1, **given))
    student = Binary().skeleton(state.student, Choice(BinaryParams(**given)), context)
    built = sum(weight.numel() for weight in student.module.parameters())
    assert parameters(found).tolist() == [built]
    assert macs(found).tolist() == macs(plain).tolist()
    assert macs_by_bits(found)[1][0] > 0


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("scale", [True, False])
def test_bytes_of_binary_layers_are_those_that_are_saved(
    family: str, scale: bool, network: Network, columns: Callable[..., Any]
) -> None:
    context, state = network(family)
    _, found = sheets(context, columns(1, scale=scale))
    params = BinaryParams(scale=scale)
    student = Binary().apply(state, Choice(params), Artefact(), context).student
    layers = student.rebuilds[0].record["layers"]
    tensors = student.module.state_dict().items()
    saved = sum(t.nbytes for name, t in tensors if name.rpartition(".")[0] in layers)
    assert stored_bytes(found) == saved


def test_bytes_of_binary_layers_are_those_of_the_exported_files(
    network: Network, columns: Callable[..., Any], tmp_path: Path
) -> None:
    context, state = network("wide")
    _, found = sheets(context, columns(1))
    student = Binary().apply(state, Choice(BinaryParams()), Artefact(), context).student
    counted = stored_bytes(found)
    example = context.task.example(1)
    program = torch_cpu(TorchCpuParams()).export(student.module, example, tmp_path / "net.aten")
    layers = tuple(student.rebuilds[0].record["layers"])
    tensors = load_file(program.path).items()
    assert sum(t.nbytes for n, t in tensors if n.rpartition(".")[0] in layers) == counted
    # The graph's names tell nothing: what is left is what the other layers store.
    target = OnnxRuntimeCpu(OnnxRuntimeCpuParams())
    exported = target.export(student.module, example, tmp_path / "net.onnx")
    real = target.export(state.student.module, example, tmp_path / "real.onnx")
    whole = sum(
        float(np.sum(KINDS[row.kind].weights(row) + KINDS[row.kind].biases(row))) * 4
        for row in binary_rows(found)
        if not row.name.endswith((".threshold", ".scale"))
    )
    assert tensor_bytes(exported.path) - tensor_bytes(real.path) == counted - whole


def tensor_bytes(path: Path) -> int:
    """Bytes of stored numbers, without what unpacking itself needs: shapes, places, +1 and -1."""
    constants = onnx.load(path).graph.initializer
    kinds = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.UINT8}
    return sum(len(c.raw_data) for c in constants if c.data_type in kinds and np.prod(c.dims) > 8)


def test_candidates_choose_groups_of_their_own(
    network: Network, columns: Callable[..., Any]
) -> None:
    context, state = network("keyword-transformer")
    plain = context.family.sheet(context.full, context.family.columns([context.full]))
    over = columns(
        4,
        attention=np.array([True, True, False, False]),
        feed_forward=np.array([True, False, True, False]),
    )
    found = Binary().sheet(plain.take(np.zeros(4, np.int64)), over, context)
    for place in range(4):
        given = {name: bool(over[name][place]) for name in ("attention", "feed_forward")}
        student = Binary().skeleton(state.student, Choice(BinaryParams(**given)), context)
        built = sum(weight.numel() for weight in student.module.parameters())
        assert parameters(found)[place] == built
    assert parameters(found)[3] == parameters(plain)[0]


def test_latency_models_price_rows_of_signs_apart(
    network: Network, columns: Callable[..., Any]
) -> None:
    context, _ = network("resnet")
    plain, found = sheets(context, columns(1))
    assert any(name.startswith("macs conv2d w1a1") for name in features(found))
    assert not any("w1a1" in name for name in features(plain))
    assert any(shape.layout == "conv2d w1a1" for shape in shapes_of(found))


def test_what_lives_beside_a_layer_of_signs_is_as_wide_as_it_was(
    network: Network, columns: Callable[..., Any]
) -> None:
    context, _ = network("residual")
    plain, found = sheets(context, columns(1))
    whole = {row.name: RowCosts(row).alive_bytes for row in plain.rows}
    alive = {row.name: RowCosts(row).alive_bytes for row in found.rows if row.name in whole}
    assert {n: float(np.sum(v)) for n, v in alive.items()} == {
        n: float(np.sum(v)) for n, v in whole.items()
    }
