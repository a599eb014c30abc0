"""What becomes of a subnet's weights after the search: kept, trained on, or trained anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.training import fit
from stillhouse.core.evaluate import Context, State, Student


def after_search(
    student: Student, state: State, params: Any, settings: TrainSettings, context: Context
) -> Student:
    """The student as `params.after` says, its module trained in place or replaced.

    `finetune` goes on from the inherited weights (once-for-all), `scratch` begins with new ones
    (AutoFormer, HAT); both learn from the state's teachers and loss terms. Anything but the full
    budget leaves the weights as inherited.
    """
    if params.after == "inherit" or context.fidelity < 1:
        return student
    if params.after == "scratch":
        seed = context.seed("supernet", "after", "weights")
        generator = torch.Generator().manual_seed(seed)
        module = context.family.build(student.structure, generator).eval()
        student = replace(student, module=module, updates=0)
    result = fit(
        student.module,
        structure=student.structure,
        state=state,
        settings=replace(
            settings.alone(),
            epochs=params.after_epochs,
            learning_rate=params.after_learning_rate,
        ),
        context=context,
        label="supernet/after",
    )
    return replace(student, updates=student.updates + result.updates)
