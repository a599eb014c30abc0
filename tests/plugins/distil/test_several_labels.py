"""Soft labels where a sample has several labels, and runs from before there were forms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from stillhouse.core.distill.losses import distilled, soft_labels
from stillhouse.core.evaluate import (
    Artefact,
    Batch,
    Choice,
    LossTerm,
    MultiLabel,
    Observation,
    TaskData,
)
from stillhouse.core.evaluate.artefacts import fingerprint
from stillhouse.plugins.distil.info import SoftLabelsParams
from stillhouse.plugins.distil.soft_labels import SoftLabels

BATCH = Batch(torch.zeros(4, 8, 5), torch.zeros(4, 3), torch.arange(4))


def of_several(bench: Any) -> Any:
    data: TaskData = bench.state.data
    splits = {
        name: replace(data.split(name), targets=torch.ones(len(data.split(name)), 3))
        for name in ("train", "tuning", "validation", "test")
    }
    task = MultiLabel("tiny", replace(data, **splits), ("a", "b", "c"))
    return replace(bench, context=replace(bench.context, task=task))


def choice(form: str) -> Choice:
    return Choice(SoftLabelsParams(temperature=2.0, weight=0.5, form=form))


def term(bench: Any, form: str) -> LossTerm:
    state = SoftLabels().apply(bench.state, choice(form), Artefact(), bench.context)
    return state.terms[0]


def value(found: LossTerm) -> torch.Tensor:
    student, teacher = logits()
    return found.value(Observation(student), {"teacher": Observation(teacher)}, BATCH, None)


def logits() -> tuple[torch.Tensor, torch.Tensor]:
    student, teacher = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    return student, teacher


@pytest.mark.parametrize("form", ["auto", "sigmoid"])
def test_each_of_several_labels_has_a_sigmoid(bench: Any, form: str) -> None:
    found = term(of_several(bench), form)
    student, teacher = logits()
    expected = distilled(student, (teacher / 2).sigmoid(), 2.0, several=True)
    assert torch.equal(value(found), expected)
    assert found.name == "soft-labels(temperature=2 form=sigmoid)"


@pytest.mark.parametrize(
    ("several", "form"), [(True, "softmax"), (False, "softmax"), (False, "auto")]
)
def test_the_softmax_is_the_same_wherever_it_is_used(bench: Any, several: bool, form: str) -> None:
    found = term(of_several(bench) if several else bench, form)
    assert torch.equal(value(found), soft_labels(*logits(), 2.0))
    assert found.name == "soft-labels(temperature=2)"


@pytest.mark.parametrize("form", ["auto", "softmax"])
def test_runs_from_before_there_were_forms_go_on(bench: Any, form: str) -> None:
    found = SoftLabels().effect(bench.state, choice(form), Artefact(), bench.context)
    assert fingerprint(found) == fingerprint(["SoftLabelsParams(temperature=2.0, weight=0.5)", {}])


def test_forms_that_differ_are_evaluated_apart(bench: Any) -> None:
    both = of_several(bench)
    effects = [
        SoftLabels().effect(both.state, choice(form), Artefact(), both.context)
        for form in ("auto", "sigmoid", "softmax")
    ]
    assert effects[0] == effects[1] != effects[2]
