"""The ask-tell study: candidates are asked, checked, told, and kept in the order they came."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, final

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


@dataclass(frozen=True, eq=False)
class Candidate:
    """What is known of a candidate before it is evaluated."""

    key: str
    costs: Mapping[str, float]
    configuration: Mapping[str, Any] = field(default_factory=dict)


class Known(Protocol):
    """Whatever has a candidate's key and its known costs."""

    @property
    def key(self) -> str: ...
    @property
    def costs(self) -> Mapping[str, float]: ...


@final
@dataclass(frozen=True, eq=False)
class _Results:
    """One tell; trials are made of it when somebody wants them, which an engine never does."""

    codes: Codes
    known: Sequence[Known]
    values: NDArray[np.float64]
    excess: NDArray[np.float64] | None

    def trials(self, first: int) -> list[Trial]:
        """Its trials, the first of which has this number."""
        none = [()] * len(self.known)
        overs = none if self.excess is None else map(tuple, self.excess.tolist())
        facts = zip(self.known, self.codes, map(tuple, self.values.tolist()), overs, strict=True)
        return [
            Trial(number, candidate.key, row, value, candidate.costs, over)
            for number, (candidate, row, value, over) in enumerate(facts, first)
        ]


@final
class Study:
    """Drives a sampler and holds it to its contract.

    `ledger`, when given, is called with the trials of each `tell` before it returns. Nothing is
    repeated: a candidate that was asked before is refused, whether or not it has been told.
    """

    def __init__(
        self,
        problem: Problem,
        sampler: Sampler,
        ledger: Callable[[Sequence[Trial]], None] | None = None,
    ) -> None:
        self.problem = problem
        self._trials: list[Trial] = []
        self._fresh: list[_Results] = []
        self._sampler = sampler
        self._ledger = ledger
        self._known: dict[bytes, Candidate] = {}
        self._asked: set[str] = set()
        self._told: set[str] = set()

    @property
    def trials(self) -> list[Trial]:
        """Every candidate that was told, in order."""
        for results in self._fresh:
            self._trials += results.trials(len(self._trials))
        self._fresh.clear()
        return self._trials

    def ask(self, count: int) -> Codes:
        """Up to `count` new candidates that meet the limits, (n, width); fewer when exhausted.

        Raises `PluginError` when the sampler breaks its contract.
        """
        codes = self._sampler.ask(count)
        self._check(codes, count)
        self._asked.update(candidate.key for candidate in self.candidates(codes))
        return codes

    def candidates(self, codes: Codes) -> list[Candidate]:
        """Key and known costs of each row; computed once from its first ask until it is told."""
        rows = [row.tobytes() for row in codes]
        fresh = [i for i, row in enumerate(rows) if row not in self._known]
        if fresh:
            space = self.problem.space
            genes = space.decode_all(codes[fresh])
            table = {name: c.tolist() for name, c in self.problem.costs.table(codes[fresh]).items()}
            for at, (i, configuration) in enumerate(zip(fresh, genes, strict=True)):
                costs = {name: float(column[at]) for name, column in table.items()}
                self._known[rows[i]] = Candidate(space.key(configuration), costs, configuration)
        return [self._known[row] for row in rows]

    def tell(
        self,
        codes: Codes,
        values: NDArray[np.float64],
        excess: NDArray[np.float64] | None = None,
        known: Sequence[Known] | None = None,
    ) -> None:
        """Results, (n, objectives), each in its own direction; NaN where the evaluation failed.

        `excess` (n, outcomes) is needed when the problem has outcomes: see `Sampler.tell`.
        Candidates that were never asked may be told too, each once. Whoever has `known` what
        `candidates` finds out can say so. Raises ValueError for a wrong shape or a candidate that
        was told before.
        """
        outcomes = len(self.problem.outcomes)
        values = _shaped("values", values, (len(codes), len(self.problem.objectives)))
        if excess is not None or outcomes:
            excess = _shaped("excess", excess, (len(codes), outcomes))
        codes = np.array(codes, dtype=np.float64, ndmin=2)
        known = self.candidates(codes) if known is None else known
        keys = {candidate.key for candidate in known}
        if len(keys) < len(known) or not self._told.isdisjoint(keys):
            raise ValueError("a candidate was told twice")
        self._record(_Results(codes, known, values, excess), keys)
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

    def _record(self, results: _Results, keys: set[str]) -> None:
        if self._ledger is not None:
            self._ledger(results.trials(len(self.trials)))
        self._fresh.append(results)
        self._told |= keys
        if self._known:
            for row in results.codes:
                self._known.pop(row.tobytes(), None)

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
        keys = {candidate.key for candidate in self.candidates(codes)}
        if len(keys) < len(codes) or not (
            self._asked.isdisjoint(keys) and self._told.isdisjoint(keys)
        ):
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
