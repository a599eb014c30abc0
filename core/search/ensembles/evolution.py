"""Differential evolution of mixture weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, Final

import numpy as np

from stillhouse.core.search.ensembles.checking import Array
from stillhouse.core.search.ensembles.reduction import Family

ROWS: Final = 10
"""Candidates a coordinate; at least `_LEAST` in all."""
GENERATIONS: Final = 80
_LEAST: Final = 20
_NONE: Final = 1e-12

Values = Callable[[Array], Array]


@dataclass(frozen=True)
class Evolved:
    """The best weights (models,), the number of their temperature, and candidates valued."""

    weights: Array
    temperature: int
    evaluations: int


def evolve(
    family: Family,
    seed: int = 0,
    start: Array | None = None,
    generations: int = GENERATIONS,
    workers: int = 1,
    vectorised: bool = True,
) -> Evolved:
    """The best weights, and temperature where there are several, that differential evolution finds.

    SciPy's (Storn and Price 1997, best1bin), updating deferred, without polish, over v in
    [-1, 1]^K with w_k in proportion to max(v_k, 0)^2, uniform where all are 0: SciPy draws anew
    what leaves the bounds, so that optima with weights of 0 must lie inside them. The first
    population holds each single model, uniform weights and `start` (models,), at the middle
    temperature, so that what is found is no worse than these. The same seed gives the same bits,
    whether candidates are valued all at once, one by one, or by `workers` processes.
    """
    from scipy.optimize import Bounds, differential_evolution

    population = _population(family, np.random.default_rng([seed, 0]), start)
    with _valued(family, workers) as values:

        def minimised(x: Array, /) -> Any:
            return values(x.T) if vectorised else float(values(x[None])[0])

        found = differential_evolution(
            minimised,
            bounds=Bounds(*_bounds(family)),
            maxiter=generations,
            tol=1e-8,
            rng=np.random.default_rng([seed, 1]),
            polish=False,
            init=population,
            updating="deferred",
            vectorized=vectorised,
        )
    best = np.asarray(found.x, dtype=np.float64)[None]
    weights, numbers = _decoded(best, family)
    return Evolved(weights[0], int(numbers[0]), len(population) * (int(found.nit) + 1))


def _bounds(family: Family) -> tuple[Array, Array]:
    lowest = np.full(family.middle.models + family.searched, -1.0)
    if family.searched:
        lowest[-1] = 0
    return lowest, np.ones_like(lowest)


def _population(family: Family, rng: np.random.Generator, start: Array | None) -> Array:
    models = family.middle.models
    known = [np.eye(models), np.ones((1, models))]
    if start is not None:
        known.append(start[None])
    seeds = np.concatenate(known)
    rows = max(ROWS * (models + family.searched), _LEAST, 2 * len(seeds))
    weights = np.concatenate([seeds, rng.dirichlet(np.ones(models), rows - len(seeds))])
    population: Array = np.sqrt(weights / weights.max(1, keepdims=True))
    if not family.searched:
        return population
    numbers = np.concatenate([np.full(len(seeds), 0.5), rng.random(rows - len(seeds))])
    return np.column_stack([population, numbers])


def _decoded(candidates: Array, family: Family) -> tuple[Array, Array]:
    """Weights (candidates, models), and the numbers of temperatures (candidates,)."""
    models = family.middle.models
    given = np.maximum(candidates[:, :models], 0) ** 2
    total = given.sum(1, keepdims=True)
    weights: Array = np.where(total < _NONE, 1 / models, given / np.maximum(total, _NONE))
    if not family.searched:
        return weights, np.zeros(len(candidates))
    return weights, np.rint(candidates[:, models] * (len(family.temperatures) - 1))


def _family_values(family: Family, candidates: Array) -> Array:
    weights, numbers = _decoded(np.ascontiguousarray(candidates), family)
    values = np.empty(len(candidates))
    for number in np.unique(numbers):
        own = numbers == number
        values[own] = family.objectives[int(number)].values(weights[own])
    return values


@contextmanager
def _valued(family: Family, workers: int) -> Iterator[Values]:
    if workers == 1:
        yield lambda candidates: _family_values(family, candidates)
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, context, _hold, (family,)) as pool:
        yield lambda candidates: np.concatenate(
            list(pool.map(_held_values, np.array_split(candidates, workers)))
        )


_HELD: list[Family] = []


def _hold(family: Family) -> None:
    _HELD.append(family)


def _held_values(candidates: Array) -> Array:
    return _family_values(_HELD[-1], candidates)
