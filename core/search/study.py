"""The ask-tell study: candidates are asked, checked, told, and kept in the order they came."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import PluginError
from stillhouse.core.search.front import on_front
from stillhouse.core.search.sampler import Codes, Problem, Sampler


@dataclass(frozen=True, eq=False)
class Trial:
    """One told candidate: `codes` (width,), `values` in the objectives' order, NaN if it failed.

    `excess` says by how much each limit on a measured value is broken, 0 or less where it is met.
    """

    number: int
    key: str
    codes: NDArray[np.float64]
    values: tuple[float, ...]
    costs: Mapping[str, float]
    excess: tuple[float, ...] = ()

    @property
    def failed(self) -> bool:
        return not np.isfinite((*self.values, *self.excess)).all()

    @property
    def sound(self) -> bool:
        """Whether it was evaluated and meets every limit on a measured value."""
        return not self.failed and all(over <= 0 for over in self.excess)


@final
class Study:
    """Drives a sampler and holds it to its contract.

    `ledger`, when given, is called with each trial before `tell` returns. Nothing is repeated:
    a candidate that was asked before is refused, whether or not it has been told.
    """

    def __init__(
        self,
        problem: Problem,
        sampler: Sampler,
        ledger: Callable[[Trial], None] | None = None,
    ) -> None:
        self.problem = problem
        self.trials: list[Trial] = []
        self._sampler = sampler
        self._ledger = ledger
        self._asked: set[str] = set()
        self._told: set[str] = set()

    def ask(self, count: int) -> Codes:
        """Up to `count` new candidates that meet the limits, (n, width); fewer when exhausted.

        Raises `PluginError` when the sampler breaks its contract.
        """
        codes = self._sampler.ask(count)
        self._check(codes, count)
        self._asked.update(self.problem.space.keys(codes))
        return codes

    def tell(
        self, codes: Codes, values: NDArray[np.float64], excess: NDArray[np.float64] | None = None
    ) -> None:
        """Results, (n, objectives), each in its own direction; NaN where the evaluation failed.

        `excess` (n, outcomes) is needed when the problem has outcomes: see `Sampler.tell`.
        Candidates that were never asked may be told too, each once. Raises ValueError for a wrong
        shape or a candidate that was told before.
        """
        space, outcomes = self.problem.space, len(self.problem.outcomes)
        values = _shaped("values", values, (len(codes), len(self.problem.objectives)))
        if excess is not None or outcomes:
            excess = _shaped("excess", excess, (len(codes), outcomes))
        keys = space.keys(codes)
        if len(set(keys)) < len(keys) or self._told.intersection(keys):
            raise ValueError("a candidate was told twice")
        self._record(codes, keys, values, excess)
        self._sampler.tell(codes, values, excess)

    @property
    def fallbacks(self) -> int:
        """How many candidates the sampler had to draw at random; see `Sampler.fallbacks`."""
        return self._sampler.fallbacks

    @property
    def notes(self) -> Sequence[str]:
        """What the sampler has to say about its choices; see `Sampler.notes`."""
        return self._sampler.notes

    def front(self) -> list[Trial]:
        """The trials within every limit that no other dominates, in the order they were told."""
        sound = [trial for trial in self.trials if trial.sound]
        shape = (len(sound), len(self.problem.objectives))
        values = np.array([trial.values for trial in sound]).reshape(shape)
        mask = on_front(values, [o.maximize for o in self.problem.objectives])
        return [trial for trial, keep in zip(sound, mask, strict=True) if keep]

    def best(self) -> Trial | None:
        """The best by the first objective, then the next ones; of equals the cheapest.

        Cheapest by the limited costs in their order, then by key. None before any success; a
        trial that breaks a limit on a measured value is none.
        """
        sound = [trial for trial in self.trials if trial.sound]
        return min(sound, key=self._order, default=None)

    def _order(self, trial: Trial) -> tuple[object, ...]:
        signs = [objective.sign for objective in self.problem.objectives]
        values = [s * v for s, v in zip(signs, trial.values, strict=True)]
        limited = self.problem.costs.limited or tuple(trial.costs)
        return (*values, *(trial.costs[name] for name in limited), trial.key)

    def _record(
        self,
        codes: Codes,
        keys: list[str],
        values: NDArray[np.float64],
        excess: NDArray[np.float64] | None,
    ) -> None:
        table = self.problem.costs.table(codes)
        for i, key in enumerate(keys):
            costs = {name: float(column[i]) for name, column in table.items()}
            row = tuple(map(float, values[i]))
            over = () if excess is None else tuple(map(float, excess[i]))
            trial = Trial(len(self.trials), key, codes[i].copy(), row, costs, over)
            if self._ledger is not None:
                self._ledger(trial)
            self.trials.append(trial)
            self._told.add(key)

    def _check(self, codes: Codes, count: int) -> None:
        space = self.problem.space
        if codes.ndim != 2 or codes.shape[1] != space.width or len(codes) > count:
            raise self._broken(f"expected at most {count} rows of {space.width}, got {codes.shape}")
        if not len(codes):
            return
        try:
            canonical = np.array_equal(space.canonical(codes), codes)
        except ValueError as error:
            raise self._broken(str(error)) from error
        if not canonical:
            raise self._broken("a candidate's codes are not canonical")
        if (self.problem.costs.violation(codes) > 0).any():
            raise self._broken("a candidate breaks a limit")
        keys = space.keys(codes)
        if len(set(keys)) < len(keys) or (self._asked | self._told).intersection(keys):
            raise self._broken("a candidate was proposed before")

    def _broken(self, fact: str) -> PluginError:
        name = type(self._sampler).__qualname__
        return PluginError(f"sampler {name} broke its contract: {fact}; report it to its author")


def _shaped(
    name: str, given: NDArray[np.float64] | None, expected: tuple[int, int]
) -> NDArray[np.float64]:
    found = np.asarray(given, dtype=np.float64)
    if found.shape != expected:
        came = "nothing" if given is None else f"{found.shape}"
        raise ValueError(f"expected {name} of shape {expected}, got {came}")
    return found
