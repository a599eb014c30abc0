"""The method: what it changes, what it carries over, what it refuses."""

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
from stillhouse.plugins.distil.distil import Distil
from stillhouse.plugins.distil.info import DistilParams
from stillhouse.plugins.factorize.factorize import Factorize
from stillhouse.plugins.factorize.factors import Spectrum, factorised, spectral
from stillhouse.plugins.factorize.info import FactorizeParams
from stillhouse.plugins.factorize.pairs import FactorisedAttention, thin
from stillhouse.plugins.layers.matrices import Layer, sorted_out
from stillhouse.plugins.targets.info import OnnxRuntimeCpuParams
from stillhouse.plugins.targets.onnxruntime_cpu import OnnxRuntimeCpu

Network = Callable[[str], Any]
FAMILIES = ("keyword-transformer", "depthwise", "residual", "resnet", "plain-cnn", "vit", "hubert")


def choice(**given: Any) -> Choice:
    return Choice(FactorizeParams(**given))


def applied(made: Any, **given: Any) -> Any:
    context, state = made
    return Factorize().apply(state, choice(**given), Artefact(), context)


def same(a: nn.Module, b: nn.Module) -> bool:
    mine, theirs = a.state_dict(), b.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_share_of_one_changes_nothing(family: str, network: Network) -> None:
    context, state = made = network(family)
    assert applied(made, rank=1.0) is state
    assert Factorize().skeleton(state.student, choice(rank=1.0), context) is state.student
    assert Factorize().effect(state, choice(rank=1.0), Artefact(), context) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_of_full_rank_the_two_layers_for_each_answer_as_the_network(
    family: str, network: Network
) -> None:
    context, state = network(family)
    whole = state.student.module
    layers, _ = sorted_out(whole)
    full = {name: min(layer.matrix.shape) for name, layer in layers.items()}
    x = context.task.example(3)
    torch.testing.assert_close(factorised(whole, full, spectral)(x), whole(x), rtol=1e-3, atol=1e-4)


