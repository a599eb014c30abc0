"""The search stage: ask, filter on known costs, evaluate, write down, tell."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.model import RecipeCosts
from stillhouse.core.evaluate.evaluator import CandidateError, Evaluator
from stillhouse.core.plan.objectives import check_limits, check_objectives
from stillhouse.core.run.goals import Goals, known_of, objectives_of
from stillhouse.core.run.ledger import Entry, Ledger
from stillhouse.core.run.opened import Opened
from stillhouse.core.run.screening import Screening
from stillhouse.core.search import Codes, Halving, Objective, Problem, Sampler, Study

Clock = Callable[[], float]


def objectives(opened: Opened) -> tuple[Objective, ...]:
    """The run's objectives; they and its limits are checked against what the task measures."""
    search, task = opened.plan.run.search, opened.task
    check_objectives(search, task.name, task.metrics)
    check_limits(search, task.name, task.metrics)
    return objectives_of(search)


def make_study(opened: Opened, costs: RecipeCosts, feasible: Codes, goals: Goals) -> Study:
    """The run's sampler on its problem, seeded from the run and held to its contract."""
    run = opened.plan.run.search
    record = opened.catalogue.sampler(run.sampler.name)
    problem = Problem(
        space=opened.plan.space,
        costs=costs,
        objectives=goals.objectives,
        seed=opened.context.seed("sampler") % 2**32,
        feasible=feasible,
        outcomes=goals.names,
        budget=run.evaluations,
    )
    build = cast("Callable[[Any, Problem], Sampler]", opened.catalogue.resolve(record))
    return Study(problem, build(record.params(**run.sampler.fixed), problem))


def search(
    opened: Opened,
    evaluator: Evaluator,
    study: Study,
    ledger: Ledger,
    goals: Goals,
    clock: Clock = time.monotonic,
) -> Sequence[Entry]:
    """Spend the run's evaluations, every one on a candidate whose known costs meet the limits.

    On a ladder of fidelities each counts as one, whatever its rung: a batch begins with the
    candidates that are promoted and is filled up with new ones, evaluated on the lowest rung, the
    only one that the sampler is told of. After an interruption sampler and ladder are led through
    the ledger's results again, so they end where an undisturbed run ends; nothing in the ledger
    is evaluated twice.
    """
    run = opened.plan.run.search
    bench = _Bench(evaluator, ledger, run.rungs, goals, clock)
    screening = Screening(opened, evaluator)
    ladder = Halving(len(run.rungs), run.eta, goals.objectives)
    candidates: dict[str, _Candidate] = {}
    left = run.evaluations
    with opened.context.task_progress("search", run.evaluations) as progress:
        while left:
            batch = min(run.batch, left)
            promoted = ladder.promote(batch)
            codes, fresh = _fresh(study, screening, batch - len(promoted))
            candidates.update((one.key, one) for one in fresh)
            jobs = [(candidates[p.key], p.rung) for p in promoted] + [(one, 0) for one in fresh]
            if not jobs:
                break
            told, over = bench.results(jobs, progress.advance)
            left -= len(jobs)
            for i, one in enumerate(promoted):
                ladder.record(one.rung, [one.key], told[[i]], over[[i]])
            if fresh:
                told, over = told[len(promoted) :], over[len(promoted) :]
                ladder.record(0, [one.key for one in fresh], told, over)
                study.tell(codes, told, over if goals.outcomes else None)
    return ledger.entries


def _fresh(study: Study, screening: Screening, count: int) -> tuple[Codes, list[_Candidate]]:
    """New candidates that passed the screening, and their codes."""
    codes = _asked(study, count * screening.proposals)
    every = _candidates(study, codes)
    kept = screening.kept(every, count)
    keys = {one.key for one in kept}
    return codes[[one.key in keys for one in every]], kept


def _asked(study: Study, count: int) -> Codes:
    """New candidates (n, width), none where there is no room for any."""
    return study.ask(count) if count else np.empty((0, study.problem.space.width))


@dataclass(frozen=True)
class _Candidate:
    key: str
    configuration: Mapping[str, Any]
    costs: Mapping[str, float]


def _candidates(study: Study, codes: Codes) -> list[_Candidate]:
    space = study.problem.space
    known = study.candidates(codes)
    return [
        _Candidate(one.key, space.decode(row), one.costs)
        for one, row in zip(known, codes, strict=True)
    ]


@final
class _Bench:
    """Evaluates candidates, or answers from the ledger."""

    def __init__(
        self,
        evaluator: Evaluator,
        ledger: Ledger,
        rungs: Sequence[float],
        goals: Goals,
        clock: Clock,
    ) -> None:
        self._evaluator, self._ledger, self._clock = evaluator, ledger, clock
        self._rungs, self._goals, self._best = rungs, goals, _Best(goals)
        self._kept = {(entry.key, entry.fidelity): entry for entry in ledger.entries}
        self._number = 0

    def results(
        self, jobs: Sequence[tuple[_Candidate, int]], advance: Callable[[int, str], None]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Values (jobs, objectives) and excess (jobs, outcomes), NaN where one failed."""
        told = np.empty((len(jobs), len(self._goals.objectives)))
        over = np.empty((len(jobs), len(self._goals.outcomes)))
        for i, (candidate, rung) in enumerate(jobs):
            entry = self._entry(candidate, rung)
            known = known_of(entry)
            told[i], over[i] = self._goals.values(known), self._goals.excess(known)
            advance(1, self._best.after(entry))
        return told, over

    def _entry(self, candidate: _Candidate, rung: int) -> Entry:
        """The candidate's result on a rung, in the ledger before this returns."""
        fidelity = self._rungs[rung] if len(self._rungs) > 1 else None
        entry = self._kept.get((candidate.key, fidelity))
        if entry is None:
            entry = self._evaluated(candidate, self._rungs[rung], fidelity)
            self._ledger.append(entry)
        self._number += 1
        return entry

    def _evaluated(self, one: _Candidate, share: float, fidelity: float | None) -> Entry:
        start, error = self._clock(), ""
        values: Mapping[str, float] = {}
        try:
            split = self._evaluator.initial.data.validation
            values = self._evaluator.scored(one.configuration, share, split)
            if not all(np.isfinite(v) for v in values.values()):
                values, error = {}, f"not a finite quality: {values}"
        except CandidateError as failed:
            error = str(failed)
        seconds = self._clock() - start
        facts = (one.key, one.configuration, one.costs, values, seconds, error, fidelity)
        return Entry(self._number, *facts)


@final
class _Best:
    """The best first objective so far, for the progress display."""

    def __init__(self, goals: Goals) -> None:
        self._goals, self._first = goals, goals.objectives[0]
        self._standing: tuple[float, float] | None = None
        self._text = ""

    def after(self, entry: Entry) -> str:
        """What to show once this evaluation is done; higher rungs go before lower ones."""
        known = known_of(entry)
        if known and self._goals.violation(known) == 0:
            value = known[self._first.name]
            standing = (-(entry.fidelity or 0.0), self._first.sign * value)
            if self._standing is None or standing < self._standing:
                self._standing, self._text = standing, f"best {self._first.name} {value:.4f}"
        return self._text
