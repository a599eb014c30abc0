"""An Optuna sampler behind our interface: known limits are filtered before any evaluation.

Optuna is imported when a sampler is built. Its study lives in memory and is rebuilt by replay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search import Codes, FeasibleDraws, Problem, Sampler, fingerprints
from stillhouse.core.search.optuna_study import directions, quiet
from stillhouse.plugins.samplers.suggestion import Wording

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import Trial, TrialState

_POOL: Final = 1024
_Row = NDArray[np.float64]


@final
class OptunaSampler(Sampler):
    """Drives an in-memory Optuna study.

    A proposal that breaks a known limit is told at once as pruned, with the violation as Optuna's
    constraint, and costs no evaluation; a repeated one is told as failed. After `tries` proposals
    the nearest of a thousand feasible draws takes the last one's place: `fallbacks` counts how
    often. Limits on measured values reach Optuna as constraints; where its sampler is not
    `constrained`, a candidate that breaks one is told as pruned. Samplers with `generations` learn
    only from what they numbered themselves, so foreign candidates pass through them.
    """

    def __init__(
        self,
        problem: Problem,
        sampler: BaseSampler,
        wording: Wording,
        tries: int,
        *,
        generations: bool = False,
        constrained: bool = True,
    ) -> None:
        import optuna

        self.fallbacks = 0
        """Candidates that Optuna did not find within its tries."""
        self._problem, self._wording, self._tries = problem, wording, tries
        self._generations, self._constrained = generations, constrained
        rng = np.random.default_rng([problem.seed, 3])
        self._draws = FeasibleDraws(problem.space, problem.costs, problem.feasible, rng)
        self._pending: dict[int, Trial] = {}
        with quiet():
            self._study = optuna.create_study(
                sampler=sampler, directions=directions(problem.objectives)
            )

    def ask(self, count: int) -> Codes:
        rows = []
        with quiet():
            for _ in range(count):
                row = self._proposal()
                if row is None:
                    break
                self._draws.mark(row[None])
                rows.append(row)
        return np.array(rows).reshape(len(rows), self._problem.space.width)

    def tell(
        self, codes: Codes, values: NDArray[np.float64], excess: NDArray[np.float64] | None = None
    ) -> None:
        self._draws.mark(codes)
        over = np.zeros((len(codes), 0)) if excess is None else excess
        with quiet():
            for i, mark in enumerate(fingerprints(codes).tolist()):
                trial = self._pending.pop(mark, None)
                if trial is None and self._generations:
                    trial = self._enqueued(codes[i])
                if trial is None:
                    self._add(codes[i], values[i], over[i])
                else:
                    self._tell(trial, values[i], over[i])

    def _tell(self, trial: Trial, values: _Row, over: _Row) -> None:
        from optuna.trial import TrialState

        state = self._state(values, over)
        if state != TrialState.FAIL:
            for name, amount in self._constraints(over).items():
                trial.set_constraint(name, amount)
        told = values.tolist() if state == TrialState.COMPLETE else None
        self._study.tell(trial, told, state=None if told else state)

    def _add(self, row: _Row, values: _Row, over: _Row) -> None:
        """Put in a candidate that Optuna did not propose."""
        from optuna.trial import FixedTrial, TrialState, create_trial

        state = self._state(values, over)
        fixed = FixedTrial(self._wording.parameters(row))
        self._wording.suggested(fixed)
        trial = create_trial(
            state=state,
            values=values.tolist() if state == TrialState.COMPLETE else None,
            params=fixed.params,
            distributions=fixed.distributions,
            constraints={} if state == TrialState.FAIL else self._constraints(over),
        )
        self._study.add_trial(trial)

    def _state(self, values: _Row, over: _Row) -> TrialState:
        from optuna.trial import TrialState

        if not np.isfinite([*values, *over]).all():
            return TrialState.FAIL
        met = self._constrained or not (over > 0).any()
        return TrialState.COMPLETE if met else TrialState.PRUNED

    def _constraints(self, over: _Row) -> dict[str, float]:
        named = dict(zip(self._problem.outcomes, over.tolist(), strict=True))
        return named if self._constrained else {}

    def _proposal(self) -> _Row | None:
        """One new candidate that meets the known limits; None when there is none left."""
        for _ in range(self._tries):
            trial = self._study.ask()
            row = self._wording.suggested(trial)
            if self._accepted(trial, row):
                self._pending[fingerprints(row[None]).tolist()[0]] = trial
                return row
        near = self._draws.pool(_POOL)
        if not len(near):
            return None
        self.fallbacks += 1
        encoding = self._problem.space.encoding
        apart = np.abs(encoding(near) - encoding(row[None])).sum(axis=1)
        nearest: _Row = near[np.argmin(apart)]
        return nearest

    def _enqueued(self, row: _Row) -> Trial:
        self._study.enqueue_trial(self._wording.parameters(row))
        trial = self._study.ask()
        self._wording.suggested(trial)
        return trial

    def _accepted(self, trial: Trial, row: _Row) -> bool:
        from optuna.trial import TrialState

        if not len(self._draws.unseen(row[None])):
            self._study.tell(trial, state=TrialState.FAIL)
            return False
        excess = float(self._problem.costs.violation(row[None])[0])
        if excess > 0:
            if self._constrained:
                trial.set_constraint("limits", excess)
            self._study.tell(trial, state=TrialState.PRUNED)
        return excess == 0
