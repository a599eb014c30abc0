"""What a section of the run file says of an assistant: its network and how it is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, cast, final

import torch
from torch import nn

from stillhouse.core.config.teacher import TeacherTraining, channels_of
from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Context, ModelFamily, Task
from stillhouse.core.plugin import Catalogue, Params, declared

Section = Mapping[str, Any]


@final
@dataclass(frozen=True, eq=False)
class Network:
    """A network that a section describes; `context` has its family, structure and view."""

    name: str
    section: Section
    family: ModelFamily
    params: Params
    structure: Mapping[str, Any]
    context: Context

    @property
    def seed(self) -> int:
        """Of its weights before training."""
        return self.context.seed("ensemble", self.name, "weights")

    def fresh(self, seed: int) -> nn.Module:
        return self.family.build(self.structure, torch.Generator().manual_seed(seed))

    def settings(self, share: float) -> TrainSettings:
        """Its training, in which labels have what is left of the share."""
        known = {field.name for field in fields(TrainSettings)}
        names = [p.name for p in declared(TeacherTraining) if p.name in known]
        own = {name: self.section[name] for name in names}
        return TrainSettings(
            **{**own, "patience": own["patience"] or None, "task_weight": 1 - share}
        )


def network(name: str, section: Section, context: Context) -> Network:
    """Raises UserError where the family cannot have the shape, or the inputs lack a channel."""
    catalogue = cast("Catalogue", context.catalogue)
    info = catalogue.model(section["model"])
    family = cast("type[ModelFamily]", catalogue.resolve(info))()
    params = info.params(**{p.name: section[p.name] for p in declared(info.params)})
    task = _viewed(name, section, context)
    structure = family.structure(params, task.input_shape, task.outputs)
    seen = replace(context, task=task, family=family, full=structure)
    return Network(name, section, family, params, structure, seen)


def _viewed(name: str, section: Section, context: Context) -> Task:
    try:
        return context.task.viewed(channels_of(section))
    except UserError as error:
        raise UserError(f"assistant {name}: {error}") from None


def names(sections: Sequence[Section]) -> list[str]:
    """A name for each section: its own, or its model's, with its size or its place in the list.

    Raises UserError for a name that is given twice, or is the teacher's.
    """
    found: list[str] = []
    for place, section in enumerate(sections):
        name = section["name"] or f"{section['model']}-{section.get('size', place + 1)}"
        if not section["name"] and name in found:
            name = f"{name}-{place + 1}"
        if name in found or name == "teacher":
            raise UserError(
                f"ensemble: expected a name of its own for every assistant, got '{name}' "
                f"{'twice' if name in found else 'which is the teacher'}; rename one"
            )
        found.append(name)
    return found
