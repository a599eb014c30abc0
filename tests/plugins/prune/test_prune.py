"""The method: what goes, what stays as it was, what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from stillhouse.core.elastic import Units
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Artefact, Choice, Rebuild
from stillhouse.core.evaluate.skeletons import description, skeleton
from stillhouse.core.plugin import Catalogue
from stillhouse.plugins.distil.distil import Distil
from stillhouse.plugins.distil.info import DistilParams
from stillhouse.plugins.prune.info import PruneParams
from stillhouse.plugins.prune.prune import Prune
from stillhouse.plugins.targets.info import OnnxRuntimeCpuParams
from stillhouse.plugins.targets.onnxruntime_cpu import OnnxRuntimeCpu

Network = Callable[[str], Any]
FAMILIES = (
    "keyword-transformer", "depthwise", "residual", "resnet", "plain-cnn", "plain-cnn-hidden",
    "vit", "bert", "hubert",
)  # fmt: skip
IMPORTANCES = ("magnitude", "taylor", "activation", "random")
LAYERED = tuple(name for name in FAMILIES if not name.startswith("plain-cnn"))


def choice(**given: Any) -> Choice:
    return Choice(PruneParams(**given))


def applied(made: Any, **given: Any) -> Any:
    context, state = made
    return Prune().apply(state, choice(**given), Artefact(), context)


def with_module(made: Any, change: Callable[[Any], None]) -> Any:
    """The same state, its student's weights changed by way of the elastic twin."""
    context, state = made
    elastic = context.family.elastic(state.student.module).eval()
    with torch.no_grad():
        change(elastic)
    return context, state.with_student(replace(state.student, module=elastic.extract().eval()))


def dead(units: Units, which: torch.Tensor) -> None:
    """Let some units give nothing but zeros."""
    if units.axis == "heads":
        attention: Any = units.producers[0]
        places = (which[:, None] * units.repeat + torch.arange(units.repeat)).flatten()
        attention.qkv_weight[2, places], attention.qkv_bias[2, places] = 0.0, 0.0
        return
    for part in units.last:
        for weight in (part.weight, part.bias):
            if isinstance(weight, torch.Tensor):
                weight[which] = 0.0


def unread(units: Units, which: torch.Tensor) -> None:
    """Let nobody read some units."""
    places = (which[:, None] * units.repeat + torch.arange(units.repeat)).flatten()
    for reader in units.readers:
        weight: Any = reader.weight
        weight[:, places] = 0.0


def half(units: Units) -> torch.Tensor:
    """The indices of half the units, the later and the earlier ones in turn."""
    return torch.arange(len(units))[len(units) % 2 :: 2]


@pytest.mark.parametrize("importance", ["magnitude", "taylor", "activation"])
@pytest.mark.parametrize("family", FAMILIES)
def test_units_that_give_nothing_go_first_and_the_answers_stay(
    family: str, importance: str, network: Network
) -> None:
    def change(elastic: Any) -> None:
        for units in elastic.units():
            dead(units, half(units))

    context, state = made = with_module(network(family), change)
    after = applied(made, keep=0.5, importance=importance, statistics_samples=0)
    x = context.task.example(4)
    assert weights(after.student.module) < weights(state.student.module)
    torch.testing.assert_close(after.student.module(x), state.student.module(x))


@pytest.mark.parametrize("importance", ["magnitude", "taylor"])
@pytest.mark.parametrize("family", FAMILIES)
def test_units_that_nobody_reads_go_first_and_the_answers_stay(
    family: str, importance: str, network: Network
) -> None:
    def change(elastic: Any) -> None:
        for units in elastic.units():
            if not (units.axis == "channels" and "plain" not in family):
                unread(units, half(units))

    context, state = made = with_module(network(family), change)
    given = {} if "plain" in family else {"channels": 1.0}
    after = applied(made, keep=0.5, importance=importance, statistics_samples=0, **given)
    x = context.task.example(4)
    assert weights(after.student.module) < weights(state.student.module)
    torch.testing.assert_close(after.student.module(x), state.student.module(x))


