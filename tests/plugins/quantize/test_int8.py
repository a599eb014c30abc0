"""The method: what it changes, what it leaves, what it refuses."""

from __future__ import annotations

import collections
import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from stillhouse.core.errors import PlanError, UserError
from stillhouse.core.evaluate import Artefact, Choice
from stillhouse.core.evaluate.skeletons import description
from stillhouse.core.plan.order import ordered
from stillhouse.core.plugin import Catalogue
from stillhouse.plugins.factorize.factorize import Factorize
from stillhouse.plugins.factorize.info import FactorizeParams
from stillhouse.plugins.quantize.checking import integers_counted, integers_held
from stillhouse.plugins.quantize.info import Int8Params
from stillhouse.plugins.quantize.int8 import Int8

Network = Callable[[str], Any]
FAMILIES = ("keyword-transformer", "depthwise", "residual", "resnet", "plain-cnn", "vit", "hubert")
SCHEMES = ("dynamic", "static")


def choice(**given: Any) -> Choice:
    return Choice(Int8Params(**given))


def applied(made: Any, **given: Any) -> Any:
    context, state = made
    return Int8().apply(state, choice(**given), Artefact(), context)


def graph_of(module: nn.Module) -> onnx.ModelProto:
    return onnx.load_from_string(module.get_buffer("graph").numpy().tobytes())


