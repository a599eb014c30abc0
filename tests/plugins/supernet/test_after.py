from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from stillhouse.core.distill.statistics import reestimate
from stillhouse.core.evaluate import Choice
from stillhouse.core.space import Choice as SpaceChoice
from stillhouse.core.space import Space
from stillhouse.plugins.models.cnn.family import CnnFamily
from stillhouse.plugins.models.info import CnnParams
from stillhouse.plugins.supernet.info import SupernetParams
from stillhouse.plugins.supernet.supernet import Supernet

GENES = {"width": 8, "depth": 1, "heads": [1], "ffn_ratio": [1.0]}
X = torch.ones(2, 8, 5)


def chosen(**changes: Any) -> SupernetParams:
    plain = {"space": "tiny", "full_epochs": 1, "epochs": 1, "batch_size": 8, "after_epochs": 2}
    return SupernetParams(**{**plain, **changes})


@pytest.fixture
def artefact(bench: Any) -> Any:
    return Supernet().prepare(bench.state, chosen(), bench.context)


def student(bench: Any, artefact: Any, fidelity: float = 1.0, **params: Any) -> Any:
    choice = Choice(chosen(**params), GENES)
    context = bench.context.at(fidelity)
    return Supernet().apply(bench.state, choice, artefact, context).student


def test_three_ends_count_the_updates_of_their_weights(bench: Any, artefact: Any) -> None:
    found = {after: student(bench, artefact, after=after) for after in AFTER}
    assert {after: one.updates for after, one in found.items()} == {
        "inherit": 6, "finetune": 6 + 6, "scratch": 6,
    }  # fmt: skip
    outputs = [one.module(X) for one in found.values()]
    assert not torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[1], outputs[2])
    assert not any(one.module.training for one in found.values())


AFTER = ("inherit", "finetune", "scratch")


@pytest.mark.parametrize("after", AFTER)
def test_below_the_full_budget_weights_are_as_inherited(
    bench: Any, artefact: Any, after: str
) -> None:
    plain = student(bench, artefact)
    assert torch.equal(student(bench, artefact, 0.9, after=after).module(X), plain.module(X))


@pytest.mark.parametrize("after", AFTER)
def test_the_same_seed_ends_alike_and_the_supernet_stays_as_it_was(
    bench: Any, artefact: Any, after: str
) -> None:
    before = student(bench, artefact).module(X)
    first, second = (student(bench, artefact, after=after).module(X) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(student(bench, artefact).module(X), before)


def test_fine_tuning_lowers_the_loss_of_what_was_inherited(bench: Any, artefact: Any) -> None:
    data = bench.state.data.train
    losses = [
        bench.context.task.loss(
            student(bench, artefact, after=after, after_epochs=20).module(data.inputs), data.targets
        ).item()
        for after in ("inherit", "finetune")
    ]
    assert losses[1] < losses[0]


def test_variants_are_compared_on_request_alone() -> None:
    assert Supernet().compared(chosen()) == {}
    assert Supernet().compared(chosen(compare=True)) == {
        "inherited": {"after": "inherit"}, "tuned": {"after": "finetune"},
    }  # fmt: skip


def test_batch_norm_statistics_are_the_subnets_own(bench: Any) -> None:
    family = CnnFamily()
    full = family.structure(CnnParams(stages=1, depth=1, width=8), (8, 5), 3)
    space = {"supernet": Space([SpaceChoice("width", (4, 8))])}
    context = replace(bench.context, family=family, full=full, spaces=space)
    params = chosen(statistics_samples=16, sort=True)
    artefact = Supernet().prepare(bench.state, params, context)
    modules = {}
    for samples in (0, 16):
        choice = Choice(chosen(statistics_samples=samples), {"width": 4})
        state = Supernet().apply(bench.state, choice, artefact, context)
        modules[samples] = state.student.module
    assert not torch.equal(modules[0](X), modules[16](X))
    seed = context.seed("supernet", "statistics")
    reestimate(modules[0], bench.state.data.train, samples=16, batch_size=8, seed=seed)
    assert torch.equal(modules[0](X), modules[16](X))
