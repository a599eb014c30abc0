"""Assistants of a run file's sections: trained one after another, drawn, or with given weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stillhouse.core.config.teacher import channels_of
from stillhouse.core.cost.terms import parameters
from stillhouse.core.distill.training import fit
from stillhouse.core.evaluate import Context, State, Student, Teacher
from stillhouse.core.evaluate.named_weights import take_named
from stillhouse.core.run.frozen import train_head
from stillhouse.plugins.ensemble.assistant import Assistant, assistant
from stillhouse.plugins.ensemble.drawing import drawn, sandwich_macs
from stillhouse.plugins.ensemble.given import take_checkpoint
from stillhouse.plugins.ensemble.lesson import lesson, sources
from stillhouse.plugins.ensemble.member import TEACHER, as_teacher
from stillhouse.plugins.ensemble.network import Network, names, network


def assistants(state: State, params: Any, context: Context) -> list[Assistant]:
    """The assistants of all sections in order, each taught as `topology` says.

    Raises UserError for a checkpoint or named weights that do not fit.
    """
    before: dict[str, Teacher] = {TEACHER: state.teachers[TEACHER]}
    found: list[Assistant] = []
    above = student_parameters(context)
    for name, section in zip(names(params.assistants), params.assistants, strict=True):
        taught_by = {n: before[n] for n in sources(params.topology, tuple(before))}
        for one in _made(network(name, section, context), taught_by, params, above):
            found.append(one)
            before[one.member.name] = as_teacher(one.module, one.member, context)
    return found


def student_parameters(context: Context) -> float:
    """Of the student's full network."""
    family, full = context.family, context.full
    return float(parameters(family.sheet(full, family.columns([full])))[0])


def _made(
    net: Network, taught_by: Mapping[str, Teacher], params: Any, above: float
) -> list[Assistant]:
    """The one network of a section, or the subnets drawn from it."""
    if net.section["checkpoint"] is not None:
        module = take_checkpoint(net.fresh(0), net.section["checkpoint"], net.name)
        return [_counted(net, "given", Student(net.family.name, net.structure, module))]
    share = params.assistant_share
    several = net.context.task.several
    term = lesson(tuple(taught_by), share, params.assistant_temperature, several)
    state = State(taught_by, net.context.task.data, terms=(term,) if share else ())
    learnt_from = tuple(taught_by) if share else ()
    if net.section["draw"]:
        students = drawn(net, state, net.settings(share), above)
        macs = sandwich_macs(net) / len(students)
        return [
            _counted(net, "drawn", one, learnt_from, f"{net.name}-{k}", macs)
            for k, one in enumerate(students, 1)
        ]
    if net.section["freeze"]:
        return [_counted(net, "trained", _trained(net, state, share))]
    return [_counted(net, "trained", _trained(net, state, share), learnt_from)]


def _trained(net: Network, state: State, share: float) -> Student:
    """A network taught by the state's teachers; a frozen one's head by labels alone."""
    module, frozen = net.fresh(net.seed), bool(net.section["freeze"])
    label = f"assistant/{net.name}"
    take_named(module, net.family, net.params, net.structure, f"assistant {net.name}", frozen)
    if frozen:
        result = train_head(module, net.settings(0.0), net.context, label)
    else:
        result = fit(
            module,
            structure=net.structure,
            state=state,
            settings=net.settings(share),
            context=net.context,
            label=label,
        )
    return Student(net.family.name, net.structure, module, result.updates)


def _counted(
    net: Network,
    source: str,
    student: Student,
    learnt_from: tuple[str, ...] = (),
    name: str = "",
    update_macs: float | None = None,
) -> Assistant:
    return assistant(
        source,
        student,
        net.context,
        name=name or net.name,
        learnt_from=learnt_from,
        channels=channels_of(net.section),
        batch_size=net.section["batch_size"],
        update_macs=update_macs,
        seed=net.seed if source != "given" else None,
    )