def weights(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


@pytest.mark.parametrize("importance", ["magnitude", "taylor", "activation"])
@pytest.mark.parametrize("family", LAYERED)
def test_the_layer_whose_units_give_nothing_goes_first(
    family: str, importance: str, network: Network
) -> None:
    stack = {"keyword-transformer": "blocks"}.get(family, "layers")
    stack = "stages.0" if family in ("depthwise", "residual") else stack
    stack = "stages.1" if family == "resnet" else stack

    def change(elastic: Any) -> None:
        for units in elastic.units():
            if f"{units.name}.".startswith(f"{stack}.1.") and units.axis != "channels":
                dead(units, torch.arange(len(units)))

    _, state = made = with_module(network(family), change)
    given = {"layers": 0.67, "layers_by": "importance", "importance": importance}
    kept = applied(made, keep=1.0, statistics_samples=0, channels=1.0, **given).student.module
    whole = state.student.module.get_submodule(stack)
    for one, two in zip(kept.get_submodule(stack), (whole[0], whole[2]), strict=True):
        assert torch.equal(one.norm1.weight.sort().values, two.norm1.weight.sort().values)


@pytest.mark.parametrize("family", FAMILIES)
def test_all_shares_of_one_change_nothing(family: str, network: Network) -> None:
    context, state = made = network(family)
    assert applied(made, keep=1.0) is state
    assert Prune().skeleton(state.student, choice(keep=1.0), context) is state.student
    assert Prune().effect(state, choice(keep=1.0), Artefact(), context) == []


@pytest.mark.parametrize("importance", IMPORTANCES)
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_loaded_or_measured_has_the_form_and_answers_of_what_was_made(
    family: str, importance: str, network: Network
) -> None:
    context, state = made = network(family)
    before = {name: t.clone() for name, t in state.student.module.state_dict().items()}
    given: dict[str, Any] = {"keep": 0.6, "importance": importance}
    if family in LAYERED:
        given |= {"layers": 0.6, "layers_by": "importance"}
    student = applied(made, **given).student
    assert all(torch.equal(before[n], t) for n, t in state.student.module.state_dict().items())
    described = json.loads(json.dumps(description(student)))
    assert described == description(Prune().skeleton(state.student, choice(**given), context))
    fresh = skeleton(described, torch.Generator().manual_seed(7), Catalogue.discover()).eval()
    fresh.load_state_dict(student.module.state_dict(), strict=True)
    x = context.task.example(3)
    assert torch.equal(fresh(x), student.module(x))
    assert student.updates == 5
    assert student.rebuilds == ()
    assert not any(part.training for part in student.module.modules())


def test_equal_seeds_make_equal_networks_and_other_seeds_see_other_samples(
    network: Network,
) -> None:
    context, state = made = network("residual")
    for given in ({"importance": "taylor", "samples": 8}, {"importance": "random"}):
        one, two = (applied(made, **given).student.module.state_dict() for _ in range(2))
        assert all(torch.equal(one[name], two[name]) for name in one)
        other = applied((replace(context, root_seed=1), state), **given).student.module
        assert not torch.equal(one["head.weight"], other.state_dict()["head.weight"])


def test_statistics_are_those_of_the_pruned_network(network: Network) -> None:
    made = network("resnet")
    kept = applied(made, statistics_samples=0).student.module
    fresh = applied(made).student.module
    assert torch.equal(kept.stem.weight, fresh.stem.weight)
    last = lambda module: module.stages[2][0].norm2.running_mean  # noqa: E731
    assert not torch.equal(last(kept), last(fresh))


def test_shares_are_of_what_each_layer_has(network: Network) -> None:
    context, state = network("keyword-transformer")
    first = Prune().skeleton(state.student, choice(heads=0.75, feed_forward=0.5), context)
    assert first.structure["heads"] == [3, 3, 3]
    again = Prune().skeleton(first, choice(heads=0.34, feed_forward=0.5, layers=0.67), context)
    assert (again.structure["heads"], again.structure["hidden"]) == ([1, 1], [8, 8])


def test_layers_by_importance_are_chosen_among_those_of_the_shapes_that_stay(
    network: Network,
) -> None:
    context, state = network("keyword-transformer")
    uneven = {"width": 16, "depth": 3, "heads": [4, 2, 4], "ffn_ratio": [2.0, 2.0, 2.0]}
    twin = context.family.elastic(state.student.module)
    twin.set_active(uneven)
    student = replace(state.student, structure=twin.structure(uneven), module=twin.extract().eval())
    made = context, state.with_student(student)
    given: dict[str, Any] = {"keep": 1.0, "layers": 0.67, "importance": "random"}
    for seed in range(4):
        seeded = replace(context, root_seed=seed), made[1]
        chosen = applied(seeded, layers_by="importance", **given).student
        assert chosen.structure["heads"] == [4, 2]
    even = Prune().skeleton(student, choice(layers_by="even", **given), context)
    assert even.structure["heads"] == [4, 4]


def test_shares_of_the_same_structure_are_one_choice(network: Network) -> None:
    context, state = network("keyword-transformer")

    def effect(**given: Any) -> Any:
        return Prune().effect(state, choice(**given), Artefact(), context)

    assert effect(keep=0.5) == effect(keep=0.51)
    assert effect(keep=0.5) != effect(keep=0.7)
    assert effect(importance="random") == effect(importance="random", samples=9)
    assert effect(importance="taylor") != effect(importance="taylor", samples=9)


def test_training_goes_on_in_what_is_left(network: Network) -> None:
    context, _ = made = network("residual")
    state = applied(made)
    params = DistilParams(epochs=1, batch_size=8)
    after = Distil().apply(state, Choice(params), Artefact(), context).student
    assert after.structure == state.student.structure
    assert not torch.equal(after.module.head.weight, state.student.module.head.weight)


@pytest.mark.parametrize("family", ["keyword-transformer", "depthwise", "hubert"])
def test_the_export_answers_as_the_pruned_network(
    family: str, network: Network, tmp_path: Path
) -> None:
    context, _ = made = network(family)
    student = applied(made).student
    target = OnnxRuntimeCpu(OnnxRuntimeCpuParams())
    exported = target.export(student.module, context.task.example(1), tmp_path / "model.onnx")
    assert exported.max_difference < 1e-4


def test_a_share_of_what_a_family_keeps_is_refused_with_the_reason(network: Network) -> None:
    context, state = network("keyword-transformer")
    with pytest.raises(UserError, match=r"channels: expected a share.*adds to the same features"):
        Prune().check(state, choice(channels=0.5), context)
    context, state = network("plain-cnn")
    with pytest.raises(UserError, match=r"layers: .*their number is the network's size"):
        Prune().check(state, choice(layers=0.5), context)
    with pytest.raises(UserError, match=r"heads: .*its networks have no heads; leave heads out"):
        Prune().check(state, choice(heads=0.5), context)


def test_a_searched_share_of_what_a_family_keeps_is_refused_where_it_is_chosen(
    network: Network,
) -> None:
    context, state = made = network("keyword-transformer")
    with pytest.raises(UserError, match=r"channels: expected a share"):
        Prune().skeleton(state.student, choice(channels=0.5), context)
    with pytest.raises(UserError, match=r"channels: expected a share"):
        applied(made, channels=0.5)
    assert applied(made, keep=1.0, channels=1.0) is state


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_passes_the_check_with_a_common_share(family: str, network: Network) -> None:
    context, state = network(family)
    Prune().check(state, choice(keep=0.3), context)


def test_a_network_that_another_method_changed_is_refused(network: Network) -> None:
    context, state = network("residual")
    with pytest.raises(UserError, match=r"expected a student.*put 'supernet' first"):
        applied((context, replace(state, student=None)))
    changed = replace(state.student, rebuilds=(Rebuild("factorize", {}),))
    with pytest.raises(UserError, match=r"came one changed by factorize; put prune before it"):
        applied((context, state.with_student(changed)))
    other = replace(state.student, module=nn.Linear(2, 2, device="meta"))
    with pytest.raises(UserError, match=r"expected a Cnn, came Linear"):
        applied((context, state.with_student(other)))