def operators(module: nn.Module, folder: Path) -> collections.Counter[str]:
    """What ONNX Runtime runs in the end."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(graph_of(module).SerializeToString(), options)
    return collections.Counter(n.op_type for n in onnx.load(folder / "optimised.onnx").graph.node)


def off(made: Any, module: nn.Module) -> float:
    """Root mean square difference from the float network's answers, as a share of them."""
    inputs = made[1].data.validation.inputs
    with torch.no_grad():
        wanted, got = made[1].student.module(inputs), module(inputs)
    return float((got - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("family", FAMILIES)
def test_scheme_none_changes_nothing(family: str, network: Network) -> None:
    context, state = made = network(family)
    assert applied(made, scheme="none") is state
    assert Int8().skeleton(state.student, choice(scheme="none"), context) is state.student
    assert Int8().effect(state, choice(scheme="none"), Artefact(), context) == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_integers_answer_nearly_as_the_floats_and_are_those_of_the_sheet(
    family: str, scheme: str, network: Network, columns: Any
) -> None:
    context, state = made = network(family)
    student = applied(made, scheme=scheme).student
    assert 0 < off(made, student.module) < 0.05
    assert student.updates == state.student.updates
    own = context.family
    sheet = own.sheet(context.full, own.columns([context.full]))
    counted = integers_counted(Int8().sheet(sheet, columns(1, scheme=scheme), context))
    assert counted == integers_held(graph_of(student.module)) > 0


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("family", ["keyword-transformer", "depthwise", "vit"])
def test_skeleton_and_rebuilt_network_are_those_of_apply(
    family: str, scheme: str, network: Network, tmp_path: Path
) -> None:
    context, state = made = network(family)
    student = applied(made, scheme=scheme).student
    plain = context.family.build(context.full, torch.Generator().manual_seed(3)).eval()
    planned = Int8().skeleton(replace(state.student, module=plain), choice(scheme=scheme), context)
    assert planned is not None
    assert description(planned) == description(student)
    assert planned.module.state_dict()["graph"].shape == student.module.graph.shape
    rebuilt = Int8().rebuild(plain, student.rebuilds[-1].record)
    rebuilt.load_state_dict(student.module.state_dict())
    inputs = state.data.validation.inputs
    assert torch.equal(rebuilt(inputs), student.module(inputs))


def test_an_untrained_network_is_exported_with_its_record_alone(
    network: Network, runtime: Any, tmp_path: Path
) -> None:
    context, _ = made = network("residual")
    student = applied(made, scheme="static").student
    plain = context.family.build(context.full, torch.Generator().manual_seed(3)).eval()
    rebuilt = Int8().rebuild(plain, student.rebuilds[-1].record)
    exported = runtime().export(rebuilt, context.task.example(1), tmp_path / "model.onnx")
    assert exported.size_bytes == len(student.module.graph)
    assert exported.max_difference == 0


def test_the_given_student_stays_as_it_was(network: Network) -> None:
    _, state = made = network("residual")
    before = copy.deepcopy(state.student.module.state_dict())
    applied(made, scheme="static")
    after = state.student.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert before.keys() == after.keys()


@pytest.mark.parametrize(
    ("family", "scheme", "kernel", "count"),
    [
        ("keyword-transformer", "dynamic", "DynamicQuantizeMatMul", 10),
        ("keyword-transformer", "static", "QGemm", 10),
        ("resnet", "static", "QLinearConv", 9),
        ("resnet", "static", "QLinearAdd", 3),
        ("depthwise", "static", "QLinearConv", 13),
        ("vit", "static", "QGemm", 9),
    ],
)
def test_the_runtime_puts_integer_kernels_in(
    family: str, scheme: str, kernel: str, count: int, network: Network, tmp_path: Path
) -> None:
    found = operators(applied(network(family), scheme=scheme).student.module, tmp_path)
    assert found[kernel] == count
    assert not found["Conv"] + found["FusedConv"] + found["Gemm"] + found["MatMul"]


def test_groups_and_patterns_choose_layers(network: Network) -> None:
    made = network("keyword-transformer")
    found = applied(
        made, scheme="none", attention="static", feed_forward="dynamic", layers="!blocks.1.*"
    )
    assert found.student.rebuilds[-1].record["layers"] == {
        "blocks.0.attention.qkv": "static",
        "blocks.0.attention.out": "static",
        "blocks.0.feed_forward.up": "dynamic",
        "blocks.0.feed_forward.down": "dynamic",
    }


def test_dynamic_leaves_convolutions_as_they_are(network: Network) -> None:
    made = network("residual")
    assert applied(made, scheme="dynamic").student.rebuilds[-1].record["layers"] == {
        "head": "dynamic"
    }
    mixed = applied(made, scheme="dynamic", convolution="static", front_end="static")
    layers = mixed.student.rebuilds[-1].record["layers"]
    assert layers["head"] == "dynamic"
    assert {scheme for name, scheme in layers.items() if name != "head"} == {"static"}
    assert len(layers) == 11


def test_two_layers_that_stand_for_one_go_together(network: Network) -> None:
    context, state = network("keyword-transformer")
    thin = Factorize().apply(
        state, Choice(FactorizeParams(rank=0.25, samples=0)), Artefact(), context
    )
    found = applied((context, thin), scheme="none", feed_forward="dynamic")
    names = set(found.student.rebuilds[-1].record["layers"])
    assert names == {f"blocks.{b}.feed_forward.{layer}.{half}"
                     for b in (0, 1) for layer in ("up", "down") for half in (0, 1)}  # fmt: skip
    assert off((context, thin), found.student.module) < 0.05


@pytest.mark.parametrize("kind", ["signed", "unsigned", "reduced"])
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_kind_of_weights_works(
    kind: str, per_channel: bool, scheme: str, network: Network
) -> None:
    made = network("resnet")
    found = applied(made, scheme=scheme, weights=kind, per_channel=per_channel)
    stored = {
        c.data_type for c in graph_of(found.student.module).graph.initializer if len(c.dims) > 1
    }
    own = onnx.TensorProto.UINT8 if kind == "unsigned" else onnx.TensorProto.INT8
    assert own in stored
    assert off(made, found.student.module) < 0.1


@pytest.mark.parametrize(
    ("flags", "kind"),
    [(["avx2"], "reduced"), (["avx2", "avx512f"], "reduced"), (["avx512_vnni"], "signed"),
     (["avx_vnni"], "signed")],
)  # fmt: skip
def test_automatic_weights_are_those_for_the_targets_processor(
    flags: list[str], kind: str, network: Network, on_x86: Any
) -> None:
    context, state = network("keyword-transformer")
    there = (on_x86(context, *flags), state)
    assert applied(there).student.rebuilds[-1].record["weights"] == kind
    arm = (replace(context, machine={"machine": "aarch64", "flags": ["asimd"]}), state)
    assert applied(arm).student.rebuilds[-1].record["weights"] == "signed"


@pytest.mark.parametrize("calibration", ["minmax", "entropy", "percentile"])
def test_every_calibration_gives_ranges(calibration: str, network: Network) -> None:
    made = network("keyword-transformer")
    found = applied(made, scheme="static", calibration=calibration)
    assert off(made, found.student.module) < 0.25


def test_only_tuning_samples_are_looked_at(network: Network) -> None:
    context, state = made = network("residual")
    first = applied(made, scheme="static").student.module.graph
    others = {
        name: replace(getattr(state.data, name), inputs=getattr(state.data, name).inputs * 100)
        for name in ("train", "validation", "test")
    }
    elsewhere = replace(state, data=replace(state.data, **others))
    assert torch.equal(applied((context, elsewhere), scheme="static").student.module.graph, first)
    fewer = applied(made, scheme="static", samples=4).student.module.graph
    assert len(fewer) == len(first)
    assert not torch.equal(fewer, first)


def test_choices_of_equal_effect_are_one(network: Network) -> None:
    context, state = network("residual")

    def effect(**given: Any) -> Any:
        return Int8().effect(state, choice(**given), Artefact(), context)

    assert effect(scheme="dynamic", samples=3) == effect(scheme="none", head="dynamic")
    assert effect(scheme="static", samples=3) != effect(scheme="static", samples=4)


def test_a_channel_that_is_nearly_zero_keeps_its_bias(network: Network) -> None:
    context, state = network("residual")
    module = copy.deepcopy(state.student.module)
    with torch.no_grad():
        module.stem.weight[0] *= 1e-12
    dead = replace(state, student=replace(state.student, module=module))
    assert off((context, dead), applied((context, dead), scheme="static").student.module) < 0.05


def test_weights_that_are_all_zeros_are_told_by_their_place(network: Network) -> None:
    context, state = network("keyword-transformer")
    module = copy.deepcopy(state.student.module)
    with torch.no_grad():
        module.blocks[0].attention.out.weight.zero_()
        module.blocks[1].attention.out.weight.zero_()
    zeros = replace(state, student=replace(state.student, module=module))
    found = applied((context, zeros), scheme="dynamic")
    assert off((context, zeros), found.student.module) < 0.05


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
@pytest.mark.parametrize("calibration", ["minmax", "entropy", "percentile"])
def test_numbers_that_are_not_finite_have_no_range(
    calibration: str, number: float, network: Network
) -> None:
    context, state = network("residual")
    inputs = torch.full_like(state.data.tuning.inputs, number)
    data = replace(state.data, tuning=replace(state.data.tuning, inputs=inputs))
    with pytest.raises(UserError, match="not finite on calibration inputs"):
        applied((context, replace(state, data=data)), scheme="static", calibration=calibration)


def test_large_activations_are_looked_at_a_few_at_a_time(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = network("residual")
    at_once = applied(made, scheme="static").student.module.graph
    monkeypatch.setattr("stillhouse.plugins.quantize.ranges._HELD", 1)
    looked: list[int] = []
    seen = np.min
    monkeypatch.setattr(np, "min", lambda values: looked.append(len(values)) or seen(values))
    singly = applied(made, scheme="static").student.module.graph
    assert set(looked) == {1}
    assert torch.equal(singly, at_once)


def test_patterns_and_targets_that_cannot_work_are_refused(network: Network) -> None:
    context, state = network("keyword-transformer")
    Int8().check(state, choice(scheme="static"), context)
    with pytest.raises(
        UserError, match=r"'blocks.9.*' names no layer .* expected patterns over 'fr"
    ):
        Int8().check(state, choice(layers="blocks.9.*"), context)
    with pytest.raises(UserError, match=r"target.runtime to onnxruntime-cpu"):
        Int8().check(state, choice(), replace(context, graph=None))


class Renamed:
    """A family whose rows are not called like its layers."""

    def __init__(self, family: Any) -> None:
        self._family = family

    def __getattr__(self, name: str) -> Any:
        return getattr(self._family, name)

    def sheet(self, full: Any, columns: Any) -> Any:
        sheet = self._family.sheet(full, columns)
        rows = tuple(replace(row, name=f"part{i}.x") for i, row in enumerate(sheet.rows))
        return replace(sheet, rows=rows)


def test_a_family_whose_rows_have_other_names_is_refused(network: Network) -> None:
    context, state = network("keyword-transformer")
    other: Any = replace(context, family=Renamed(context.family))
    with pytest.raises(UserError, match="to call its rows like the layers"):
        Int8().check(state, choice(scheme="dynamic"), other)


def test_it_goes_last_and_once() -> None:
    catalogue = Catalogue.discover()
    names = ["int8", "distil", "factorize", "fresh", "soft-labels"]
    placed = [info.name for info in ordered([catalogue.method(name) for name in names])]
    assert placed[-1] == "int8"
    with pytest.raises(PlanError, match="stands twice"):
        ordered([catalogue.method(name) for name in ("fresh", "int8", "int8")])


def test_batches_of_the_target_are_filled_up(network: Network, runtime: Any) -> None:
    context, state = network("keyword-transformer")
    four = runtime(batch=4)
    batched = replace(context, graph=lambda m: four.graph(m, context.task.example(4)))
    module = applied((batched, state), scheme="static").student.module
    inputs = state.data.validation.inputs
    whole = module(inputs)
    assert whole.shape == (12, 3)
    assert torch.equal(module(inputs[:7]), whole[:7])
    singly = applied((context, state), scheme="static").student.module(inputs)
    np.testing.assert_allclose(whole, singly, atol=0.05)
