from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import numpy as np
import pytest
import torch
from torch import Tensor

from stillhouse.core.distill.losses import softened
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import ModuleTeacher, Observation, Teacher
from stillhouse.core.evaluate.predicting import predict
from stillhouse.core.search.ensembles import mixed, stack
from stillhouse.plugins.ensemble.mixture import EnsembleTeacher, Mixing

WEIGHTS = [0.5, 0.2, 0.3]


@final
class Untouchable(Teacher):
    taps: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.widths: dict[str, int] = {}

    def observe(self, inputs: Tensor, taps: tuple[str, ...] = ()) -> Observation:
        raise AssertionError("a model of weight 0 was run")


def members(stage: Any) -> list[Teacher]:
    return [ModuleTeacher(stage.network(seed), (), {}) for seed in (1, 2, 3)]


@pytest.mark.parametrize("kind", ["probabilities", "logits"])
@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize(("found", "at"), [(1.0, 1.0), (0.5, 4.0), (2.0, 1.0)])
def test_the_teacher_softened_is_what_the_search_mixes(
    staged: Callable[..., Any], kind: str, several: bool, found: float, at: float
) -> None:
    stage = staged(several=several)
    models, task = members(stage), stage.context.task
    cached = predict({str(k): model for k, model in enumerate(models)}, "tuning", task)
    teacher = EnsembleTeacher(models, WEIGHTS, Mixing(kind, found, several), at)
    shown = teacher.observe(task.data.tuning.inputs).logits
    expected = mixed(cached.probabilities, np.array(WEIGHTS), kind, found * at, several)
    np.testing.assert_allclose(softened(shown, at, several), expected, rtol=0, atol=1e-6)


def test_one_model_passes_through(stage: Any) -> None:
    inputs, model = stage.context.task.data.tuning.inputs, members(stage)[0]
    teacher = EnsembleTeacher([model], [0.7], Mixing(), 4.0)
    assert torch.equal(teacher.observe(inputs).logits, model.observe(inputs).logits)


def test_models_of_weight_zero_never_run(stage: Any) -> None:
    inputs, models = stage.context.task.data.tuning.inputs, members(stage)
    teacher = EnsembleTeacher([Untouchable(), *models[:2]], [0.0, 1.0, 3.0], Mixing())
    plain = EnsembleTeacher(models[:2], [0.25, 0.75], Mixing())
    assert torch.equal(teacher.observe(inputs).logits, plain.observe(inputs).logits)


def test_a_stack_says_what_it_says_of_cached_predictions(stage: Any) -> None:
    models, task = members(stage), stage.context.task
    cached = predict({str(k): model for k, model in enumerate(models)}, "tuning", task)
    for logits in (False, True):
        fitted = stack(cached.probabilities, cached.targets, logits)
        teacher = EnsembleTeacher(models, WEIGHTS, Mixing(stack=fitted), 4.0)
        shown = teacher.observe(task.data.tuning.inputs).logits
        expected = fitted.predict(cached.probabilities)
        np.testing.assert_allclose(shown.softmax(-1), expected, rtol=0, atol=1e-6)


def test_a_stack_whose_labels_are_taken_by_themselves_says_the_same_of_each(stage: Any) -> None:
    models, task = members(stage), stage.context.task
    cached = predict({str(k): model for k, model in enumerate(models)}, "tuning", task)
    fitted = stack(cached.probabilities, cached.targets)
    teacher = EnsembleTeacher(models, WEIGHTS, Mixing(sigmoid=True, stack=fitted), 4.0)
    shown = teacher.observe(task.data.tuning.inputs).logits
    expected = fitted.predict(cached.probabilities)
    np.testing.assert_allclose(shown.sigmoid(), expected, rtol=0, atol=1e-6)


def test_certain_answers_stay_finite(stage: Any) -> None:
    answers = torch.tensor([[[200.0, 0.0, -200.0]], [[-200.0, 0.0, 200.0]]])
    for sigmoid in (False, True):
        teacher = EnsembleTeacher(
            [Untouchable(), Untouchable()], [0.5, 0.5], Mixing(sigmoid=sigmoid)
        )
        assert teacher.mixed(answers).isfinite().all()


@pytest.mark.parametrize("weights", [[0.5], [0.0, 0.0], [1.5, -0.5], [float("nan"), 1.0]])
def test_weights_that_are_none_are_refused(weights: list[float]) -> None:
    with pytest.raises(UserError, match="a weight of at least 0 for each of 2 models"):
        EnsembleTeacher([Untouchable(), Untouchable()], weights, Mixing())


def test_an_ensemble_has_no_layers_to_learn_from(stage: Any) -> None:
    teacher = EnsembleTeacher(members(stage), WEIGHTS, Mixing())
    with pytest.raises(UserError, match=r"got the taps blocks.0; learn from the layers of 'teach"):
        teacher.observe(stage.context.task.data.tuning.inputs, ("blocks.0",))
