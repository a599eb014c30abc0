"""Once-for-all training: one set of weights that every subnet of a space is a slice of."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, final

import torch

from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.evaluate import (
    Artefact,
    Choice,
    Context,
    ElasticModule,
    Method,
    State,
    Student,
)
from stillhouse.core.evaluate.state import Structure
from stillhouse.plugins.supernet.stages import full_student, sampled_subnets

if TYPE_CHECKING:
    from stillhouse.core.space import Columns

NAME = "supernet"


@final
class Supernet(Method):
    """Two stages after LightHuBERT (arXiv:2203.15610, section 3): full student, then subnets.

    Both learn from the state's teachers; the subnets never learn from the stage-1 student, save
    with `inplace`. The artefact holds the elastic weights; its record holds the optimiser steps
    they received (`updates`), the two histories, the full structure, and the settings of stage 2
    (`settings`, as `TrainSettings` takes them) for controls trained from scratch.
    """

    def prepare(self, state: State, params: Any, context: Context) -> Artefact:
        """Raises UserError when `initial: teacher` meets a teacher of another structure."""
        settings = _settings(params)
        context = replace(context, full=_largest(context))
        module, first = full_student(state, params, settings, context)
        elastic = context.family.elastic(module)
        space = context.spaces[NAME]
        second = sampled_subnets(elastic, space, state, params, settings, context)
        record = {
            "updates": first.updates + second.updates,
            "history": {
                "full": [asdict(line) for line in first.history],
                "sampled": [asdict(line) for line in second.history],
            },
            "structure": dict(context.full),
            "settings": asdict(settings),
        }
        tensors = {name: t.detach().clone() for name, t in elastic.state_dict().items()}
        return Artefact(tensors, record)

    def apply(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> State:
        """Slice out the subnet of the chosen genes, with copied weights."""
        elastic = _rebuilt(artefact, context)
        elastic.set_active(choice.genes)
        module = elastic.extract().eval()
        structure = elastic.structure(choice.genes)
        updates = artefact.record["updates"]
        return state.with_student(Student(context.family.name, structure, module, updates))

    def skeleton(self, student: Student | None, choice: Choice, context: Context) -> Student:
        structure = context.family.subnet(context.full, choice.genes)
        module = context.family.build(structure, torch.Generator().manual_seed(0))
        return Student(context.family.name, structure, module.eval())

    def sheet(self, sheet: OperatorSheet, columns: Columns, context: Context) -> OperatorSheet:
        genes = [dimension.name for dimension in context.spaces[NAME].dimensions]
        return context.family.sheet(context.full, {name: columns[name] for name in genes})


def _largest(context: Context) -> Structure:
    """The full student: the space's largest configuration, which may differ from the teacher."""
    space = context.spaces[NAME]
    return context.family.subnet(context.full, space.decode(space.corners()[2]))


def _settings(params: Any) -> TrainSettings:
    return TrainSettings(
        epochs=params.epochs,
        batch_size=params.batch_size,
        learning_rate=params.learning_rate,
        weight_decay=params.weight_decay,
        task_weight=params.task_weight,
        inplace=params.inplace,
        freeze_unsampled=params.freeze_unsampled,
    )


def _rebuilt(artefact: Artefact, context: Context) -> ElasticModule:
    """The elastic network of an artefact, built once and kept in its memo."""
    if "elastic" not in artefact.memo:
        generator = torch.Generator().manual_seed(0)
        plain = context.family.build(artefact.record["structure"], generator)
        elastic = context.family.elastic(plain).eval()
        elastic.load_state_dict(artefact.tensors)
        artefact.memo["elastic"] = elastic
    kept: ElasticModule = artefact.memo["elastic"]
    return kept
