"""The network with exits, in torch and in the runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

from stillhouse.core.errors import UserError
from stillhouse.plugins.dynamic.heads import ExitHead, drawn
from stillhouse.plugins.dynamic.network import EarlyExitNetwork
from stillhouse.plugins.dynamic.rules import ALWAYS, NEVER
from stillhouse.plugins.targets.info import OnnxRuntimeCpuParams
from stillhouse.plugins.targets.onnxruntime_cpu import OnnxRuntimeCpu

Network = Callable[[str], Any]
FAMILIES = (
    "keyword-transformer",
    "cnn",
    "residual",
    "resnet",
    "plain-cnn",
    "vit",
    "hubert",
    "bert",
)
RULES = [
    pytest.param("entropy", marks=pytest.mark.slow),
    pytest.param("max-probability", marks=pytest.mark.slow),
    "margin",
]
ONE = OnnxRuntimeCpu(OnnxRuntimeCpuParams())


def with_exits(made: Any, criterion: Any = "entropy") -> EarlyExitNetwork:
    """Untrained exits at every tap but the last."""
    context, state = made
    generator = torch.Generator().manual_seed(3)
    widths = list(context.family.taps(context.full).items())[:-1]
    pool: Any = "mean" if context.task.example(1).is_floating_point() else "first"
    heads = {tap: drawn(ExitHead(width, 3, pool), generator) for tap, width in widths}
    return EarlyExitNetwork(state.student.module, heads, criterion).eval()


def halved(network: EarlyExitNetwork, inputs: torch.Tensor) -> None:
    """Thresholds between the middle doubts of each exit."""
    rising = network.doubts(inputs).sort(0).values
    middle = len(inputs) // 2
    network.thresholds.copy_((rising[middle - 1] + rising[middle]) / 2)


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.mark.parametrize("family", FAMILIES)
def test_of_those_that_never_leave_the_answer_is_the_students_bit_for_bit(
    family: str, network: Network
) -> None:
    context, state = made = network(family)
    x, whole = context.task.example(5), state.student.module
    exits = with_exits(made)
    assert torch.equal(exits(x), whole(x))
    assert torch.equal(exits(x[:1]), whole(x[:1]))
    assert torch.equal(exits.answers(x)[-1], whole(x))


def test_of_those_that_always_leave_it_is_the_first_exits(network: Network) -> None:
    context, _ = made = network("keyword-transformer")
    exits, x = with_exits(made), context.task.example(5)
    exits.thresholds.fill_(ALWAYS)
    assert torch.equal(exits(x), exits.answers(x)[0])
    assert torch.equal(exits(x[:1]), exits.answers(x[:1])[0])


def test_one_sample_alone_stops_where_it_is_sure(network: Network) -> None:
    context, _ = made = network("keyword-transformer")
    exits, ran = with_exits(made), []
    for name, block in exits.backbone.blocks.named_children():
        block.register_forward_hook(lambda *_, n=name: ran.append(n))
    exits.thresholds.copy_(torch.tensor([NEVER, ALWAYS, ALWAYS]))
    exits(context.task.example(1))
    assert ran == ["0", "1"]
    hooks = [len(part._forward_hooks) for part in exits.backbone.modules()]
    assert sum(hooks) == 4


@pytest.mark.parametrize("criterion", RULES)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_runtime_leaves_where_torch_does(
    family: str, criterion: str, network: Network, tmp_path: Path
) -> None:
    context, _ = made = network(family)
    exits, x = with_exits(made, criterion), context.task.data.validation.inputs
    halved(exits, x)
    path = tmp_path / "model.onnx"
    ONE.export(exits, context.task.example(1), path)
    alone = torch.cat([exits(one[None]) for one in x])
    torch.testing.assert_close(alone, exits(x), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ONE.run(path, x), alone, atol=1e-4)


def test_what_only_unsure_samples_need_lies_in_branches_with_its_constants(
    network: Network,
) -> None:
    context, _ = made = network("keyword-transformer")
    exits = with_exits(made)
    graph = ONE.graph(exits, context.task.example(1)).graph
    plain = ONE.graph(exits.backbone, context.task.example(1)).graph
    depths = list(nested(graph))
    assert len(depths) == 4
    attention = [sum(node.op_type == "Attention" for node in one.node) for one in depths]
    assert attention == [1, 1, 1, 1]
    names = [c.name for c in graph.initializer]
    assert names[:3] == ["threshold.0", "threshold.1", "threshold.2"]
    sizes = [sum(np.prod(c.dims) for c in one.initializer) for one in depths]
    whole = sum(np.prod(c.dims) for c in plain.initializer)
    heads = sum(weight.numel() for weight in exits.heads.parameters())
    assert min(sizes) > 0.15 * whole
    assert sum(sizes) == pytest.approx(whole + heads, abs=60)


def nested(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and the branches for the unsure, outermost first."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name == "else_branch":
                yield from nested(attribute.g)


def test_a_quantised_graph_gets_its_branches_too(network: Network, tmp_path: Path) -> None:
    context, _ = made = network("keyword-transformer")
    exits, x = with_exits(made), context.task.data.validation.inputs
    halved(exits, x)
    graph = ONE.graph(exits.traced(), context.task.example(1))
    onnx.save(graph, tmp_path / "float.onnx")
    quantize_dynamic(
        tmp_path / "float.onnx", tmp_path / "int8.onnx", weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul", "Gemm"],
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )  # fmt: skip
    finished = exits.finished(onnx.load(tmp_path / "int8.onnx"))
    assert any(n.op_type == "MatMulInteger" for one in nested(finished.graph) for n in one.node)
    onnx.save(finished, tmp_path / "model.onnx")
    answers = [exits.answers(one[None]) for one in x]
    found = ONE.run(tmp_path / "model.onnx", x)
    nearest = [
        min(range(4), key=lambda way: np.abs(row - each[way].numpy()[0]).max())
        for row, each in zip(found, answers, strict=True)
    ]
    assert len(set(nearest)) > 1
    worst = [
        np.abs(row - each[way].numpy()[0]).max()
        for row, each, way in zip(found, answers, nearest, strict=True)
    ]
    assert max(worst) < 0.1


def test_batches_of_several_samples_are_refused_with_the_reason(network: Network) -> None:
    context, _ = made = network("keyword-transformer")
    target = OnnxRuntimeCpu(OnnxRuntimeCpuParams(batch=2))
    with pytest.raises(UserError, match=r"got a batch of 2.*its last sample is sure"):
        target.graph(with_exits(made), context.task.example(2))


def test_each_way_of_an_artefact_is_a_file_that_goes_it(network: Network, tmp_path: Path) -> None:
    context, _ = made = network("keyword-transformer")
    exits, x = with_exits(made), context.task.example(6)
    path = ONE.export(exits, context.task.example(1), tmp_path / "model.onnx").path
    ways = ONE.ways(path, tmp_path)
    assert [way.name for way in ways] == [f"model-way{n}.onnx" for n in range(4)]
    for way, logits in zip(ways, exits.answers(x), strict=True):
        np.testing.assert_allclose(ONE.run(way, x), logits, atol=1e-5)
    plain = ONE.export(exits.backbone, context.task.example(1), tmp_path / "plain.onnx").path
    assert ONE.ways(plain, tmp_path) == []
