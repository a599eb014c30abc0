"""Successive halving: every candidate is tried cheaply, the best of each rung go on to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search.front import crowding, ranks
from stillhouse.core.search.rows import Rows
from stillhouse.core.search.sampler import Objective


@dataclass(frozen=True)
class Promotion:
    """A candidate, by its key, that is to be evaluated at `rung` (1 is the second)."""

    key: str
    rung: int


@dataclass(eq=False)
class _Rung:
    """What came out on one rung: a row of values and excess in `results` for each of `keys`."""

    keys: list[str] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    promoted: set[str] = field(default_factory=set)
    results: tuple[Rows, Rows] | None = None

    def add(
        self, keys: Sequence[str], values: NDArray[np.float64], excess: NDArray[np.float64]
    ) -> None:
        if self.results is None:
            self.results = Rows(values.shape[1]), Rows(excess.shape[1])
        for rows, found in zip(self.results, (values, excess), strict=True):
            rows.add(found)
        self.keys.extend(keys)
        self.known.update(keys)


@final
class Halving:
    """Bookkeeping of a ladder of fidelities; evaluates nothing and draws nothing at random.

    Asynchronous successive halving (Li et al., "A System for Massively Parallel Hyperparameter
    Tuning", 2020, algorithm 2): of the n results of a rung each of the best floor(n / eta) is
    promoted, as soon as it is among them, the highest rung first. What is promoted depends only
    on what was recorded and asked before, so a replay promotes the same.
    """

    def __init__(self, rungs: int, eta: int, objectives: Sequence[Objective]) -> None:
        """`rungs`, at least 1, of which the last promotes nothing; `eta` at least 2."""
        if rungs < 1 or eta < 2:
            raise ValueError(f"expected rungs >= 1 and eta >= 2, got {rungs} and {eta}")
        self._rungs = [_Rung() for _ in range(rungs)]
        self._eta = eta
        self._objectives = tuple(objectives)

    def promote(self, count: int) -> list[Promotion]:
        """Up to `count` candidates to evaluate on a higher rung, each of them told once.

        The highest rung comes first, in it the best (`standing`). A candidate is promoted from a
        rung once; failed ones never are.
        """
        chosen: list[Promotion] = []
        for number in range(len(self._rungs) - 2, -1, -1):
            for key in self._due(self._rungs[number])[: count - len(chosen)]:
                self._rungs[number].promoted.add(key)
                chosen.append(Promotion(key, number + 1))
        return chosen

    def recall(self, rung: int, keys: Sequence[str]) -> None:
        """These were promoted from a rung before; they are not promoted from it again."""
        self._rungs[rung].promoted.update(keys)

    def record(
        self,
        rung: int,
        keys: Sequence[str],
        values: NDArray[np.float64],
        excess: NDArray[np.float64] | None = None,
    ) -> None:
        """Results of candidates on a rung: as `Study.tell` takes them, NaN where one failed.

        Raises ValueError for a candidate that has a result on this rung.
        """
        into = self._rungs[rung]
        if again := into.known.intersection(keys):
            raise ValueError(f"a candidate was recorded twice on rung {rung}: {min(again)}")
        none = np.zeros((len(keys), 0))
        over = none if excess is None else np.asarray(excess, dtype=np.float64)
        if len(keys):
            into.add(keys, np.asarray(values, dtype=np.float64), over)

    def counts(self) -> tuple[int, ...]:
        """How many results each rung holds."""
        return tuple(len(rung.keys) for rung in self._rungs)

    def _due(self, rung: _Rung) -> list[str]:
        """Keys among the best 1 / eta that were not promoted yet, best first."""
        most = len(rung.keys) // self._eta
        if not most or rung.results is None:
            return []
        values, excess = (rows.all for rows in rung.results)
        order = standing(rung.keys, values, excess, self._objectives)
        failed = _failed(values, excess)
        best = [rung.keys[i] for i in order[:most] if not failed[i]]
        return [key for key in best if key not in rung.promoted]


def standing(
    keys: Sequence[str],
    values: NDArray[np.float64],
    excess: NDArray[np.float64],
    objectives: Sequence[Objective],
) -> NDArray[np.int64]:
    """Places of candidates from the best to the worst, (candidates,).

    Those that meet every limit on a measured value come first (`excess` (candidates, outcomes) at
    most 0), then the others by the sum of their excesses; failed ones (NaN) last. Within each,
    by the objective, or several by non-dominated rank and then crowding; ties by key.
    """
    failed = _failed(values, excess)
    over = np.where(failed, np.inf, np.maximum(np.nan_to_num(excess), 0.0).sum(axis=1))
    rank, spread = np.zeros(len(keys)), np.zeros(len(keys))
    for group in (~failed & (over == 0), ~failed & (over > 0)):
        rank[group], spread[group] = _ranked(values[group], objectives)
    return np.lexsort((np.array(keys, dtype=np.str_), -spread, rank, over)).astype(np.int64)


def _failed(values: NDArray[np.float64], excess: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(~np.isfinite(np.concatenate([values, excess], axis=1)).all(axis=1))


def _ranked(
    values: NDArray[np.float64], objectives: Sequence[Objective]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if len(objectives) == 1:
        return objectives[0].sign * values[:, 0], np.zeros(len(values))
    if not len(values):
        return np.zeros(0), np.zeros(0)
    rank = ranks(values, [objective.maximize for objective in objectives])
    return rank.astype(np.float64), crowding(values, rank)
