"""The method: what it makes, what it leaves alone, what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from stillhouse.core.cost.counting import module_sheet
from stillhouse.core.cost.terms import macs
from stillhouse.core.errors import PlanError, UserError
from stillhouse.core.evaluate import Artefact, Choice, Split
from stillhouse.core.evaluate.skeletons import description, skeleton
from stillhouse.core.plan.order import ordered
from stillhouse.core.plugin import Catalogue
from stillhouse.plugins.dynamic.early_exit import EarlyExit
from stillhouse.plugins.dynamic.info import EarlyExitParams
from stillhouse.plugins.targets.info import OnnxRuntimeCpuParams, TorchCpuParams
from stillhouse.plugins.targets.onnxruntime_cpu import OnnxRuntimeCpu
from stillhouse.plugins.targets.torch_cpu import torch_cpu

Network = Callable[[str], Any]


def choice(**given: Any) -> Choice:
    return Choice(EarlyExitParams(**{"epochs": 2, "batch_size": 8, **given}))


def applied(made: Any, **given: Any) -> Any:
    context, state = made
    return EarlyExit().apply(state, choice(**given), Artefact(), context)


def other(split: Split) -> Split:
    return replace(split, inputs=split.inputs.flip(0) * 3, targets=split.targets.flip(0))


@pytest.mark.parametrize("family", ["keyword-transformer", "cnn", "resnet", "bert"])
def test_only_the_exits_are_trained_and_the_students_answer_stays_bit_for_bit(
    family: str, network: Network
) -> None:
    context, state = made = network(family)
    before = {name: t.clone() for name, t in state.student.module.state_dict().items()}
    student = applied(made, exits=2).student
    kept, whole = student.module.backbone.state_dict(), state.student.module
    assert all(torch.equal(kept[name], t) for name, t in before.items())
    assert all(torch.equal(t, before[name]) for name, t in whole.state_dict().items())
    x = context.task.example(6)
    with torch.no_grad():
        assert torch.equal(student.module.answers(x)[-1], whole(x))
    untrained = EarlyExit().skeleton(state.student, choice(exits=2), context).module.heads
    moved = [
        not torch.equal(a, b)
        for a, b in zip(student.module.heads.parameters(), untrained.parameters(), strict=True)
    ]
    assert all(moved)
    assert student.updates == 5 + 2 * 3
    assert not any(part.training for part in student.module.modules())
    assert all(w.requires_grad for w in student.module.parameters())


def test_exits_learn_what_the_task_asks(network: Network) -> None:
    context, _ = made = network("keyword-transformer")
    first, later = (applied(made, epochs=n, learning_rate=0.05).student.module for n in (0, 20))
    train = context.task.data.train
    with torch.no_grad():
        before, after = (
            float(context.task.loss(net.answers(train.inputs)[0], train.targets))
            for net in (first, later)
        )
    assert after < 0.5 * before


def test_thresholds_follow_from_the_tuning_split_alone(network: Network) -> None:
    context, state = network("keyword-transformer")
    data = state.data

    def found(**splits: Split) -> list[float]:
        changed = replace(state, data=replace(data, **splits))
        return applied((context, changed)).policy.settings["thresholds"]  # type: ignore[no-any-return]

    own = found()
    assert found(validation=other(data.validation), test=other(data.test)) == own
    assert found(tuning=other(data.tuning)) != own


def test_the_share_asked_for_leaves_on_the_tuning_split(network: Network) -> None:
    made = network("keyword-transformer")
    state = applied(made, exits=2, leave=0.25)
    settings = state.policy.settings
    assert settings["left"]["tuning"] == [6 / 24, 5 / 24, 13 / 24]
    assert settings["exits"] == ["blocks.0", "blocks.2"]
    assert settings["thresholds"] == state.student.module.thresholds.tolist()
    assert json.loads(json.dumps(settings)) == settings
    with torch.no_grad():
        doubts = state.student.module.doubts(made[1].data.validation.inputs).numpy()
    left = (doubts < state.student.module.thresholds.numpy()).any(axis=1).mean()
    assert sum(settings["left"]["validation"][:-1]) == pytest.approx(left)


@pytest.mark.parametrize("exits", [1, 2])
def test_an_expected_cost_is_met_on_the_tuning_split(exits: int, network: Network) -> None:
    context, state = made = network("keyword-transformer")
    found = applied(made, exits=exits, cost=0.7)
    whole = float(macs(module_sheet([state.student.module], context.task.example(1)))[0])
    shares = found.policy.settings["left"]["tuning"]
    network_ = found.student.module
    each = [spent(network_, way, context) for way in range(exits + 1)]
    expected = float(np.dot(shares, each)) / whole
    assert expected <= 0.7 + 1e-9
    assert expected > 0.7 - 2 / 24


def spent(network: Any, way: int, context: Any) -> float:
    """Multiply-accumulates of the blocks and exits that a sample on a way comes by."""
    sheet = module_sheet([network], context.task.example(1))
    if way == len(network.taps):
        return float(macs(sheet)[0])
    last = f"heads.{network.taps[way].replace('.', '-')}"
    places = [n for n, row in enumerate(sheet.rows) if row.name.startswith(f"{last}.")]
    return float(macs(replace(sheet, rows=sheet.rows[: max(places) + 1]))[0])


@pytest.mark.parametrize("family", ["keyword-transformer", "cnn", "hubert", "bert"])
def test_what_is_loaded_or_measured_has_the_form_of_what_was_made(
    family: str, network: Network
) -> None:
    context, state = made = network(family)
    student = applied(made, leave=0.5).student
    described = json.loads(json.dumps(description(student)))
    assert described == description(EarlyExit().skeleton(state.student, choice(), context))
    fresh = skeleton(described, torch.Generator().manual_seed(7), Catalogue.discover()).eval()
    fresh.load_state_dict(student.module.state_dict(), strict=True)
    x = context.task.example(8)
    with torch.no_grad():
        assert torch.equal(fresh(x), student.module(x))


def test_what_is_measured_beforehand_never_leaves(network: Network) -> None:
    context, state = network("keyword-transformer")
    module = EarlyExit().skeleton(state.student, choice(exits=2), context).module
    x = context.task.example(4)
    with torch.no_grad():
        module.heads.apply(lambda part: [w.mul_(1e3) for w in part.parameters(recurse=False)])
        module.thresholds.add_(0.01)
        assert torch.equal(module(x), state.student.module(x))


def test_exits_go_where_they_are_named(network: Network) -> None:
    made = network("cnn")
    settings = applied(made, taps="stages.1.0.tap, stages.0.0.tap").policy.settings
    assert settings["exits"] == ["stages.0.0.tap", "stages.1.0.tap"]


def test_equal_seeds_make_equal_networks(network: Network) -> None:
    made = network("keyword-transformer")
    one, two = (applied(made).student.module.state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    context, state = made
    third = applied((replace(context, root_seed=1), state)).student.module.state_dict()
    assert not all(torch.equal(one[name], third[name]) for name in one)


def test_choices_that_come_to_the_same_exits_are_one(network: Network) -> None:
    context, state = network("hubert")  # two layers: room for one exit

    def effect(**given: Any) -> Any:
        return EarlyExit().effect(state, choice(**given), Artefact(), context)

    assert effect(exits=1) == effect(exits=3) == effect(taps="layers.0")
    assert effect(leave=0.2) != effect(leave=0.3)
    assert effect(criterion="entropy") != effect()


def test_no_budget_makes_the_form_without_training(network: Network) -> None:
    context, state = made = network("keyword-transformer")
    found = applied((context.at(0.0), made[1])).student
    assert found.updates == state.student.updates
    assert description(found) == description(applied(made).student)


@pytest.mark.parametrize("family", ["keyword-transformer", "cnn", "resnet", "vit", "bert"])
def test_every_family_with_inner_taps_passes_the_check(family: str, network: Network) -> None:
    context, state = network(family)
    EarlyExit().check(state, choice(cost=0.9), context)


def test_what_cannot_work_is_refused_with_the_reason(network: Network) -> None:
    context, state = network("keyword-transformer")

    def refusal(context: Any = context, **given: Any) -> str:
        with pytest.raises(UserError) as refused:
            EarlyExit().check(state, choice(**given), context)
        return str(refused.value)

    assert "got 'block.0'; did you mean 'blocks.0'" in refusal(taps="block.0")
    assert "expected names among blocks.0, blocks.1, blocks.2, got 'blocks.3'" in refusal(
        taps="blocks.3"
    )
    assert "at the first exit it is 0.5" in refusal(cost=0.1)
    shallow = replace(context, full={**context.full, "depth": 1})
    assert "a tap before its last one" in refusal(shallow)
    with pytest.raises(UserError, match="expected a student to change"):
        applied((context, replace(state, student=None)))


def test_a_searched_name_that_no_tap_has_is_refused_where_it_is_chosen(network: Network) -> None:
    context, state = made = network("keyword-transformer")
    with pytest.raises(UserError, match=r"taps: expected names among .*, got 'blocks.7'"):
        EarlyExit().skeleton(state.student, choice(taps="blocks.0, blocks.7"), context)
    with pytest.raises(UserError, match=r"got 'blocks.7'"):
        applied(made, taps="blocks.7")


def test_tasks_of_several_labels_and_targets_that_cannot_branch_are_refused(
    network: Network,
) -> None:
    context, state = network("keyword-transformer")
    several = replace(
        context, task=type("Several", (), {"several": True, "outputs": 3, "name": "x"})
    )
    with pytest.raises(UserError, match="any number of labels a sample"):
        EarlyExit().check(state, choice(), several)
    batches = OnnxRuntimeCpu(OnnxRuntimeCpuParams(batch=4))
    given = replace(context, graph=lambda m: batches.graph(m, context.task.example(4)))
    with pytest.raises(UserError, match="got a batch of 4"):
        EarlyExit().check(state, choice(), given)
    eager = torch_cpu(TorchCpuParams())
    given = replace(context, graph=lambda m: eager.graph(m, context.task.example(1)))
    with pytest.raises(UserError, match="deploys no graph"):
        EarlyExit().check(state, choice(), given)


def test_it_goes_after_what_trains_and_once() -> None:
    catalogue = Catalogue.discover()

    def order(*names: str) -> list[str]:
        return [info.name for info in ordered([catalogue.method(name) for name in names])]

    assert order("early-exit", "distil", "soft-labels", "fresh") == [
        "soft-labels", "fresh", "distil", "early-exit",
    ]  # fmt: skip
    assert order("early-exit", "factorize", "supernet") == ["supernet", "factorize", "early-exit"]
    with pytest.raises(PlanError, match="stands twice"):
        order("fresh", "early-exit", "early-exit")
