"""What the models of an ensemble are: plain data, and the teachers they are rebuilt as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from stillhouse.core.evaluate import Artefact, Context, ModuleTeacher, Teacher
from stillhouse.core.evaluate.skeletons import skeleton

TEACHER = "teacher"


@final
@dataclass(frozen=True)
class Member:
    """A model of the mixture.

    `source` is trained, drawn, given, file or teacher; `described` rebuilds the network (None for a
    file of predictions and for the teacher). `order` are the places of the task's classes in the
    network's own answers, empty where they are the same. `training_macs` counts three forward
    passes' worth for each sample that it learnt from; `updates` are the optimiser steps its weights
    have received, 0 if not known.
    """

    name: str
    source: str
    described: Mapping[str, Any] | None = None
    channels: tuple[int, ...] = ()
    order: tuple[int, ...] = ()
    learnt_from: tuple[str, ...] = ()
    parameters: int | None = None
    macs: int | None = None
    training_macs: int | None = None
    latency_ms: float | None = None
    seed: int | None = None
    updates: int = 0

    def record(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def of(record: Mapping[str, Any]) -> Member:
        lists = {name: tuple(record[name]) for name in ("channels", "order", "learnt_from")}
        return Member(**{**record, **lists})


@final
class Reordered(nn.Module):
    """A network whose answers stand in another order: output c is its own output `order[c]`."""

    def __init__(self, network: nn.Module, order: Sequence[int]) -> None:
        super().__init__()
        self.network, self._order = network, list(order)

    def forward(self, inputs: Tensor) -> Tensor:
        answers: Tensor = self.network(inputs)
        return answers[:, self._order]


def as_teacher(module: nn.Module, member: Member, context: Context) -> ModuleTeacher:
    """A member's network as a teacher of its own view; without taps.

    For a task that has no training views it runs once on every training sample.
    """
    network = Reordered(module, member.order) if member.order else module
    seen = None if context.task.augments else context.task.data.train
    return ModuleTeacher(network.to(context.device), (), {}, seen, channels=member.channels)


def members(artefact: Artefact) -> tuple[Member, ...]:
    """The models whose predictions the artefact holds, in their order."""
    return tuple(map(Member.of, artefact.record["members"]))


def teachers(artefact: Artefact, teacher: Teacher | None, context: Context) -> dict[str, Teacher]:
    """Every model that can be run, by name; built once and kept in the artefact's memo."""
    if "teachers" not in artefact.memo:
        artefact.memo["teachers"] = {
            member.name: as_teacher(_rebuilt(artefact, place, member, context), member, context)
            for place, member in enumerate(members(artefact))
            if member.described is not None
        }
    found: dict[str, Teacher] = dict(artefact.memo["teachers"])
    return {TEACHER: teacher, **found} if teacher is not None else found


def plain(teacher: Teacher) -> nn.Module:
    """The network of one of `teachers` as its family built it, its answers in its own order."""
    assert isinstance(teacher, ModuleTeacher)  # noqa: S101 - as `as_teacher` made it
    module = teacher.module
    return module.network if isinstance(module, Reordered) else module


def _rebuilt(artefact: Artefact, place: int, member: Member, context: Context) -> nn.Module:
    assert member.described is not None  # noqa: S101 - by `teachers`
    assert context.catalogue is not None  # noqa: S101 - the engine gives one
    prefix = f"{place}/"
    weights = {
        name.removeprefix(prefix): tensor
        for name, tensor in artefact.tensors.items()
        if name.startswith(prefix)
    }
    generator = torch.Generator().manual_seed(0)
    module = skeleton(member.described, generator, context.catalogue)
    module.load_state_dict(weights, strict=True)
    return module.eval()
