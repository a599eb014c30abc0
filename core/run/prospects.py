"""What candidates that were never evaluated promise, judged from those that were."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.limits import Limit, Table
from stillhouse.core.search.front import hypervolume, on_front, ranks
from stillhouse.core.search.sampler import Codes
from stillhouse.core.space import Space

Array = NDArray[np.float64]

_MOST: Final = 400
_BLOCK: Final = 4_096
_SHORTLIST: Final = 100
_DRAWS: Final = 16
_erf = np.frompyfunc(math.erf, 1, 1)


@dataclass(frozen=True, eq=False)
class Rows:
    """Candidates as codes (n, width), with their known costs."""

    space: Space
    codes: Codes
    costs: Table

    def part(self, at: slice | NDArray[np.intp]) -> Rows:
        """Some of the candidates."""
        return Rows(self.space, self.codes[at], {n: v[at] for n, v in self.costs.items()})


def predicted(told: Rows, values: Array, asked: Rows) -> tuple[Array, Array]:
    """Mean and standard deviation, each (asked, names), from `values` (told, names).

    The search's own surrogate (`core/search/surrogate`), its deviations scaled to the errors of
    leaving one evaluation out. Of more than 400 told candidates it sees the first and the last
    200.
    """
    # Imports SciPy, which an answer without predictions does not need.
    from stillhouse.core.search.surrogate import Features, Model, Warp, one_blas_thread

    if len(values) > _MOST:
        ends = np.r_[: _MOST // 2, len(values) - _MOST // 2 : len(values)]
        told, values = told.part(ends), values[ends]
    shared = {name: cost for name, cost in told.costs.items() if name in asked.costs}
    features = Features(told.space, shared)
    model = Model(features.groups, [Warp.straight] * values.shape[1])
    mean, spread = np.empty((2, len(asked.codes), values.shape[1]))
    with one_blas_thread():
        model.learn(features(told.codes, told.costs), values)
        wider = [posterior.calibration() for posterior in model.posteriors]
        for start in range(0, len(mean), _BLOCK):
            at = slice(start, start + _BLOCK)
            some = asked.part(at)
            mean[at], spread[at] = model.predict(features(some.codes, some.costs))
    scale = np.array([warp.scale for warp in model.warps])
    return mean * scale + [warp.shift for warp in model.warps], spread * scale * wider


@final
class Aim:
    """What an improvement is measured against; every value is minimised."""

    def __init__(self, known: Array, worst: Array) -> None:
        """`known` (n, objectives) are values within the limits, maybe none of them; `worst`
        (objectives,) the worst there are of each, which count as nothing gained."""
        self._front = known[on_front(known, [False] * known.shape[1])]
        self._worst = worst

    def beaten(self, mean: Array) -> NDArray[np.bool_]:
        """Which predicted values (n, objectives) no known one equals or beats in all, (n,)."""
        out = np.ones(len(mean), dtype=np.bool_)
        for row in self._front:
            out &= (mean < row).any(axis=1)
        return out

    def improvement(self, mean: Array, spread: Array) -> Array:
        """Expected improvement on the best known, (n,); of hypervolume for several objectives.

        One objective: Jones et al. 1998, equation 15. Several: the mean over sixteen fixed draws,
        for the hundred most promising, 0 for the others.
        """
        if mean.shape[1] == 1:
            best = self._front.min(initial=self._worst[0])
            return _expected(best - mean[:, 0], spread[:, 0])
        order = np.argsort(ranks(mean - spread, [False] * mean.shape[1]), kind="stable")
        out = np.zeros(len(mean))
        normal = np.random.default_rng(0).standard_normal((_DRAWS, mean.shape[1]))
        before = self._volume(self._front)
        for i in order[:_SHORTLIST]:
            drawn = mean[i] + normal * spread[i]
            gains = [self._volume(np.vstack([self._front, row])) - before for row in drawn]
            out[i] = float(np.mean(gains))
        return out

    def _volume(self, points: Array) -> float:
        inside = points[(points < self._worst).all(axis=1)]
        if not len(inside):
            return 0.0
        return hypervolume(inside, self._worst.tolist(), [False] * points.shape[1])


def chance(outcomes: Sequence[Limit], mean: Array, spread: Array) -> Array:
    """Probability that each predicted value (n, outcomes) is within its limit, (n,)."""
    total = np.ones(len(mean))
    for i, limit in enumerate(outcomes):
        sign = 1.0 if limit.relation == "<=" else -1.0
        with np.errstate(divide="ignore", invalid="ignore"):
            room = sign * (limit.bound - mean[:, i]) / spread[:, i]
        total *= _cumulative(np.where(np.isnan(room), np.inf, room))
    return total


def _expected(gain: Array, spread: Array) -> Array:
    certain = spread <= 0
    z = gain / np.where(certain, 1.0, spread)
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    return np.where(certain, np.maximum(gain, 0.0), gain * _cumulative(z) + spread * density)


def _cumulative(z: Array) -> Array:
    return np.asarray(0.5 * (1.0 + np.asarray(_erf(z / math.sqrt(2)), np.float64)), np.float64)
