from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stillhouse.core.distill.losses import softened
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Choice, LossTerm, Observation, State
from stillhouse.plugins.ensemble.term import ENSEMBLE, ensemble_term
from stillhouse.plugins.ensemble.weighing import weighed

GIVEN = {"weights": "given", "given": (0.5, 0.2, 0.3)}


@pytest.fixture
def three(section: Callable[..., Any]) -> dict[str, Any]:
    """Three networks of given weights."""
    sections = [section(name=name, width=8 * k, epochs=1) for k, name in enumerate("abc", 1)]
    return {"assistants": tuple(sections), "assistant_share": 0.0, **GIVEN}


def losses(stage: Any, state: State, student: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """The weighted term in each of a few batches, as the training loop asks for it."""
    (term,) = state.terms
    found = []
    for batch in stage.state.data.train.batches(7, seed=5):
        teachers = {name: state.teachers[name].observe(batch.seen) for name in term.teachers}
        found.append(term.value(Observation(student(batch.inputs)), teachers, batch, None))
    return found


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("mixing", ["probabilities", "logits"])
def test_online_and_cached_mixtures_give_the_same_losses(
    staged: Callable[..., Any], three: dict[str, Any], several: bool, mixing: str
) -> None:
    stage = staged(several=several)
    student = stage.network(9)
    for calibrate in (False, True):
        own = {**three, "mixing": mixing, "calibrate": calibrate, "temperature": 3.0}
        online, cached = (
            losses(stage, stage.applied(targets=targets, **own), student)
            for targets in ("online", "cached")
        )
        torch.testing.assert_close(cached, online, rtol=0, atol=1e-6)


def test_online_and_cached_stacks_give_the_same_losses(stage: Any, three: dict[str, Any]) -> None:
    own = {**three, "weights": "stacking", "given": ()}
    student = stage.network(9)
    online, cached = (
        losses(stage, stage.applied(targets=targets, **own), student)
        for targets in ("online", "cached")
    )
    torch.testing.assert_close(cached, online, rtol=0, atol=1e-6)


@pytest.mark.parametrize("targets", ["online", "cached"])
@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("several", [False, True])
def test_the_gradient_is_that_of_hinton(
    staged: Callable[..., Any], three: dict[str, Any], targets: str, squared: bool, several: bool
) -> None:
    stage, tau, share = staged(several=several), 4.0, 0.6
    own = {**three, "targets": targets, "temperature": tau, "weight": share, "squared": squared}
    state = stage.applied(**own)
    online = stage.applied(**{**own, "targets": "online"}).teachers[ENSEMBLE]
    (term,), batch = state.terms, next(stage.state.data.train.batches(6, seed=1))
    scores = stage.network(9)(batch.inputs).detach().requires_grad_()
    teachers = {name: state.teachers[name].observe(batch.seen) for name in term.teachers}
    (term.weight * term.value(Observation(scores), teachers, batch, None)).backward()
    wanted = softened(online.observe(batch.seen).logits, tau, several)
    scale = share * tau / (1 if squared else tau**2) / (scores.numel() if several else len(scores))
    expected = scale * (softened(scores.detach(), tau, several) - wanted)
    torch.testing.assert_close(scores.grad, expected, rtol=1e-4, atol=1e-7)


def test_views_that_training_makes_are_mixed_online(
    staged: Callable[..., Any], three: dict[str, Any]
) -> None:
    stage = staged(noise=0.1)
    assert stage.applied(**three).terms[0].teachers == (ENSEMBLE,)
    assert ENSEMBLE not in staged().applied(**three).teachers
    with pytest.raises(UserError, match="cached targets belong to inputs as they are"):
        stage.applied(targets="cached", **three)


def test_cached_targets_of_another_form_are_refused(stage: Any, three: dict[str, Any]) -> None:
    assert stage.applied(form="sigmoid", **three).terms[0].teachers == (ENSEMBLE,)
    with pytest.raises(UserError, match="of the task's own form, got form: sigmoid"):
        stage.applied(targets="cached", form="sigmoid", **three)


def test_a_form_can_be_chosen_against_the_task(
    staged: Callable[..., Any], three: dict[str, Any]
) -> None:
    stage = staged(several=True)
    state = stage.applied(form="softmax", **three)
    shown = state.teachers[ENSEMBLE].observe(stage.state.data.tuning.inputs).logits
    models = [stage.applied(**{**three, "given": one}, form="softmax") for one in np.eye(3)]
    alone = [
        one.teachers[ENSEMBLE].observe(stage.state.data.tuning.inputs).logits for one in models
    ]
    mixture = sum(w * (z / 4).softmax(-1) for w, z in zip(GIVEN["given"], alone, strict=True))
    torch.testing.assert_close((shown / 4).softmax(-1), mixture, rtol=0, atol=1e-6)


def test_names_tell_apart_whatever_decides_and_nothing_else(
    stage: Any, three: dict[str, Any]
) -> None:
    def name(**changes: Any) -> str:
        terms: tuple[LossTerm, ...] = stage.applied(**{**three, **changes}).terms
        return terms[0].name

    changed = [
        {}, {"given": (0.5, 0.3, 0.2)}, {"mixing": "logits"}, {"calibrate": True},
        {"temperature": 2.0}, {"targets": "online"}, {"form": "sigmoid"},
        {"weights": "stacking", "given": ()}, {"assistant_share": 0.5},
    ]  # fmt: skip
    names = [name(**changes) for changes in changed]
    assert len(set(names)) == len(changed)
    one = {"given": (0.0, 1.0, 0.0)}
    assert name(mixing="logits", **one) == name(**one)
    assert name(weight=3.0, squared=False, drop=False, objective="brier") == names[0]


def test_another_order_of_answers_is_another_term(stage: Any, three: dict[str, Any]) -> None:
    artefact = stage.prepared(**three)
    params = stage.params(**three)
    found = weighed(artefact, Choice(params), stage.context)
    members = [{**one, "order": [2, 1, 0]} for one in artefact.record["members"]]
    other = replace(artefact, record={"members": members})
    names = {ensemble_term(params, found, one, stage.context).name for one in (artefact, other)}
    assert len(names) == 2


def test_targets_of_other_data_are_refused(stage: Any, three: dict[str, Any]) -> None:
    artefact, params = stage.prepared(**three), stage.params(**three)
    found = weighed(artefact, Choice(params), stage.context)
    data = replace(stage.context.task.data, sha256="another")
    task = type(stage.context.task)("tiny", data, ("a", "b", "c"))
    with pytest.raises(UserError, match="expected predictions on the task's data another"):
        ensemble_term(params, found, artefact, replace(stage.context, task=task))
