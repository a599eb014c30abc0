"""The method: which weights become zeros, that they stay, what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.cost.terms import weight_bytes
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Artefact, Choice
from stillhouse.core.evaluate.skeletons import description, skeleton
from stillhouse.core.measure.bench import export_untrained
from stillhouse.core.plan.order import ordered
from stillhouse.core.plugin import Catalogue
from stillhouse.plugins.distil.distil import Distil
from stillhouse.plugins.distil.info import DistilParams
from stillhouse.plugins.factorize.factorize import Factorize
from stillhouse.plugins.factorize.info import FactorizeParams
from stillhouse.plugins.layers.matrices import sorted_out
from stillhouse.plugins.sparsify.info import SparsifyParams
from stillhouse.plugins.sparsify.sparsify import Sparsify
from stillhouse.plugins.targets.info import OnnxRuntimeCpuParams
from stillhouse.plugins.targets.onnxruntime_cpu import OnnxRuntimeCpu

Network = Callable[[str], Any]
FAMILIES = ("keyword-transformer", "depthwise", "residual", "resnet", "plain-cnn", "vit", "hubert")


def choice(**given: Any) -> Choice:
    return Choice(SparsifyParams(**given))


def applied(made: Any, **given: Any) -> Any:
    context, state = made
    return Sparsify().apply(state, choice(**given), Artefact(), context)


def zeros(module: nn.Module) -> dict[str, int]:
    """Of each layer that has any."""
    layers, _ = sorted_out(module)
    found = {name: int((layer.matrix == 0).sum()) for name, layer in layers.items()}
    return {name: number for name, number in found.items() if number}


@pytest.mark.parametrize("among", ["layer", "output"])
@pytest.mark.parametrize("importance", ["magnitude", "activation"])
@pytest.mark.parametrize("family", FAMILIES)
def test_layers_have_exactly_the_zeros_that_the_record_and_the_sheet_count(
    family: str,
    importance: str,
    among: str,
    network: Network,
    columns: Callable[..., dict[str, Any]],
) -> None:
    context, state = made = network(family)
    given = {"sparsity": 0.63, "front_end": 0.2, "importance": importance, "among": among}
    student = applied(made, **given).student
    assert zeros(student.module) == student.rebuilds[0].record["zeros"]
    plain = context.family.sheet(context.full, context.family.columns([context.full]))
    found = Sparsify().sheet(plain, columns(1, **given), context)
    assert sum(_zeros(found)) == pytest.approx(sum(zeros(student.module).values()), abs=1e-6)
    kept = {n: t for n, t in student.module.state_dict().items() if t.ndim > 1}
    whole = state.student.module.state_dict()
    assert all(torch.equal(t, torch.where(t == 0, t, whole[n])) for n, t in kept.items())


def _zeros(sheet: OperatorSheet) -> list[float]:
    return [
        float(np.squeeze(row["outputs"] * row["inputs"] * row["kernel"] * (1 - row["density"])))
        for row in sheet.rows
        if np.any(np.less(row["density"], 1))
    ]


def test_the_smallest_weights_go_or_those_of_the_smallest_products(network: Network) -> None:
    _, state = made = network("keyword-transformer")
    name = "blocks.0.feed_forward.down"
    whole = sorted_out(state.student.module)[0][name].matrix
    by_layer = sorted_out(applied(made).student.module)[0][name].matrix
    edge = whole.abs().flatten().sort().values[whole.numel() // 2 - 1]
    assert torch.equal(by_layer == 0, whole.abs() <= edge)
    each = sorted_out(applied(made, among="output").student.module)[0][name].matrix
    assert set((each == 0).sum(1).tolist()) == {whole.shape[1] // 2}
    seen: list[torch.Tensor] = []
    hook = state.student.module.get_submodule(name).register_forward_pre_hook(
        lambda _, x: seen.append(x[0])
    )
    state.student.module(state.data.train.inputs)
    hook.remove()
    sizes = seen[0].flatten(0, -2).square().mean(0).sqrt()
    products = whole.abs() * sizes
    wanda = applied(made, importance="activation", among="output").student.module
    gone = sorted_out(wanda)[0][name].matrix == 0
    for row, mask in zip(products, gone, strict=True):
        assert row[mask].max() <= row[~mask].min()
    assert not torch.equal(gone, each == 0)


@pytest.mark.parametrize("family", ["keyword-transformer", "residual"])
def test_zeros_stay_exactly_through_training_with_decay_and_momentum(
    family: str, network: Network
) -> None:
    context, _ = made = network(family)
    state = applied(made, sparsity=0.7)
    after = (
        Distil()
        .apply(state, Choice(DistilParams(epochs=4, batch_size=6)), Artefact(), context)
        .student
    )
    before, now = (sorted_out(s.module)[0] for s in (state.student, after))
    for name, layer in before.items():
        assert torch.equal(layer.matrix == 0, now[name].matrix == 0)
        assert not torch.equal(layer.matrix, now[name].matrix)
    assert after.rebuilds == state.student.rebuilds


def test_training_a_dense_student_leaves_its_chance_zeros_free(network: Network) -> None:
    context, state = network("keyword-transformer")
    with torch.no_grad():
        state.student.module.head.weight[0, :3] = 0.0
    params = DistilParams(epochs=1, batch_size=8)
    after = Distil().apply(state, Choice(params), Artefact(), context).student
    assert (after.module.head.weight != 0).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_loaded_or_measured_has_the_form_and_answers_of_what_was_made(
    family: str, network: Network
) -> None:
    context, state = made = network(family)
    before = {name: t.clone() for name, t in state.student.module.state_dict().items()}
    student = applied(made, importance="activation").student
    assert all(torch.equal(before[n], t) for n, t in state.student.module.state_dict().items())
    described = json.loads(json.dumps(description(student)))
    planned = Sparsify().skeleton(state.student, choice(importance="activation"), context)
    assert described == description(planned)
    assert zeros(planned.module) == zeros(student.module)
    fresh = skeleton(described, torch.Generator().manual_seed(7), Catalogue.discover()).eval()
    assert zeros(fresh).items() >= zeros(student.module).items()
    fresh.load_state_dict(student.module.state_dict(), strict=True)
    x = context.task.example(3)
    assert torch.equal(fresh(x), student.module(x))


@pytest.mark.parametrize("family", ["keyword-transformer", "residual"])
def test_exported_files_shrink_by_what_the_sheet_counts(
    family: str,
    network: Network,
    columns: Callable[..., dict[str, Any]],
    tmp_path: Path,
) -> None:
    context, state = network(family)
    target = OnnxRuntimeCpu(OnnxRuntimeCpuParams())
    plain = context.family.sheet(context.full, context.family.columns([context.full]))
    beside = []
    for sparsity in (0.4, 0.6, 0.9):
        student = Sparsify().skeleton(state.student, choice(sparsity=sparsity), context)
        exported = target.export(student.module, context.task.example(1), tmp_path / "model.onnx")
        sheet = Sparsify().sheet(plain, columns(1, sparsity=sparsity), context)
        beside.append(exported.size_bytes - float(weight_bytes(sheet)[0]))
        assert exported.max_difference < 1e-4
    dense = target.export(state.student.module, context.task.example(1), tmp_path / "whole.onnx")
    assert dense.size_bytes > exported.size_bytes
    assert max(beside) - min(beside) <= 16


@pytest.mark.parametrize("family", ["keyword-transformer", "residual", "resnet"])
def test_what_is_measured_beforehand_is_as_large_as_what_is_found(
    family: str, network: Network, tmp_path: Path
) -> None:
    context, state = made = network(family)
    student = applied(made, sparsity=0.9).student
    target, example = OnnxRuntimeCpu(OnnxRuntimeCpuParams()), context.task.example(1)
    catalogue = Catalogue.discover()
    measured = export_untrained(
        description(student), lambda *one: skeleton(*one, catalogue), target, example,
        tmp_path / "untrained.onnx",
    )  # fmt: skip
    found = target.export(student.module, example, tmp_path / "found.onnx")
    whole = target.export(state.student.module, example, tmp_path / "whole.onnx")
    assert found.size_bytes < 0.7 * whole.size_bytes
    assert measured.size_bytes == pytest.approx(found.size_bytes, abs=16)


def test_a_share_of_nothing_changes_nothing(network: Network) -> None:
    context, state = made = network("residual")
    assert applied(made, sparsity=0.0) is state
    assert Sparsify().skeleton(state.student, choice(sparsity=0.0), context) is state.student
    assert Sparsify().effect(state, choice(sparsity=0.0), Artefact(), context) == []


def test_groups_have_shares_of_their_own_and_patterns_leave_layers_out(network: Network) -> None:
    made = network("keyword-transformer")
    given = {"sparsity": 0.0, "attention": 0.5, "layers": "blocks.0.*, !*.qkv"}
    assert list(zeros(applied(made, **given).student.module)) == ["blocks.0.attention.out"]


def test_both_layers_that_factorisation_made_get_zeros_and_are_counted(
    network: Network, columns: Callable[..., dict[str, Any]]
) -> None:
    context, state = network("keyword-transformer")
    thin = FactorizeParams(rank=0.3)
    state = Factorize().apply(state, Choice(thin), Artefact(), context)
    student = applied((context, state)).student
    found = zeros(student.module)
    assert {"blocks.0.feed_forward.up.0", "blocks.0.feed_forward.up.1"} <= set(found)
    plain = context.family.sheet(context.full, context.family.columns([context.full]))
    values = vars(thin) | {"layers": "*"}
    over = {
        n: np.full(1, v, object if isinstance(v, (str, type(None))) else float)
        for n, v in values.items()
    }
    sheet = Sparsify().sheet(Factorize().sheet(plain, over, context), columns(1), context)
    assert sum(_zeros(sheet)) == pytest.approx(sum(found.values()), abs=1e-6)


def test_shares_of_the_same_zeros_are_one_choice(network: Network) -> None:
    context, state = network("keyword-transformer")

    def effect(**given: Any) -> Any:
        return Sparsify().effect(state, choice(**given), Artefact(), context)

    assert effect(sparsity=0.5) == effect(sparsity=0.5001)
    assert effect(sparsity=0.5) == effect(sparsity=0.5, samples=3)
    assert effect(importance="activation") != effect(importance="activation", samples=3)
    assert effect(sparsity=0.5) != effect(sparsity=0.6)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_passes_the_check(family: str, network: Network) -> None:
    context, state = network(family)
    Sparsify().check(state, choice(), context)


def test_a_pattern_without_a_layer_is_refused_with_the_names_there_are(network: Network) -> None:
    context, state = network("depthwise")
    with pytest.raises(UserError, match=r"'\*\.dephtwise' names no layer.*'stem'"):
        Sparsify().check(state, choice(layers="*.dephtwise"), context)


def test_a_sheet_that_does_not_call_rows_like_layers_is_refused(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, state = network("keyword-transformer")
    sheet = context.family.sheet

    def renamed(_: Any, full: Any, columns: Any) -> Any:
        plain = sheet(full, columns)
        return replace(plain, rows=tuple(replace(r, name=f"x.{r.name}") for r in plain.rows))

    monkeypatch.setattr(type(context.family), "sheet", renamed)
    with pytest.raises(UserError, match=r"call its rows like the layers.*counts 0 zeros"):
        Sparsify().check(state, choice(layers="blocks.*"), context)


def test_without_a_student_it_says_what_to_do(network: Network) -> None:
    context, state = network("keyword-transformer")
    with pytest.raises(UserError, match=r"expected a student.*put 'supernet' first"):
        applied((context, replace(state, student=None)))


def test_pruning_goes_before_it_and_training_may_follow() -> None:
    catalogue = Catalogue.discover()

    def order(*names: str) -> list[str]:
        return [info.name for info in ordered([catalogue.method(name) for name in names])]

    assert order("sparsify", "fresh", "prune", "distil") == ["fresh", "prune", "sparsify", "distil"]
