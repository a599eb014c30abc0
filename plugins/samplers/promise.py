"""What each candidate promises, given what was told: the surrogate sampler's acquisition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Self, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search import on_front
from stillhouse.core.search.surrogate import (
    Model,
    Regions,
    expected_volume,
    log_chance,
    log_improvement,
)

Array = NDArray[np.float64]
Table = Mapping[str, Array]

_LEAST: Final = 1e-300
_MOST_FRONT: Final = {2: 200, 3: 40}
_MOST_BOXES: Final = 2500
_BEYOND: Final = 0.1
_FEW: Final = 10


@dataclass(frozen=True, eq=False)
class Aim:
    """One objective, minimised: a known cost with its scale, or column `column` of the model."""

    sign: float
    cost: str | None
    column: int
    low: float = 0.0
    width: float = 1.0

    def known(self, table: Table) -> Array:
        """A known cost on its scale, 0 to 1 over the candidates that set it; 2 if not finite."""
        scaled = (self.sign * table[str(self.cost)] - self.low) / self.width
        return np.where(np.isfinite(scaled), scaled, 2.0)


@final
@dataclass(frozen=True, eq=False)
class Promise:
    """Scores candidates by expected improvement times the chance to meet the outcomes.

    `aims` come first in the model's columns, as far as they are modelled, then the outcomes.
    `known` (told, objectives) holds the known objectives of what was told, `failed` (told,) which
    evaluations failed or broke a limit on a known cost.
    """

    aims: tuple[Aim, ...]
    model: Model
    known: Array
    failed: NDArray[np.bool_]
    believed: Sequence[Array] = ()
    """Objectives, each (objectives,), of what is believed to meet the outcomes besides."""

    @property
    def _modelled(self) -> int:
        return sum(aim.cost is None for aim in self.aims)

    def of(self, inputs: Array, table: Table, *, rough: bool = False) -> Array:
        """Log of the promise, (n,), higher is better; with `rough` an optimistic, cheap one."""
        mean, spread = self.model.rough(inputs) if rough else self.model.predict(inputs)
        return self._score(mean, spread, table)

    def chosen(self, inputs: Array, table: Table, most: int) -> list[int]:
        """Places of up to `most` candidates, each chosen as if the former had come out as expected.

        Chooses what `of` and `believing` would, candidate by candidate, in a fraction of the time.
        """
        promise, out = self, list[int]()
        fantasies = self.model.fantasies(inputs)
        mean = _columns([fantasy.mean for fantasy in fantasies], len(inputs))
        value = self._objectives(mean, np.zeros_like(mean), table)[0]
        met = np.all(mean[:, self._modelled :] <= self._bounds + 1e-9, axis=1)
        while len(out) < min(most, len(inputs)):
            spread = _columns([fantasy.spread for fantasy in fantasies], len(inputs))
            score = promise._score(mean, spread, table)
            score[out] = -np.inf
            best = int(np.argmax(score))
            out.append(best)
            for fantasy in fantasies:
                fantasy.believe(best)
            if met[best]:
                promise = replace(promise, believed=[*promise.believed, value[best]])
        return out

    def _score(self, mean: Array, spread: Array, table: Table) -> Array:
        count = self._modelled
        chance = log_chance(mean[:, count:], spread[:, count:], self._bounds)
        told = self._told
        if not len(told) and len(self._bounds):
            return chance
        value, doubt = self._objectives(mean, spread, table)
        if len(self.aims) == 1:
            best = float(told.min() if len(told) else self._everything.max())
            return chance + _improvement(value[:, 0], doubt[:, 0], best)
        return chance + np.log(expected_volume(value, doubt, self._regions) + _LEAST)

    def believing(self, inputs: Array, table: Table) -> Self:
        """As if the candidates (k, columns) had been told with the values expected of them."""
        known = self._known(inputs, table)
        return replace(
            self,
            model=self.model.believing(inputs),
            known=np.concatenate([self.known, known]),
            failed=np.append(self.failed, np.zeros(len(inputs), dtype=np.bool_)),
        )

    def _known(self, inputs: Array, table: Table) -> Array:
        columns = [np.zeros(len(inputs)) if a.cost is None else a.known(table) for a in self.aims]
        return np.stack(columns, axis=1)

    def _objectives(self, mean: Array, spread: Array, table: Table) -> tuple[Array, Array]:
        """Means and deviations of the objectives, each (n, objectives)."""
        value = np.empty((len(mean), len(self.aims)))
        doubt = np.zeros_like(value)
        for j, aim in enumerate(self.aims):
            if aim.cost is None:
                value[:, j], doubt[:, j] = mean[:, aim.column], spread[:, aim.column]
            else:
                value[:, j] = aim.known(table)
        return value, doubt

    @cached_property
    def _bounds(self) -> Array:
        """Where the outcomes' limits lie on the model's scale."""
        return np.array([float(warp(0.0)) for warp in self.model.warps[self._modelled :]])

    @cached_property
    def _told(self) -> Array:
        """Objectives of what was told and meets the outcomes, without noise, (m, objectives)."""
        met = (self.model.targets[:, self._modelled :] <= self._bounds + 1e-9).all(axis=1)
        return np.concatenate([self._everything[met & ~self.failed], self._believed])

    @property
    def _believed(self) -> Array:
        return np.reshape(self.believed, (-1, len(self.aims)))

    @cached_property
    def _everything(self) -> Array:
        """Objectives of all that was told, without noise, (told, objectives)."""
        values = self.known.copy()
        for j, aim in enumerate(self.aims):
            if aim.cost is None:
                values[:, j] = self.model.posteriors[aim.column].at_data
        return values

    @cached_property
    def _regions(self) -> Regions:
        told = self._told
        front = told[on_front(told, [False] * told.shape[1])]
        objectives = front.shape[1]
        most = _MOST_FRONT.get(objectives, int(_MOST_BOXES ** (1 / (objectives - 1))))
        if len(front) > most:
            order = np.argsort(front[:, 0], kind="stable")
            front = front[order[np.linspace(0, len(front) - 1, most).astype(np.int64)]]
        seen = front if len(front) else self._everything
        low, high = seen.min(axis=0), seen.max(axis=0)
        reference = high + _BEYOND * np.maximum(high - low, _BEYOND)
        if len(front) < _FEW:
            # Beyond a front in one small cluster nothing would count: look over all that was told.
            every = np.concatenate([self._everything, self._believed])
            reference = np.maximum(reference, every.max(axis=0))
        for j, aim in enumerate(self.aims):
            if aim.cost is not None:
                reference[j] = max(float(reference[j]), 1.0 + _BEYOND)
        return Regions.beyond(front, reference)


def _columns(columns: Sequence[Array], count: int) -> Array:
    return np.stack(columns, axis=1) if columns else np.empty((count, 0))


def _improvement(mean: Array, spread: Array, best: float) -> Array:
    if spread.any():
        return log_improvement(mean, spread, best)
    return np.log(np.maximum(best - mean, _LEAST))
