from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from stillhouse.core.distill.losses import instance_norm
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import LAST, Artefact, Batch, Choice, ModuleTeacher, Observation
from stillhouse.plugins.distil.hidden_states import ColumnSlicedLinear, HiddenStates
from stillhouse.plugins.distil.info import HiddenStatesParams, SoftLabelsParams
from stillhouse.plugins.distil.soft_labels import SoftLabels

BATCH = Batch(torch.zeros(4, 8, 5), torch.zeros(4, dtype=torch.long), torch.arange(4))


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def hidden(bench: Any, **params: Any) -> Any:
    choice = Choice(HiddenStatesParams(**params))
    state = HiddenStates().apply(bench.state, choice, Artefact(), bench.context)
    assert bench.state.terms == ()
    return state.terms[0]


def test_soft_labels_adds_one_term_and_leaves_the_given_state(bench: Any) -> None:
    choice = Choice(SoftLabelsParams(temperature=2.0, weight=0.5))
    state = SoftLabels().apply(bench.state, choice, Artefact(), bench.context)
    assert bench.state.terms == ()
    (term,) = state.terms
    assert (term.name, term.weight) == ("soft-labels(temperature=2)", 0.5)
    assert (term.teachers, term.teacher_taps, term.adapter) == (("teacher",), {}, None)
    student, teacher = drawn(4, 3), drawn(4, 3, seed=1)
    log_p, log_q = (teacher / 2).log_softmax(1), (student / 2).log_softmax(1)
    expected = 4 * (log_p.exp() * (log_p - log_q)).sum(1).mean()
    found = term.value(Observation(student), {"teacher": Observation(teacher)}, BATCH, None)
    torch.testing.assert_close(found, expected)


def test_hidden_states_reads_the_last_taps_of_the_teacher(bench: Any) -> None:
    assert hidden(bench, layers=1).teacher_taps == {"teacher": ("blocks.1",)}
    term = hidden(bench, layers=2)
    assert term.teacher_taps == {"teacher": ("blocks.0", "blocks.1")}
    assert term.student_taps == (LAST,)
    assert term.teachers == ()


@pytest.mark.parametrize("normalise", [True, False])
def test_hidden_states_measures_the_distance_to_the_mean_of_the_taps(
    bench: Any, normalise: bool
) -> None:
    term = hidden(bench, layers=2, loss="l1", instance_norm=normalise)
    first, second, own = drawn(4, 8, 16), drawn(4, 8, 16, seed=1), drawn(4, 8, 12, seed=2)
    with torch.random.fork_rng([]):
        adapter = term.adapter({LAST: 16})
    teachers = {"teacher": Observation(drawn(4, 3), {"blocks.0": first, "blocks.1": second})}
    found = term.value(Observation(drawn(4, 3), {LAST: own}), teachers, BATCH, adapter)
    target = (first + second) / 2
    if normalise:
        target = instance_norm((instance_norm(first) + instance_norm(second)) / 2)
    expected = (own @ adapter.weight[:, :12].T - target).abs().mean()
    torch.testing.assert_close(found, expected)


def test_the_adapter_trains_only_the_columns_in_use() -> None:
    with torch.random.fork_rng([]):
        adapter = ColumnSlicedLinear(16, 4)
    adapter(drawn(2, 3, 6)).sum().backward()
    assert adapter.weight.grad is not None
    assert adapter.weight.grad[:, :6].abs().min() > 0
    assert adapter.weight.grad[:, 6:].abs().max() == 0


def test_more_layers_than_taps_are_refused_with_their_number(bench: Any) -> None:
    with pytest.raises(UserError, match=r"expected layers of at most 2 .* got 3"):
        hidden(bench, layers=3)


def test_taps_of_different_widths_have_no_mean_and_are_named(bench: Any) -> None:
    taps = ("stages.0", "stages.1")
    uneven = ModuleTeacher(torch.nn.Identity(), taps, {"stages.0": 8, "stages.1": 16})
    cnn = replace(bench, state=replace(bench.state, teachers={"teacher": uneven}))
    with pytest.raises(UserError, match=r"one width .* got stages.0 8, stages.1 16; lower layers"):
        hidden(cnn, layers=2)


def test_hidden_states_without_a_teacher_is_refused(bench: Any) -> None:
    lone = replace(bench, state=replace(bench.state, teachers={}))
    with pytest.raises(UserError, match="learns from 'teacher', but the run has none"):
        hidden(lone)
