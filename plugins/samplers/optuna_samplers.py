"""Optuna's samplers behind our interface: known limits are filtered before any evaluation.

Optuna is imported when a sampler is built. Its study lives in memory and is rebuilt by replay.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search import Codes, FeasibleDraws, Problem, Sampler, fingerprints
from stillhouse.plugins.samplers.info import Nsga2Params, OptunaParams, TpeParams
from stillhouse.plugins.samplers.suggestion import parameters, suggested

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import Trial


def tpe(params: TpeParams, problem: Problem) -> OptunaSampler:
    """Multivariate TPE, its joint model following the conditions of the space."""
    from optuna.samplers import TPESampler

    with _quiet():
        sampler = TPESampler(
            seed=_seed(problem), multivariate=True, group=True, n_startup_trials=params.startup
        )
    return OptunaSampler(params, problem, sampler)


def nsga2(params: Nsga2Params, problem: Problem) -> OptunaSampler:
    """NSGA-II as Optuna has it."""
    from optuna.samplers import NSGAIISampler

    sampler = NSGAIISampler(seed=_seed(problem), population_size=params.population)
    return OptunaSampler(params, problem, sampler)


def uniform(params: OptunaParams, problem: Problem) -> OptunaSampler:
    """Optuna's random sampler: uniform gene by gene, so not over configurations."""
    from optuna.samplers import RandomSampler

    return OptunaSampler(params, problem, RandomSampler(seed=_seed(problem)))


@final
class OptunaSampler(Sampler):
    """Drives an in-memory Optuna study.

    A proposal that breaks a limit is told at once as pruned, with the violation as Optuna's
    constraint, and costs no evaluation; a repeated one is told as failed. After `tries` proposals
    a feasible draw is enqueued in the place of the next one: `fallbacks` counts how often.
    """

    def __init__(self, params: OptunaParams, problem: Problem, sampler: BaseSampler) -> None:
        import optuna

        self.fallbacks = 0
        """Candidates that Optuna did not find within its tries."""
        self._tries = params.tries
        self._problem = problem
        rng = np.random.default_rng([problem.seed, 3])
        self._draws = FeasibleDraws(problem.space, problem.costs, problem.feasible, rng)
        self._pending: dict[bytes, Trial] = {}
        maximize, minimize = (
            optuna.study.StudyDirection.MAXIMIZE,
            optuna.study.StudyDirection.MINIMIZE,
        )
        directions = [maximize if o.maximize else minimize for o in problem.objectives]
        with _quiet():
            self._study = optuna.create_study(sampler=sampler, directions=directions)

    def ask(self, count: int) -> Codes:
        rows = []
        for _ in range(count):
            row = self._proposal()
            if row is None:
                break
            rows.append(row)
        return np.array(rows).reshape(len(rows), self._problem.space.width)

    def tell(
        self, codes: Codes, values: NDArray[np.float64], excess: NDArray[np.float64] | None = None
    ) -> None:
        self._draws.mark(codes)
        with _quiet():
            for mark, row, result in zip(fingerprints(codes), codes, values, strict=True):
                trial = self._pending.pop(mark, None) or self._enqueued(row)
                self._tell(trial, result)

    def _tell(self, trial: Trial, result: NDArray[np.float64]) -> None:
        from optuna.trial import TrialState

        if np.isfinite(result).all():
            trial.set_constraint("limits", 0.0)
            self._study.tell(trial, result.tolist())
        else:
            self._study.tell(trial, state=TrialState.FAIL)

    def _proposal(self) -> NDArray[np.float64] | None:
        """One new candidate that meets the limits; None when there is none left."""
        with _quiet():
            for _ in range(self._tries):
                trial = self._study.ask()
                row = suggested(trial, self._problem.space)
                if self._accepted(trial, row):
                    return self._keep(trial, row)
            drawn = self._draws.draw(1)
            if not len(drawn):
                return None
            self.fallbacks += 1
            return self._keep(self._enqueued(drawn[0]), drawn[0])

    def _keep(self, trial: Trial, row: NDArray[np.float64]) -> NDArray[np.float64]:
        self._draws.mark(row[None])
        self._pending[fingerprints(row[None])[0]] = trial
        return row

    def _enqueued(self, row: NDArray[np.float64]) -> Trial:
        self._study.enqueue_trial(parameters(self._problem.space, row))
        trial = self._study.ask()
        suggested(trial, self._problem.space)
        return trial

    def _accepted(self, trial: Trial, row: NDArray[np.float64]) -> bool:
        from optuna.trial import TrialState

        if not len(self._draws.unseen(row[None])):
            self._study.tell(trial, state=TrialState.FAIL)
            return False
        excess = float(self._problem.costs.violation(row[None])[0])
        if excess > 0:
            trial.set_constraint("limits", excess)
            self._study.tell(trial, state=TrialState.PRUNED)
        return excess == 0


def _seed(problem: Problem) -> int:
    return int(np.random.SeedSequence([problem.seed, 4]).generate_state(1)[0])


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's announcements of new studies and its notes on experimental options."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
