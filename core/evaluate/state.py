"""What a recipe works on: a small immutable `State` that every method returns anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from stillhouse.core.distill.masking import Masking
from stillhouse.core.evaluate.data import Batch, TaskData
from stillhouse.core.evaluate.teacher import Observation, Teacher

Structure = Mapping[str, Any]
"""JSON-able description from which a family rebuilds a skeleton."""


@dataclass(frozen=True)
class Rebuild:
    """A change of form to repeat when the model is loaded: method name and JSON-able record."""

    method: str
    record: Structure


LAST = "last"
"""Student tap of a `LossTerm`: the last of the family's taps that is active."""


@dataclass(frozen=True, eq=False)
class Student:
    """The model being shaped.

    `module` is in eval mode and is never changed in place by a method; `updates` counts the
    optimiser steps its weights have received; `rebuilds` are the changes of form that loading
    repeats on a fresh skeleton. With `zeros_stay` the zeros of its weight matrices stay when it
    trains.
    """

    family: str
    structure: Structure
    module: nn.Module
    updates: int = 0
    rebuilds: tuple[Rebuild, ...] = ()
    zeros_stay: bool = False


@dataclass(frozen=True, eq=False)
class LossTerm:
    """One addend of the training loss, for every method that trains after it.

    `name` says all that decides the term's value (`"soft-labels(temperature=4)"`): checkpoints
    of a training run are told apart by it.

    `value(student, teachers, batch)` is a scalar, mean over the batch. `student_taps` and
    `teacher_taps` (by teacher name) are the module names whose features it reads; the student tap
    `LAST` stands for the last tap of the network, or of the subnet, in use. `teachers` names
    those whose logits are read as well. `adapter`, if any, is built as `adapter(student_widths)`
    (tap name to width), trained beside the student, passed back as the fourth argument, and
    dropped afterwards: it never reaches the export. `begin`, called like `value`, sees the first
    batch before anything is trained. A `normalised` term is divided by its value on that batch, so
    that one range of weights fits all.
    """

    name: str
    weight: float
    value: Callable[[Observation, Mapping[str, Observation], Batch, nn.Module | None], Tensor]
    student_taps: tuple[str, ...] = ()
    teacher_taps: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    adapter: Callable[[Mapping[str, int]], nn.Module] | None = None
    teachers: tuple[str, ...] = ()
    begin: Callable[..., None] | None = None
    normalised: bool = False


@dataclass(frozen=True)
class Policy:
    """How the deployed model answers. `"static"` runs it whole; others carry their settings."""

    name: str = "static"
    settings: Structure = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class State:
    """Teachers by name, the student once there is one, data, loss terms, inference policy.

    With `masking` a student that trains sees masked inputs; its teachers never do. Loss terms find
    the mask among the student's features, under `core.distill.masking.MASKED`.
    """

    teachers: Mapping[str, Teacher]
    data: TaskData
    student: Student | None = None
    terms: tuple[LossTerm, ...] = ()
    policy: Policy = Policy()
    masking: Masking | None = None

    def with_student(self, student: Student) -> State:
        return replace(self, student=student)

    def with_term(self, term: LossTerm) -> State:
        return replace(self, terms=(*self.terms, term))
