"""The surrogate sampler: Gaussian processes over quality, costs known, limits never broken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search import Codes, FeasibleDraws, Problem, Sampler, ranks
from stillhouse.core.search.surrogate import Features, Model, Warp, one_blas_thread
from stillhouse.plugins.samplers.design import first_design
from stillhouse.plugins.samplers.info import SurrogateParams
from stillhouse.plugins.samplers.promise import Aim, Promise

Array = NDArray[np.float64]

_SCALE_SAMPLE: Final = 1024
_WHOLE: Final = 4096
_DRAWN: Final = 64
_NEAR: Final = 256
_CHILDREN: Final = 96
_ROUNDS: Final = 2
_PARENTS: Final = 32
_SHORTLIST: Final = 96
_LONGEST: Final = 512
_EXPECTED: Final = 64


@final
class Surrogate(Sampler):
    """Bayesian optimisation over the configurations that meet the limits.

    Only measured values are modelled; an objective that is a known cost is exact. Candidates are
    chosen by expected improvement (one objective) or expected hypervolume improvement (several),
    times the chance to meet the limits on measured values; a batch is chosen one by one, each as
    if the former had come out as expected. Small spaces are scored whole, others by evolution on
    the acquisition within the limits, started from the best told, their neighbours and fresh draws.
    """

    def __init__(self, params: SurrogateParams, problem: Problem) -> None:
        self._problem = problem
        self._rng = np.random.default_rng([problem.seed, 5])
        self._draws = FeasibleDraws(problem.space, problem.costs, problem.feasible, self._rng)
        known = np.concatenate([problem.feasible, self._draws.pool(_SCALE_SAMPLE)])
        table = problem.costs.table(known)
        self._features = Features(problem.space, table)
        self._aims = _aims(problem, table)
        self._initial = params.initial
        if problem.budget is not None:
            self._initial = min(params.initial, max(4, problem.budget // 4))
        self._design: Codes | None = None
        self._codes = np.empty((0, problem.space.width))
        self._inputs = np.empty((0, len(self._features.groups)))
        self._known = np.empty((0, len(self._aims)))
        self._values = np.empty((0, len(self._aims)))
        self._excess = np.empty((0, len(problem.outcomes)))
        self._broken = np.empty(0)
        self._open = self._codes
        values = [Warp.of_values for aim in self._aims if aim.cost is None]
        outcomes = [Warp.of_excess for _ in problem.outcomes]
        self._model = Model(self._features.groups, [*values, *outcomes])

    def ask(self, count: int) -> Codes:
        out = self._from_design(count)
        if len(out) < count and (~self._failed()).sum() > 1:
            with one_blas_thread():
                out = np.concatenate([out, self._proposed(count - len(out))])
        if len(out) < count:
            out = np.concatenate([out, self._draws.draw(count - len(out))])
        self._open = np.concatenate([self._open, out])
        return out

    def tell(self, codes: Codes, values: Array, excess: Array | None = None) -> None:
        self._draws.mark(codes)
        table = self._problem.costs.table(codes)
        signs = np.array([aim.sign for aim in self._aims])
        known = [np.zeros(len(codes)) if a.cost is None else a.known(table) for a in self._aims]
        over = np.empty((len(codes), 0)) if excess is None else excess
        marks = self._problem.space.marks
        self._open = self._open[~np.isin(marks(self._open), marks(codes))]
        self._codes = np.concatenate([self._codes, codes])
        self._broken = np.concatenate([self._broken, self._problem.costs.violation(codes)])
        self._inputs = np.concatenate([self._inputs, self._features(codes, table)])
        self._known = np.concatenate([self._known, np.stack(known, axis=1)])
        self._values = np.concatenate([self._values, values * signs])
        self._excess = np.concatenate([self._excess, over])

    def _failed(self) -> NDArray[np.bool_]:
        told = np.concatenate([self._values, self._excess], axis=1)
        return np.asarray(~np.isfinite(told).all(axis=1))

    def _from_design(self, count: int) -> Codes:
        if self._design is None:
            self._design = first_design(self._problem, self._draws, self._initial, self._rng)
        fresh = self._draws.unseen(self._design)
        out, self._design = fresh[:count], fresh[count:]
        self._draws.mark(out)
        return out

    def _proposed(self, count: int) -> Codes:
        promise = self._expecting(self._promise())
        most = max(_SHORTLIST, min(16 * count, _LONGEST), 2 * count)
        codes = self._shortlist(promise, most)
        table = self._problem.costs.table(codes)
        chosen = promise.chosen(self._features(codes, table), table, count)
        self._draws.mark(codes[chosen])
        return codes[chosen]

    def _promise(self) -> Promise:
        """What is known now; a failed evaluation counts as the worst that was seen."""
        modelled = [j for j, aim in enumerate(self._aims) if aim.cost is None]
        values = np.concatenate([self._values[:, modelled], self._excess], axis=1)
        failed = self._failed()
        if failed.any() and values.size:
            values[failed] = values[~failed].max(axis=0)
        self._model.learn(self._inputs, values)
        return Promise(self._aims, self._model, self._known, failed | (self._broken > 0))

    def _expecting(self, promise: Promise) -> Promise:
        """With what was asked and not told yet, its latest part, as if it had come out."""
        codes = self._open[-_EXPECTED:]
        table = self._problem.costs.table(codes)
        return promise.believing(self._features(codes, table), table) if len(codes) else promise

    def _shortlist(self, promise: Promise, most: int) -> Codes:
        """The most promising candidates by the rough score, best first, (n, width)."""
        if self._draws.whole:
            pool = self._draws.pool(_WHOLE)
            if len(pool) < _WHOLE:
                return pool[np.argsort(-self._rough(promise, pool), kind="stable")[:most]]
        space, rng = self._problem.space, self._rng
        best = self._codes[self._standing()[:_PARENTS]]
        near = [rng.permutation(space.neighbours(row))[:_NEAR] for row in best[:1]]
        found = self._draws.new(
            np.concatenate([space.sample(_DRAWN, rng), *near, self._children(best)])
        )
        if len(found) < most:
            found = self._draws.unseen(np.concatenate([found, self._draws.pool(most)]))
        score = self._rough(promise, found)
        for _ in range(_ROUNDS - 1):
            order = np.argsort(-score, kind="stable")[:most]
            found, score = found[order], score[order]
            fresh = self._draws.new(self._children(found[:_PARENTS]))
            fresh = fresh[~np.isin(space.marks(fresh), space.marks(found))]
            found = np.concatenate([found, fresh])
            score = np.append(score, self._rough(promise, fresh))
        return found[np.argsort(-score, kind="stable")[:most]]

    def _rough(self, promise: Promise, codes: Codes) -> Array:
        table = self._problem.costs.table(codes)
        return promise.of(self._features(codes, table), table, rough=True)

    def _children(self, parents: Codes) -> Codes:
        space, rng = self._problem.space, self._rng
        if not len(parents):
            return parents
        first, second = rng.choice(parents, size=(2, _CHILDREN))
        gentle = space.mutate(first, min(1.0, 1.5 / space.width), rng)
        crossed = space.crossover(first, second, rng)
        return np.concatenate([gentle, crossed, space.mutate(crossed, 0.15, rng)])

    def _standing(self) -> NDArray[np.int64]:
        """Told candidates from the best to the worst; limits on measured values come first."""
        broken = self._broken + np.maximum(self._excess, 0.0).sum(axis=1)
        rank = ranks(self._values, [False] * self._values.shape[1])
        return np.lexsort((rank, broken))


def _aims(problem: Problem, table: Mapping[str, Array]) -> tuple[Aim, ...]:
    """The objectives; known costs are scaled by the candidates of `table`."""
    aims, column = [], 0
    for objective in problem.objectives:
        if objective.name in table:
            values = objective.sign * table[objective.name]
            values = values[np.isfinite(values)]
            low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
            aims.append(Aim(objective.sign, objective.name, -1, low, high - low or 1.0))
        else:
            aims.append(Aim(objective.sign, None, column))
            column += 1
    return tuple(aims)
