"""One Gaussian process a measured value, refitted as observations come in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search.surrogate.fantasy import Fantasy
from stillhouse.core.search.surrogate.kernel import Places, Settings, fit
from stillhouse.core.search.surrogate.process import Exact, Factor, Inducing, Posterior
from stillhouse.core.search.surrogate.warp import Warp

Array = NDArray[np.float64]

_JUDGES: Final = 192
"""Observations that choose the settings; all of them make the predictions."""
_EXACT: Final = 2000
"""Observations up to which the process is exact."""
_INDUCING: Final = 384
_SKETCH: Final = 256
"""Observations that `rough` looks at, so that its price does not grow."""
_GROWTH: Final = 1.15
_LEAST_GROWTH: Final = 5


@cache
def _pools() -> object:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[object]:
    """Small matrices are several times slower on many threads when the machine is busy."""
    limited: AbstractContextManager[object] = _pools().limit(limits=1, user_api="blas")  # type: ignore[attr-defined]
    return limited


@final
class Model:
    """Processes over shared inputs; column j of the values is modelled through `warps[j]`.

    Values are warped anew at every `learn`, so `predict` speaks of the latest warped scale. The
    settings are refitted when the observations have grown by a seventh.
    """

    def __init__(self, groups: Places, make_warps: Sequence[Callable[[Array], Warp]]) -> None:
        self._groups = groups
        self._make_warps = make_warps
        self._settings: list[Settings] = []
        self._factors: list[Factor] = []
        self._fitted_at = 0
        self._inputs = np.empty((0, len(groups)))
        self.warps: list[Warp] = []
        self.targets = np.empty((0, len(make_warps)))
        self.posteriors: list[Posterior] = []
        self._sketches: list[Posterior] = []

    def learn(self, inputs: Array, values: Array) -> None:
        """Condition on `inputs` (n, columns) and `values` (n, outputs), all minimised.

        The first rows must be those of the last call: observations are only ever added.
        """
        self.warps = [make(values[:, j]) for j, make in enumerate(self._make_warps)]
        warped = [warp(values[:, j]) for j, warp in enumerate(self.warps)]
        self.targets = np.stack(warped, axis=1) if warped else np.empty((len(values), 0))
        count, known = len(inputs), len(self._inputs)
        due = max(self._fitted_at * _GROWTH, self._fitted_at + _LEAST_GROWTH)
        if not self._factors or count >= due:
            self._refit(inputs)
        elif count > known:
            self._factors = [factor.extended(inputs[known:]) for factor in self._factors]
        self._inputs = inputs
        self.posteriors = [f.posterior(self.targets[:, j]) for j, f in enumerate(self._factors)]
        self._sketches = self.posteriors if count <= _SKETCH else self._sketched()

    def predict(self, inputs: Array) -> tuple[Array, Array]:
        """Means and deviations on the warped scale, each (n, outputs)."""
        return _side_by_side([p.predict(inputs) for p in self.posteriors], len(inputs))

    def fantasies(self, inputs: Array) -> list[Fantasy]:
        """One an output: `predict` at inputs that will be believed one by one."""
        return [p.fantasy(inputs) for p in self.posteriors]

    def rough(self, inputs: Array) -> tuple[Array, Array]:
        """Like `predict`, from fewer observations, with upper bounds in the place of deviations."""
        return _side_by_side([p.rough(inputs) for p in self._sketches], len(inputs))

    def believing(self, inputs: Array) -> Model:
        """A copy that has seen its own predictions come true at `inputs` (k, columns).

        Source: Ginsbourger et al., "Kriging is well-suited to parallelize optimization", 2010.
        """
        out = Model(self._groups, self._make_warps)
        out._settings, out._fitted_at, out.warps = self._settings, self._fitted_at, self.warps
        out._inputs = np.concatenate([self._inputs, inputs])
        out.targets = np.concatenate([self.targets, self.predict(inputs)[0]])
        out._factors = [factor.extended(inputs) for factor in self._factors]
        out.posteriors = [f.posterior(out.targets[:, j]) for j, f in enumerate(out._factors)]
        out._sketches = self._sketches
        return out

    def _sketched(self) -> list[Posterior]:
        out: list[Posterior] = []
        for j, settings in enumerate(self._settings):
            targets = self.targets[:, j]
            some = _telling(targets, _SKETCH)
            factor = Exact(self._inputs[some], self._groups, settings)
            out.append(factor.posterior(targets[some]))
        return out

    def _refit(self, inputs: Array) -> None:
        self._fitted_at = len(inputs)
        none: list[Settings | None] = [None] * len(self._make_warps)
        before = [*self._settings] or none
        self._settings, self._factors = [], []
        for j, start in enumerate(before):
            targets = self.targets[:, j]
            judges = _telling(targets, _JUDGES)
            self._settings.append(fit(inputs[judges], targets[judges], self._groups, start))
            self._factors.append(_factor(inputs, targets, self._groups, self._settings[j]))


def _factor(inputs: Array, targets: Array, groups: Places, settings: Settings) -> Factor:
    if len(inputs) <= _EXACT:
        return Exact(inputs, groups, settings)
    return Inducing(inputs, groups, settings, _telling(targets, _INDUCING))


def _telling(targets: Array, most: int) -> NDArray[np.int64]:
    """Places of up to `most` observations: the best third, the latest third, the rest spread."""
    if len(targets) <= most:
        return np.arange(len(targets))
    third = most // 3
    best = np.argsort(targets, kind="stable")[:third]
    latest = np.arange(len(targets) - third, len(targets))
    kept = np.union1d(best, latest)
    others = np.setdiff1d(np.arange(len(targets)), kept)
    spread = others[np.linspace(0, len(others) - 1, most - len(kept)).astype(np.int64)]
    return np.union1d(kept, spread)


def _side_by_side(pairs: Sequence[tuple[Array, Array]], count: int) -> tuple[Array, Array]:
    if not pairs:
        return np.empty((count, 0)), np.empty((count, 0))
    return np.stack([mean for mean, _ in pairs], 1), np.stack([spread for _, spread in pairs], 1)
