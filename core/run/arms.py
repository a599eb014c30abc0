"""Control arms: what the found configuration is worth beside ones that needed no search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from stillhouse.core.cost.limits import Limit
from stillhouse.core.errors import RunDirectoryError, TrainingError, UserError
from stillhouse.core.evaluate import Student
from stillhouse.core.evaluate.evaluator import CandidateError, Evaluator
from stillhouse.core.measure import DeviceFile
from stillhouse.core.run.certifying import Certified, broken
from stillhouse.core.run.finalists import Finalist, in_full, measured_group
from stillhouse.core.run.goals import Goals
from stillhouse.core.run.ledger import Entry
from stillhouse.core.run.opened import Opened

FOUND: Final = "found"


@dataclass(frozen=True, eq=False)
class Arm:
    """A configuration trained `search.repeats` times; `validation` are its metrics each time.

    `role` is "found", or what the method that asked for it calls it.
    """

    role: str
    method: str
    entry: Entry
    students: Sequence[Student]
    validation: Sequence[Mapping[str, float]]

    @property
    def label(self) -> str:
        return self.role.replace("-", " ")

    def mean(self) -> dict[str, float]:
        """Known costs, and every metric's mean over the repeats."""
        names = self.validation[0]
        return {**self.entry.costs, **{n: _mean(v[n] for v in self.validation) for n in names}}


@dataclass(frozen=True, eq=False)
class Arms:
    """The found configuration first, then its controls; `chosen` is the role returned."""

    arms: Sequence[Arm] = ()
    chosen: str = FOUND
    notes: Sequence[str] = ()


def compare(
    opened: Opened,
    evaluator: Evaluator,
    device: DeviceFile,
    certified: Certified,
    limits: Sequence[Limit],
    goals: Goals,
    folder: Path,
) -> tuple[Certified, Arms]:
    """Train finalists and the arms that methods ask for (`Method.controls`) several times over.

    The mean over `search.repeats` trainings decides, on the validation split. A control that is
    better than the best finalist is exported, measured and returned in its place, where it meets
    the limits. Where no finalist can be trained so often, nothing is set beside them.
    """
    bench = _Repeats(opened, evaluator)
    tried = certified.passed[: _tried(opened)]
    finalists, notes = _again(bench, tried)
    if not finalists:
        return certified, Arms(notes=notes)
    order = sorted(finalists, key=lambda i: (*goals.standing(finalists[i].mean()), i))
    order += [i for i in range(len(certified.passed)) if i not in finalists]
    certified = replace(certified, passed=[certified.passed[i] for i in order])
    found = finalists[order[0]]
    arms = [found]
    for role, method, entry in _controls(evaluator, found.entry):
        try:
            arms.append(bench.arm(role, method, entry))
        except RunDirectoryError:
            raise
        except (CandidateError, TrainingError, UserError) as failed:
            notes.append(f"the control arm '{role}' could not be trained: {failed}")
    if len(arms) == 1 and opened.plan.run.search.repeats == 1:
        return certified, Arms(notes=notes)
    for arm in sorted(arms, key=lambda arm: goals.standing(arm.mean())):
        if arm is found:
            break
        better = _certified(opened, evaluator, device, arm.entry, limits, goals, folder)
        if better is not None:
            passed = [better, *certified.passed]
            return replace(certified, passed=passed), Arms(arms, arm.role, [*notes, _said(arm)])
    return certified, Arms(arms, FOUND, notes)


def _again(bench: _Repeats, tried: Sequence[Finalist]) -> tuple[dict[int, Arm], list[str]]:
    """Finalists trained several times over, by place; and what is to be said of those that failed.

    One training may diverge where another did not. A finalist that fails in one of them comes after
    all others.
    """
    arms, notes = {}, []
    for place, finalist in enumerate(tried):
        try:
            arms[place] = bench.arm(FOUND, "", finalist.entry)
        except CandidateError as failed:
            notes.append(f"finalist {finalist.entry.key} could not be trained again: {failed}")
    return arms, notes


def _tried(opened: Opened) -> int:
    """Finalists that are trained again: all, where there is something to learn from it."""
    search = opened.plan.run.search
    return search.finalists if search.repeats > 1 else 1


def _controls(evaluator: Evaluator, found: Entry) -> Iterator[tuple[str, str, Entry]]:
    for bound in evaluator.steps:
        params = bound.choice(found.configuration).params
        for role, changes in bound.method.controls(params).items():
            own = {f"{bound.step.name}.{name}": value for name, value in changes.items()}
            configuration = {**found.configuration, **own}
            facts = {"key": f"{found.key}/{role}", "configuration": configuration}
            yield role, bound.step.name, msgspec.structs.replace(found, **facts)


class _Repeats:
    """Trains configurations; those of equal effect only once."""

    def __init__(self, opened: Opened, evaluator: Evaluator) -> None:
        self._opened = opened
        self._evaluators = [
            Evaluator(
                evaluator.steps,
                evaluator.initial,
                replace(evaluator.context, repeat=repeat),
                evaluator.store,
                evaluator.origin,
            )
            for repeat in range(opened.plan.run.search.repeats)
        ]
        self._known: dict[str, tuple[list[Student], list[dict[str, float]]]] = {}

    def arm(self, role: str, method: str, entry: Entry) -> Arm:
        key = self._evaluators[0].identity(entry.configuration, 1.0)
        if key not in self._known:
            self._known[key] = self._trained(entry.configuration)
        return Arm(role, method, entry, *self._known[key])

    def _trained(
        self, configuration: Mapping[str, Any]
    ) -> tuple[list[Student], list[dict[str, float]]]:
        students, scores = [], []
        for evaluator in self._evaluators:
            student = in_full(self._opened, evaluator, configuration, "finalist")
            state = evaluator.initial.with_student(student)
            students.append(student)
            scores.append(evaluator.values(state, state.data.validation))
        return students, scores


def _certified(
    opened: Opened,
    evaluator: Evaluator,
    device: DeviceFile,
    entry: Entry,
    limits: Sequence[Limit],
    goals: Goals,
    folder: Path,
) -> Finalist | None:
    """The arm measured, or None when it breaks a limit."""
    ready, _ = measured_group(opened, evaluator, device, [entry], folder, limits)
    every = (*limits, *goals.outcomes)
    within = (f for f in ready if broken(every, f.known, f.latencies) is None)
    return next(within, None)


def _said(arm: Arm) -> str:
    return (
        f"control arm '{arm.label}' was better on validation than what the search found, and is "
        "what was returned"
    )


def _mean(values: Iterator[float]) -> float:
    return float(np.mean(list(values)))
