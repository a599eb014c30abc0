"""The method: what it changes, what it keeps, what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from stillhouse.core.elastic import SelfAttention
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Artefact, Choice
from stillhouse.core.evaluate.skeletons import description, skeleton
from stillhouse.core.plan.order import ordered
from stillhouse.core.plugin import Catalogue
from stillhouse.plugins.binary.binary import Binary
from stillhouse.plugins.binary.info import BinaryParams
from stillhouse.plugins.binary.layer import BinaryLayer
from stillhouse.plugins.distil.distil import Distil
from stillhouse.plugins.distil.info import DistilParams
from stillhouse.plugins.factorize.factorize import Factorize
from stillhouse.plugins.factorize.info import FactorizeParams
from stillhouse.plugins.targets.info import OnnxRuntimeCpuParams, TorchCpuParams
from stillhouse.plugins.targets.onnxruntime_cpu import OnnxRuntimeCpu
from stillhouse.plugins.targets.torch_cpu import torch_cpu

Network = Callable[[str], Any]
FAMILIES = ("keyword-transformer", "depthwise", "residual", "resnet", "plain-cnn", "hubert")


def choice(**given: Any) -> Choice:
    return Choice(BinaryParams(**given))


def applied(made: Any, **given: Any) -> Any:
    context, state = made
    return Binary().apply(state, choice(**given), Artefact(), context)


def binary(module: nn.Module) -> dict[str, BinaryLayer]:
    return {n: part for n, part in module.named_modules() if isinstance(part, BinaryLayer)}


@pytest.mark.parametrize("family", FAMILIES)
def test_inner_layers_are_binary_and_the_first_and_last_stay_real(
    family: str, network: Network
) -> None:
    context, state = made = network(family)
    student = applied(made).student
    rows = context.family.sheet(context.full, context.family.columns([context.full])).rows
    groups = {row.name: row.group for row in rows}
    found = binary(student.module)
    assert found
    assert not {"front_end", "head"} & {groups[name] for name in found}
    left = [p for p in student.module.modules() if type(p) in (nn.Linear, nn.Conv1d, nn.Conv2d)]
    assert left
    assert not any(isinstance(p, SelfAttention) for p in student.module.modules())
    assert Binary().check(state, choice(), context) is None


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_and_every_input_of_a_binary_layer_takes_two_values(
    family: str, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, _ = made = network(family)
    student = applied(made).student
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    kind = type(next(iter(binary(student.module).values())).geometry)
    product = kind.product

    def watched(self: Any, x: torch.Tensor, weight: torch.Tensor, bias: Any = None) -> Any:
        seen.append((x, weight))
        return product(self, x, weight, bias)

    monkeypatch.setattr(kind, "product", watched)
    with torch.no_grad():
        student.module(context.task.example(2))
    assert len(seen) == len(binary(student.module))
    for x, weight in seen:
        assert set(x.unique().tolist()) <= {-1.0, 1.0}
        assert set(weight.unique().tolist()) == {-1.0, 1.0}


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_loaded_or_measured_has_the_form_and_answers_of_what_was_made(
    family: str, network: Network
) -> None:
    context, state = made = network(family)
    before = {name: t.clone() for name, t in state.student.module.state_dict().items()}
    student = applied(made).student
    assert all(torch.equal(before[n], t) for n, t in state.student.module.state_dict().items())
    described = json.loads(json.dumps(description(student)))
    assert described == description(Binary().skeleton(state.student, choice(), context))
    fresh = skeleton(described, torch.Generator().manual_seed(7), Catalogue.discover()).eval()
    fresh.load_state_dict(student.module.state_dict(), strict=True)
    x = context.task.example(3)
    assert torch.equal(fresh(x), student.module(x))
    assert student.updates == 5
    assert not any(part.training for part in student.module.modules())


@pytest.mark.parametrize("family", ["keyword-transformer", "residual", "resnet", "hubert"])
def test_exports_answer_as_the_network_and_the_program_bit_for_bit(
    family: str, network: Network, tmp_path: Path
) -> None:
    context, _ = made = network(family)
    module, example = applied(made).student.module, context.task.example(1)
    exported = torch_cpu(TorchCpuParams()).export(module, example, tmp_path / "net.aten")
    assert exported.max_difference == 0
    graph = OnnxRuntimeCpu(OnnxRuntimeCpuParams()).export(module, example, tmp_path / "net.onnx")
    assert graph.max_difference < 1e-4


def test_equal_seeds_make_equal_networks_and_other_seeds_see_other_samples(
    network: Network,
) -> None:
    context, state = made = network("resnet")

    def states(given: Any) -> dict[str, torch.Tensor]:
        module: nn.Module = applied(given, samples=8).student.module
        return module.state_dict()

    one, two, other = states(made), states(made), states((replace(context, root_seed=1), state))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_thresholds_start_where_inputs_have_their_mean(network: Network) -> None:
    _, state = made = network("keyword-transformer")
    train = state.data.train
    seen: list[torch.Tensor] = []
    layer = state.student.module.blocks[0].feed_forward.down
    with torch.no_grad():
        handle = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        state.student.module(train.inputs)
        handle.remove()
    student = applied(made, samples=len(train)).student
    threshold = binary(student.module)["blocks.0.feed_forward.down"].threshold
    torch.testing.assert_close(threshold, seen[0].flatten(0, -2).mean(0), rtol=1e-5, atol=1e-6)
    kept = applied(made, samples=0).student
    assert all(not layer.threshold.any() for layer in binary(kept.module).values())


def test_groups_and_patterns_leave_layers_real(network: Network) -> None:
    context, state = network("keyword-transformer")

    def layers(**given: Any) -> Any:
        student = Binary().skeleton(state.student, choice(**given), context)
        return student.rebuilds[0].record["layers"] if student.rebuilds else []

    assert layers(attention=False, layers="blocks.0.*") == [
        "blocks.0.feed_forward.up", "blocks.0.feed_forward.down",
    ]  # fmt: skip
    assert "head" in layers(head=True)
    assert "frames" in layers(front_end=True)
    assert layers(attention=False, feed_forward=False) == []


def test_choices_of_the_same_layers_are_one(network: Network) -> None:
    context, state = network("residual")

    def effect(**given: Any) -> Any:
        return Binary().effect(state, choice(**given), Artefact(), context)

    assert effect(attention=False) == effect()
    assert effect(clip=2.0) != effect()
    assert effect(convolution=False) == effect(convolution=False, clip=2.0) == []


def test_what_factorize_made_of_layers_becomes_binary_too(network: Network) -> None:
    context, state = network("keyword-transformer")
    thin = Choice(FactorizeParams(rank=0.25, samples=0))
    state = Factorize().apply(state, thin, Artefact(), context)
    student = applied((context, state), layers="blocks.*, !blocks.0.attention.out").student
    found = set(binary(student.module))
    assert {"blocks.0.attention.qkv.0", "blocks.0.attention.qkv.1"} <= found
    assert "blocks.0.attention.out.0" not in found
    assert "blocks.1.attention.out.1" in found
    assert len(found) == 14


def test_training_goes_on_through_signs_and_decays_no_weight_behind_them(
    network: Network,
) -> None:
    context, state = made = network("residual")
    state = applied(made)
    params = DistilParams(epochs=2, batch_size=8)
    trained = Distil().apply(state, Choice(params), Artefact(), context).student
    before, after = binary(state.student.module), binary(trained.module)
    for name, layer in after.items():
        assert not torch.equal(layer.latent, before[name].latent)
        assert layer.latent.detach().abs().max() <= layer.clip + 1e-2  # the last step is unclipped
    changed = [not torch.equal(after[n]._rows(), before[n]._rows()) for n in after]
    assert any(changed)


def test_a_training_that_was_cut_off_ends_with_the_same_weights(
    network: Network, tmp_path: Path
) -> None:
    from stillhouse.core.distill.settings import TrainSettings
    from stillhouse.core.distill.training import fit

    context, state = made = network("residual")
    state = applied(made)
    settings = TrainSettings(epochs=3, batch_size=8, save_every=1, schedule="constant")

    def trained(context: Any, *stops: int | None) -> dict[str, torch.Tensor]:
        for stop in stops:
            module = applied(made).student.module
            fit(
                module, structure=context.full, state=state, settings=settings,
                context=context, label="t", stop_after=stop,
            )  # fmt: skip
        weights: dict[str, torch.Tensor] = {
            name: weight.detach() for name, weight in module.named_parameters()
        }
        return weights

    class CutOffError(Exception):
        pass

    kept = replace(context, checkpoints=tmp_path)
    view, left = context.task.training_view, [5]

    def cut(batch: Any, generator: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise CutOffError
        return view(batch, generator)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(context.task), "training_view", lambda _, b, g: cut(b, g))
        with pytest.raises(CutOffError):
            trained(kept, None)
    resumed, whole = trained(kept, None), trained(context, None)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_patterns_that_name_no_such_layer_are_refused_with_the_reason(network: Network) -> None:
    context, state = network("depthwise")
    with pytest.raises(UserError, match=r"'\*\.dephtwise' names no layer"):
        Binary().check(state, choice(layers="*.dephtwise"), context)
    with pytest.raises(UserError, match=r"depthwise': it convolves in \d+ groups"):
        Binary().check(state, choice(layers="*, *.depthwise"), context)


class Reading(nn.Module):
    """A linear layer whose weight the network multiplies with itself."""

    def __init__(self, plain: nn.Module) -> None:
        super().__init__()
        self.plain, self.read = plain, nn.Linear(3, 3, bias=False, device="meta")
        self.read.weight = nn.Parameter(torch.eye(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.read(self.plain(x)) @ self.read.weight
        return out


def test_a_layer_that_the_network_reads_is_refused_by_name(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, state = network("keyword-transformer")
    build = context.family.build
    monkeypatch.setattr(type(context.family), "build", lambda _, s, g: Reading(build(s, g)))
    with pytest.raises(UserError, match=r"around 'read' reads the layer.*layers: '\*, !read'"):
        Binary().check(state, choice(), context)


def test_a_sheet_that_does_not_call_rows_like_layers_is_refused(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, state = network("keyword-transformer")
    sheet = context.family.sheet

    def renamed(_: Any, full: Any, columns: Any) -> Any:
        plain = sheet(full, columns)
        return replace(plain, rows=tuple(replace(r, name=f"x.{r.name}") for r in plain.rows))

    monkeypatch.setattr(type(context.family), "sheet", renamed)
    with pytest.raises(UserError, match=r"call its rows like the layers.*counts \d+ parameters"):
        Binary().check(state, choice(layers="blocks.*"), context)


def test_without_a_student_it_says_what_to_do(network: Network) -> None:
    context, state = network("keyword-transformer")
    with pytest.raises(UserError, match=r"expected a student.*put 'supernet' first"):
        applied((context, replace(state, student=None)))


def test_training_follows_it_and_what_needs_real_weights_precedes_it() -> None:
    catalogue = Catalogue.discover()

    def order(*names: str) -> list[str]:
        return [info.name for info in ordered([catalogue.method(name) for name in names])]

    assert order("binary", "factorize", "fresh", "distil") == [
        "fresh", "factorize", "binary", "distil",
    ]  # fmt: skip
