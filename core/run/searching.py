"""The search stage: ask, filter on known costs, evaluate, write down, tell."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from stillhouse.core.cost.model import RecipeCosts
from stillhouse.core.evaluate.evaluator import CandidateError, Evaluator
from stillhouse.core.plan.objectives import check_objectives
from stillhouse.core.run.ledger import Entry, Ledger
from stillhouse.core.run.opened import Opened
from stillhouse.core.search import Codes, Objective, Problem, Sampler, Study

Clock = Callable[[], float]


def objectives(opened: Opened) -> tuple[Objective, ...]:
    """The run's objectives, checked against what the task measures."""
    search = opened.plan.run.search
    check_objectives(search, opened.task.name, opened.task.metrics)
    return (
        *(Objective(name, True) for name in search.maximize),
        *(Objective(name, False) for name in search.minimize),
    )


def make_study(opened: Opened, costs: RecipeCosts, feasible: Codes) -> Study:
    """The run's sampler on its problem, seeded from the run and held to its contract."""
    use = opened.plan.run.search.sampler
    record = opened.catalogue.sampler(use.name)
    problem = Problem(
        space=opened.plan.space,
        costs=costs,
        objectives=objectives(opened),
        seed=opened.context.seed("sampler") % 2**32,
        feasible=feasible,
    )
    build = cast("Callable[[Any, Problem], Sampler]", opened.catalogue.resolve(record))
    return Study(problem, build(record.params(**use.fixed), problem))


def search(
    opened: Opened,
    evaluator: Evaluator,
    study: Study,
    ledger: Ledger,
    clock: Clock = time.monotonic,
) -> Sequence[Entry]:
    """Spend the run's evaluations, every one on a candidate whose known costs meet the limits.

    After an interruption the sampler is led through the ledger's results again, so it ends where
    an undisturbed run ends; nothing in the ledger is evaluated twice.
    """
    run, wanted = opened.plan.run.search, objectives(opened)
    costs, done = study.problem.costs, 0
    with opened.context.task_progress("search", run.evaluations) as progress:
        while done < run.evaluations:
            codes = study.ask(min(run.batch, run.evaluations - done))
            if not len(codes):
                break
            keys, table = opened.plan.space.keys(codes), costs.table(codes)
            told = np.full((len(codes), len(wanted)), np.nan)
            for i, key in enumerate(keys):
                entry = ledger.by_key.get(key)
                if entry is None:
                    known = {name: float(column[i]) for name, column in table.items()}
                    configuration = opened.plan.space.decode(codes[i])
                    entry = _evaluate(evaluator, run.fidelity, done, key, configuration, clock)
                    entry = _with_costs(entry, known)
                    ledger.append(entry)
                done += 1
                told[i] = [entry.values.get(o.name, np.nan) for o in wanted]
                progress.advance(1, _best(ledger, wanted[0]))
            study.tell(codes, told)
    return ledger.entries


def _evaluate(
    evaluator: Evaluator,
    fidelity: float,
    number: int,
    key: str,
    configuration: Mapping[str, Any],
    clock: Clock,
) -> Entry:
    start, error = clock(), ""
    values: Mapping[str, float] = {}
    try:
        state = evaluator.realise(configuration, fidelity)
        values = evaluator.values(state, evaluator.initial.data.validation)
        if not all(np.isfinite(v) for v in values.values()):
            values, error = {}, f"not a finite quality: {values}"
    except CandidateError as failed:
        error = str(failed)
    return Entry(number, key, configuration, {}, values, clock() - start, error)


def _with_costs(entry: Entry, costs: Mapping[str, float]) -> Entry:
    return Entry(**{**entry.__dict__, "costs": costs})


def _best(ledger: Ledger, objective: Objective) -> str:
    values = [e.values[objective.name] for e in ledger.entries if e.values]
    if not values:
        return ""
    best = max(values) if objective.maximize else min(values)
    return f"best {objective.name} {best:.4f}"
