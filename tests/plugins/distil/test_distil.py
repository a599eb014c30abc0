from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Artefact, Choice
from stillhouse.plugins.distil.distil import Distil
from stillhouse.plugins.distil.hidden_states import HiddenStates
from stillhouse.plugins.distil.info import DistilParams, HiddenStatesParams, SoftLabelsParams
from stillhouse.plugins.distil.soft_labels import SoftLabels


def distilled(bench: Any, state: Any, fidelity: float = 1.0, **params: Any) -> Any:
    choice = Choice(DistilParams(**{"epochs": 4, "batch_size": 8, **params}))
    return Distil().apply(state, choice, Artefact(), bench.context.at(fidelity))


def weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: t.clone() for name, t in module.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize(("fidelity", "epochs"), [(1.0, 4), (0.5, 2), (0.3, 1)])
def test_fidelity_is_a_share_of_the_epochs(bench: Any, fidelity: float, epochs: int) -> None:
    state = bench.state.with_student(bench.student())
    assert distilled(bench, state, fidelity).student.updates == 5 + 3 * epochs


def test_no_epochs_leave_the_student_unchanged(bench: Any) -> None:
    state = bench.state.with_student(bench.student())
    assert distilled(bench, state, fidelity=0.0).student is state.student
    assert distilled(bench, state, epochs=0).student is state.student


def test_the_given_student_and_the_terms_stay_as_they_were(bench: Any) -> None:
    state = bench.state.with_student(bench.student())
    state = SoftLabels().apply(state, Choice(SoftLabelsParams()), Artefact(), bench.context)
    params = HiddenStatesParams(layers=2)
    state = HiddenStates().apply(state, Choice(params), Artefact(), bench.context)
    before = weights(state.student.module)
    after = distilled(bench, state)
    assert same(before, weights(state.student.module))
    assert not same(before, weights(after.student.module))
    assert set(after.student.module.state_dict()) == set(before)
    assert after.terms == state.terms
    assert not after.student.module.training


def test_distillation_brings_the_student_nearer_to_the_teacher(bench: Any) -> None:
    state = bench.state.with_student(bench.student())
    state = SoftLabels().apply(state, Choice(SoftLabelsParams()), Artefact(), bench.context)
    after = distilled(bench, state, epochs=15, learning_rate=0.01, task_weight=0.0)
    inputs = bench.state.data.train.inputs
    target = bench.state.teachers["teacher"].observe(inputs).logits.softmax(1)

    def gap(student: Any) -> float:
        return (student.module(inputs).detach().softmax(1) - target).abs().mean().item()

    assert gap(after.student) < gap(state.student) / 2


def test_distil_without_a_student_says_what_to_do(bench: Any) -> None:
    with pytest.raises(UserError, match=r"expected a student.*put 'supernet' first"):
        distilled(bench, replace(bench.state, student=None))
