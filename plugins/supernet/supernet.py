"""Once-for-all training: one set of weights that every subnet of a space is a slice of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final, final

import torch
from torch import nn

from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.distill.regions import placed
from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.statistics import has_statistics, reestimate
from stillhouse.core.evaluate import (
    Artefact,
    Choice,
    Context,
    ElasticModule,
    Method,
    State,
    Student,
)
from stillhouse.plugins.supernet.after import after_search
from stillhouse.plugins.supernet.earlier import Earlier, content, refuse_contradictions
from stillhouse.plugins.supernet.samplers import counting, sub_spaces
from stillhouse.plugins.supernet.stages import Stages, train
from stillhouse.plugins.supernet.starting import full_network, refuse_other_view

if TYPE_CHECKING:
    from stillhouse.core.space import Columns

NAME = "supernet"
COMPARED: Final = {"inherited": {"after": "inherit"}, "tuned": {"after": "finetune"}}
"""Roles in the closing table beside "scratch"."""


@final
class Supernet(Method):
    """Two stages after LightHuBERT (arXiv:2203.15610, section 3): full student, then subnets.

    Both learn from the state's teachers; the subnets never learn from the stage-1 student, save
    with `inplace`. The artefact holds the elastic weights, of each sub-space under its number; its
    record holds the optimiser steps a subnet's weights received (`updates`), the histories, the
    full structure, the sizes between sub-spaces (`edges`), and the settings of stage 2
    (`settings`, as `TrainSettings` takes them) for controls trained from scratch.
    """

    def prepare(self, state: State, params: Any, context: Context) -> Artefact:
        """Raises UserError for a teacher, earlier weights, sub-spaces or masks that do not fit."""
        space = context.spaces[NAME]
        largest = space.decode(space.corners()[2])
        context = replace(context, full=context.family.whole(context.full, largest))
        settings = _settings(params)
        regions, edges = sub_spaces(space, params, context)

        def build() -> nn.Module:
            return full_network(state, params, largest, context)

        stages = Stages(state, params, settings, context)
        trained = train(stages, build, regions, Earlier.read(params))
        record = {
            "updates": trained.updates,
            "history": trained.history(),
            "structure": dict(context.full),
            "settings": asdict(settings),
            "edges": edges,
        }
        tensors = {
            f"{_prefix(place, edges)}{name}": tensor
            for place, weights in enumerate(trained.weights)
            for name, tensor in weights.items()
        }
        return Artefact(tensors, record)

    def check(self, state: State, choice: Choice, context: Context) -> None:
        """Raises UserError for weights of a teacher that sees other channels, or two origins."""
        refuse_contradictions(choice.params)
        if choice.params.initial == "teacher":
            refuse_other_view(state, context)

    def sources(self, params: Any) -> Any:
        return content(params)

    def apply(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> State:
        """Slice out the subnet of the chosen genes, with copied weights.

        At full fidelity it is then trained as `after` says.
        """
        params, settings = choice.params, TrainSettings(**artefact.record["settings"])
        elastic = _rebuilt(artefact, _place(artefact, choice, context), context)
        elastic.set_active(choice.genes)
        module = elastic.extract().eval()
        if params.statistics_samples and has_statistics(module):
            reestimate(
                module,
                state.data.train,
                samples=params.statistics_samples,
                batch_size=params.batch_size,
                seed=context.seed(NAME, "statistics"),
            )
        structure = elastic.structure(choice.genes)
        student = Student(context.family.name, structure, module, artefact.record["updates"])
        return state.with_student(after_search(student, state, params, settings, context))

    def compared(self, params: Any) -> Mapping[str, Mapping[str, Any]]:
        return COMPARED if params.compare else {}

    def skeleton(self, student: Student | None, choice: Choice, context: Context) -> Student:
        structure = context.family.subnet(context.full, choice.genes)
        module = context.family.build(structure, torch.Generator().manual_seed(0))
        return Student(context.family.name, structure, module.eval())

    def sheet(self, sheet: OperatorSheet, columns: Columns, context: Context) -> OperatorSheet:
        genes = [dimension.name for dimension in context.spaces[NAME].dimensions]
        return context.family.sheet(context.full, {name: columns[name] for name in genes})


def _settings(params: Any) -> TrainSettings:
    return TrainSettings(
        epochs=params.epochs,
        batch_size=params.batch_size,
        gradient_accumulation=params.gradient_accumulation,
        learning_rate=params.learning_rate,
        schedule=params.schedule,
        warmup=params.warmup,
        weight_decay=params.weight_decay,
        task_weight=params.task_weight,
        inplace=params.inplace,
        freeze_unsampled=params.freeze_unsampled,
        save_every=params.save_every,
    )


def _place(artefact: Artefact, choice: Choice, context: Context) -> int:
    """The sub-space that a choice's genes belong to."""
    edges = artefact.record["edges"]
    if not edges:
        return 0
    space = context.spaces[NAME]
    full = replace(context, full=artefact.record["structure"])
    size = counting(space, full)(space.encode(choice.genes)[None])
    return int(placed(size, edges)[0])


def _prefix(place: int, edges: list[float]) -> str:
    return f"{place}/" if edges else ""


def _rebuilt(artefact: Artefact, place: int, context: Context) -> ElasticModule:
    """The elastic network of a sub-space, built once and kept in the artefact's memo."""
    key = f"elastic {place}"
    if key not in artefact.memo:
        prefix = _prefix(place, artefact.record["edges"])
        weights = {
            name.removeprefix(prefix): tensor
            for name, tensor in artefact.tensors.items()
            if name.startswith(prefix)
        }
        generator = torch.Generator().manual_seed(0)
        plain = context.family.build(artefact.record["structure"], generator)
        elastic = context.family.elastic(plain).eval()
        elastic.load_state_dict(weights)
        artefact.memo[key] = elastic
    kept: ElasticModule = artefact.memo[key]
    return kept