def test_attention_of_two_factors_heeds_the_mask() -> None:
    plain = SelfAttention.sized(8, 2, 4).to_empty(device="cpu").requires_grad_(False)
    for seed, weight in enumerate(plain.parameters()):
        weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed)))
    layer = Layer(plain)
    new = FactorisedAttention(thin(layer, *Spectrum.of(layer).factors(8)), plain)
    x = torch.randn(2 * 5, 8, generator=torch.Generator().manual_seed(9))
    mask = torch.tensor([True, True, False, True, False])[None, None, None, :]
    torch.testing.assert_close(new(x, 5, mask), plain(x, 5, mask), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(new(x, 5, mask), new(x, 5), atol=1e-2)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_loaded_or_measured_has_the_form_and_answers_of_what_was_made(
    family: str, network: Network
) -> None:
    context, state = made = network(family)
    before = {name: t.clone() for name, t in state.student.module.state_dict().items()}
    student = applied(made, rank=0.3).student
    assert all(torch.equal(before[n], t) for n, t in state.student.module.state_dict().items())
    described = json.loads(json.dumps(description(student)))
    assert described == description(Factorize().skeleton(state.student, choice(rank=0.3), context))
    fresh = skeleton(described, torch.Generator().manual_seed(7), Catalogue.discover()).eval()
    fresh.load_state_dict(student.module.state_dict(), strict=True)
    x = context.task.example(3)
    assert torch.equal(fresh(x), student.module(x))
    assert student.updates == 5
    assert not any(part.training for part in student.module.modules())


@pytest.mark.parametrize("family", ["keyword-transformer", "residual", "resnet", "hubert"])
def test_the_export_answers_as_the_factorised_network(
    family: str, network: Network, tmp_path: Path
) -> None:
    context, _ = made = network(family)
    student = applied(made, rank=0.3).student
    target = OnnxRuntimeCpu(OnnxRuntimeCpuParams())
    exported = target.export(student.module, context.task.example(1), tmp_path / "model.onnx")
    assert exported.max_difference < 1e-4


def test_equal_seeds_make_equal_networks_and_other_seeds_see_other_samples(
    network: Network,
) -> None:
    context, state = made = network("resnet")
    one, two = (applied(made, rank=0.3, samples=8).student.module for _ in range(2))
    assert same(one, two)
    other = (replace(context, root_seed=1), state)
    assert not same(one, applied(other, rank=0.3, samples=8).student.module)


def test_statistics_are_those_of_the_factorised_network(network: Network) -> None:
    made = network("resnet")
    kept = applied(made, rank=0.3, statistics_samples=0).student.module
    fresh = applied(made, rank=0.3).student.module
    whole = made[1].student.module
    assert torch.equal(kept.stem_norm.running_mean, whole.stem_norm.running_mean)
    assert not torch.equal(fresh.stem_norm.running_mean, whole.stem_norm.running_mean)
    assert torch.equal(fresh.stem.weight, whole.stem.weight)


def test_groups_have_shares_of_their_own_and_patterns_leave_layers_out(network: Network) -> None:
    context, state = network("keyword-transformer")

    def ranks(**given: Any) -> Any:
        student = Factorize().skeleton(state.student, choice(**given), context)
        return student.rebuilds[0].record["ranks"]

    found = ranks(rank=1.0, attention=0.25, feed_forward=0.125)
    assert found == {
        f"blocks.{i}.{name}": rank
        for i in range(2)
        for name, rank in (
            ("attention.qkv", 4), ("attention.out", 4),
            ("feed_forward.up", 2), ("feed_forward.down", 2),
        )
    }  # fmt: skip
    assert list(ranks(rank=0.25, layers="blocks.0.*, !*.qkv")) == [
        "blocks.0.attention.out", "blocks.0.feed_forward.up", "blocks.0.feed_forward.down",
    ]  # fmt: skip


def test_shares_of_the_same_ranks_are_one_choice(network: Network) -> None:
    context, state = network("keyword-transformer")

    def effect(**given: Any) -> Any:
        return Factorize().effect(state, choice(**given), Artefact(), context)

    assert effect(rank=0.25) == effect(rank=0.26)
    assert effect(rank=0.25) != effect(rank=0.35)
    assert effect(rank=0.25) != effect(rank=0.25, samples=0)


def test_training_goes_on_through_both_factors(network: Network) -> None:
    context, _ = made = network("keyword-transformer")
    state = applied(made, rank=0.25)
    params = DistilParams(epochs=2, batch_size=8)
    after = Distil().apply(state, Choice(params), Artefact(), context).student
    before = state.student.module.state_dict()
    moved = {n for n, t in after.module.state_dict().items() if not torch.equal(t, before[n])}
    assert moved == set(before)
    assert after.rebuilds == state.student.rebuilds


def test_the_exhibit_says_what_the_ranks_lose(network: Network) -> None:
    context, state = network("keyword-transformer")
    shown = Factorize().exhibit(state, choice(rank=0.25), Artefact(), context)
    assert json.loads(json.dumps(shown)) == shown
    assert [row["name"] for row in shown["layers"]][:2] == [
        "blocks.0.attention.qkv", "blocks.0.attention.out",
    ]  # fmt: skip
    assert {row["rank"] for row in shown["layers"]} == {4}
    assert all(0 < row["lost"] < 1 for row in shown["layers"])
    assert shown["whole"] == ["frames", "head"]
    less = Factorize().exhibit(state, choice(rank=0.125), Artefact(), context)
    assert all(b["lost"] > a["lost"] for a, b in zip(shown["layers"], less["layers"], strict=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_with_such_layers_passes_the_check(family: str, network: Network) -> None:
    context, state = network(family)
    Factorize().check(state, choice(rank=0.3), context)


def test_a_pattern_without_a_layer_is_refused_with_the_names_there_are(network: Network) -> None:
    context, state = network("depthwise")
    with pytest.raises(UserError, match=r"'\*\.dephtwise' names no layer.*'stem'"):
        Factorize().check(state, choice(layers="*.dephtwise"), context)
    with pytest.raises(UserError, match=r"stages\.0\.0\.depthwise': it convolves in \d+ groups"):
        Factorize().check(state, choice(layers="*, *.depthwise"), context)


class Reading(nn.Module):
    """A linear layer whose weight the network multiplies with itself."""

    def __init__(self, plain: nn.Module) -> None:
        super().__init__()
        self.plain, self.read = plain, nn.Linear(3, 3, bias=False, device="meta")
        self.read.weight = nn.Parameter(torch.eye(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.read(self.plain(x)) @ self.read.weight


def test_a_layer_that_the_network_reads_is_refused_by_name(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, state = network("keyword-transformer")
    build = context.family.build
    monkeypatch.setattr(type(context.family), "build", lambda _, s, g: Reading(build(s, g)))
    with pytest.raises(UserError, match=r"around 'read' reads the layer.*layers: '\*, !read'"):
        Factorize().check(state, choice(), context)


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
        Factorize().check(state, choice(rank=0.25, layers="blocks.*"), context)


def test_without_a_student_it_says_what_to_do(network: Network) -> None:
    context, state = network("keyword-transformer")
    with pytest.raises(UserError, match=r"expected a student.*put 'supernet' first"):
        applied((context, replace(state, student=None)))


def test_it_goes_after_what_makes_the_student_and_where_the_run_file_has_it() -> None:
    catalogue = Catalogue.discover()

    def order(*names: str) -> list[str]:
        return [info.name for info in ordered([catalogue.method(name) for name in names])]

    assert order("factorize", "supernet", "distil") == ["supernet", "factorize", "distil"]
    assert order("fresh", "distil", "factorize") == ["fresh", "distil", "factorize"]
    assert order("factorize", "soft-labels", "fresh", "distil") == [
        "soft-labels", "fresh", "factorize", "distil",
    ]  # fmt: skip
