"""Distil: train each candidate for the budget it is given."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import final

from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.training import fit
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Artefact, Choice, Context, Method, State


@final
class Distil(Method):
    """Trains a copy of the student on the task and on the terms gathered so far.

    At fidelity f it trains round(f * epochs) epochs; with none the student passes unchanged. The
    terms stay in the state: every method that trains reads the same ones.
    """

    def apply(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> State:
        student, params = state.student, choice.params
        if student is None:
            raise UserError("distil: expected a student to train, got none; put 'supernet' first")
        settings = TrainSettings(
            epochs=round(params.epochs * context.fidelity),
            batch_size=params.batch_size,
            learning_rate=params.learning_rate,
            task_weight=params.task_weight,
        )
        if settings.epochs == 0:
            return state
        module = copy.deepcopy(student.module)
        result = fit(
            module,
            structure=student.structure,
            state=state,
            settings=settings,
            context=context,
            label="distil",
        )
        updates = student.updates + result.updates
        return state.with_student(replace(student, module=module, updates=updates))
