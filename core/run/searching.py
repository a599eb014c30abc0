"""The search stage: the run's sampler on its problem, and its evaluations spent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from stillhouse.core.config.runfile import RunFile
from stillhouse.core.cost.model import RecipeCosts
from stillhouse.core.evaluate.evaluator import Evaluator
from stillhouse.core.execute import Executor
from stillhouse.core.plan.objectives import check_limits, check_objectives
from stillhouse.core.run.goals import Goals, objectives_of
from stillhouse.core.run.ledger import Entry, Ledger
from stillhouse.core.run.opened import Opened
from stillhouse.core.run.screening import Screening
from stillhouse.core.run.spending import Policy, Stop, Watch, spend
from stillhouse.core.search import Codes, Objective, Problem, Sampler, Study


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
    executor: Executor,
    study: Study,
    ledger: Ledger,
    goals: Goals,
    stop: Stop | None = None,
) -> Sequence[Entry]:
    """Spend the run's evaluations; see `core.run.spending`."""
    run = opened.plan.run
    screening = Screening(opened, evaluator)
    with opened.context.task_progress("search", run.search.evaluations) as progress:
        watch = progress if isinstance(progress, Watch) else None
        return spend(
            study, executor, ledger, goals, policy_of(run),
            screening=screening, progress=progress, watch=watch, stop=stop,
        )  # fmt: skip


def policy_of(run: RunFile) -> Policy:
    """How the run proposes."""
    search = run.search
    in_order = run.execute.deterministic
    return Policy(search.evaluations, *search.order, search.rungs, search.eta, in_order)
