"""An assistant: a member of the mixture with its network and its costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from torch import nn

from stillhouse.core.cost.counting import module_sheet
from stillhouse.core.cost.terms import totals
from stillhouse.core.distill.checkpoint import fingerprint
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Context, ModuleTeacher, Rebuild, Student, Teacher
from stillhouse.core.evaluate.skeletons import description
from stillhouse.plugins.ensemble.member import TEACHER, Member

_PASSES = 3
"""An update costs about as much as three forward passes: one forward, two backward."""


@final
@dataclass(frozen=True, eq=False)
class Assistant:
    """A member and its network."""

    member: Member
    module: nn.Module


def assistant(
    source: str,
    student: Student,
    context: Context,
    *,
    name: str,
    learnt_from: tuple[str, ...] = (),
    order: tuple[int, ...] = (),
    channels: tuple[int, ...] = (),
    batch_size: int = 0,
    update_macs: float | None = None,
    seed: int | None = None,
) -> Assistant:
    """An assistant with its costs.

    `batch_size` is that of its updates, 0 if not known. `update_macs` is what a sample took of the
    forward passes of an update, its own MACs by default; those of drawn subnets are equal shares of
    their supernet's.
    """
    costs = counted(student.module, channels, context)
    macs = costs["macs"] if update_macs is None else update_macs
    trained = round(_PASSES * macs * student.updates * batch_size)
    member = Member(
        name,
        source,
        description(student),
        channels,
        order,
        learnt_from,
        parameters=costs["parameters"],
        macs=costs["macs"],
        training_macs=trained,
        seed=seed,
        updates=student.updates,
    )
    return Assistant(member, student.module.eval())


def teacher_itself(teacher: Teacher, context: Context) -> Member:
    """The run's teacher among the members, with costs where it is one network."""
    if not isinstance(teacher, ModuleTeacher):
        return Member(TEACHER, TEACHER)
    costs = counted(teacher.module, teacher.channels, context)
    return Member(
        TEACHER,
        TEACHER,
        channels=teacher.channels,
        parameters=costs["parameters"],
        macs=costs["macs"],
        training_macs=0,
    )


def counted(module: nn.Module, channels: tuple[int, ...], context: Context) -> dict[str, int]:
    """`parameters` and `macs` of a network that sees these channels, from a run on shapes."""
    sheet = module_sheet([module], context.task.viewed(channels).example(1))
    found = totals(sheet, ("parameters", "macs"))
    return {name: round(float(values[0])) for name, values in found.items()}


def timed(one: Assistant, context: Context) -> Assistant:
    """The assistant with its latency in the run's target."""
    described = one.member.described
    assert described is not None  # noqa: S101 - assistants have networks
    rebuilds = tuple(Rebuild(**change) for change in described["rebuilds"])
    student = Student(described["family"], described["structure"], one.module, rebuilds=rebuilds)
    latency_ms = _latency(context, student, one.member.channels)
    return replace(one, member=replace(one.member, latency_ms=latency_ms))


def timed_teacher(member: Member, teacher: Teacher, context: Context) -> Member:
    """The same of the teacher, named by its weights; left as it is where it is not one network."""
    if not isinstance(teacher, ModuleTeacher):
        return member
    known = {"weights": fingerprint(teacher.module, {})}
    student = Student(TEACHER, known, teacher.module)
    return replace(member, latency_ms=_latency(context, student, teacher.channels))


def refuse_untimed(context: Context) -> None:
    """Raise UserError where networks cannot be timed, in every one of several processes."""
    if context.latency is None or context.group.size > 1:
        raise UserError(
            "ensemble.limit_on: latency_ms needs a run with a target and one process, since others "
            "would disturb what is timed; use train: {processes: 1}, and execute: {kind: inline} "
            "where parameters that split what 'ensemble' prepares are searched; or limit another "
            "cost"
        )


def _latency(context: Context, student: Student, channels: tuple[int, ...]) -> float:
    assert context.latency is not None  # noqa: S101 - by `refuse_untimed`
    return context.latency(student, channels)
