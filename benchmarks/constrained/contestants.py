"""Who competes: our samplers behind their plugin names, and Optuna and pymoo as they are used."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from constrained.fronts import Array
from constrained.problems import Task
from stillhouse.core.plugin import Catalogue
from stillhouse.core.search import Problem, Sampler

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

POPULATION = 10
"""Of both NSGA-II: of 10, 20 and 40 the best at 100 and at 200 evaluations (seeds 100 to 105)."""


@dataclass(frozen=True, eq=False)
class Searched:
    """All evaluations of a search in their order, and the optimiser's own CPU time for each.

    `values` (n, objectives) minimised; `constraints` (n, constraints), met where <= 0.
    """

    values: Array
    constraints: Array
    cpu_ms: float

    @property
    def feasible(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return np.asarray((self.constraints <= 0).all(axis=1))


Contestant = Callable[[Task, int, int], Searched]
"""Searches a task with a seed for so many evaluations."""


def ours(catalogue: Catalogue, name: str, params: Mapping[str, Any], known: bool) -> Contestant:
    """One of our samplers, a candidate at a time; `known` gives it the constraints beforehand."""
    record = catalogue.sampler(name)
    build = cast("Callable[[Any, Problem], Sampler]", catalogue.resolve(record))

    def search(task: Task, seed: int, evaluations: int) -> Searched:
        clock = _Clock()
        with clock:
            problem = task.search_problem(seed, known, evaluations)
            sampler = build(record.params(**params), problem)
        found = []
        for _ in range(evaluations):
            with clock:
                codes = sampler.ask(1)
            if not len(codes):
                raise RuntimeError(f"{name} proposed nothing on {task.name} with seed {seed}")
            found.append(task.evaluated(codes))
            with clock:
                sampler.tell(codes, found[-1][0], None if known else found[-1][1])
        return _searched(found, clock)

    return search


def optuna(make: Callable[[int], BaseSampler]) -> Contestant:
    """Optuna's ask and tell, each constraint by `set_constraint` before the trial is told."""

    def search(task: Task, seed: int, evaluations: int) -> Searched:
        from optuna import create_study

        clock, found = _Clock(), []
        lower, upper = task.problem.bounds()
        bounds = list(zip(task.space.names, lower.tolist(), upper.tolist(), strict=True))
        with _quiet_optuna():
            directions = ["minimize"] * task.problem.n_obj
            study = create_study(directions=directions, sampler=make(seed))
            for _ in range(evaluations):
                with clock:
                    trial = study.ask()
                    row = [trial.suggest_float(name, low, high) for name, low, high in bounds]
                values, constraints = task.at(np.array([row]))
                with clock:
                    for i, constraint in enumerate(constraints[0].tolist()):
                        trial.set_constraint(f"g{i}", constraint)
                    study.tell(trial, values[0].tolist())
                found.append((values, constraints))
        return _searched(found, clock)

    return search


def pymoo_nsga2(task: Task, seed: int, evaluations: int) -> Searched:
    """pymoo's NSGA-II, whose constrained domination knows violations from evaluations."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.evaluator import Evaluator
    from pymoo.problems.static import StaticProblem

    clock, found = _Clock(), []
    algorithm = NSGA2(pop_size=POPULATION)
    algorithm.setup(task.problem, termination=("n_eval", evaluations), seed=seed, verbose=False)
    while algorithm.has_next():
        with clock:
            asked = algorithm.ask()
        values, constraints = task.at(asked.get("X"))
        with clock:
            Evaluator().eval(StaticProblem(task.problem, F=values, G=constraints), asked)
            algorithm.evaluator.n_eval += len(asked)
            algorithm.tell(infills=asked)
        found.append((values, constraints))
    return _searched(found, clock, evaluations)


def tpe(seed: int) -> BaseSampler:
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed, multivariate=True)


def nsga2(seed: int) -> BaseSampler:
    from optuna.samplers import NSGAIISampler

    return NSGAIISampler(seed=seed, population_size=POPULATION)


def gp(seed: int) -> BaseSampler:
    from optuna.samplers import GPSampler

    return GPSampler(seed=seed, deterministic_objective=True)


OURS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "surrogate": ("surrogate", {}),
    "evolution": ("evolution", {}),
    "random": ("random", {}),
}
PEERS: Mapping[str, Contestant] = {
    "optuna-tpe": optuna(tpe),
    "optuna-nsga2": optuna(nsga2),
    "pymoo-nsga2": pymoo_nsga2,
    "optuna-gp": optuna(gp),
}


class _Clock:
    """Adds up the CPU time spent inside `with` blocks."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        self._began = time.process_time()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.process_time() - self._began


def _searched(
    found: Sequence[tuple[Array, Array]], clock: _Clock, most: int | None = None
) -> Searched:
    values, constraints = (np.concatenate(column) for column in zip(*found, strict=True))
    return Searched(values[:most], constraints[:most], 1e3 * clock.seconds / len(values))


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Without Optuna's announcements of new studies and its notes on experimental options."""
    import optuna as package

    package.logging.set_verbosity(package.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", package.exceptions.ExperimentalWarning)
        yield
