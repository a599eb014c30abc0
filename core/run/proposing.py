"""Proposals: what sampler and ladder want evaluated, and what they are told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.run.goals import Goals
from stillhouse.core.run.ledger import Entry
from stillhouse.core.search import Codes, Halving, Study

C = TypeVar("C")


class Screens(Protocol):
    """Drops proposals that are not worth an evaluation; see `core.run.screening`."""

    @property
    def proposals(self) -> int:
        """How many candidates are asked for each that is evaluated."""

    def kept(self, candidates: Sequence[Any], count: int) -> list[Any]: ...


@dataclass(frozen=True, eq=False)
class Candidate:
    """A configuration with what is known of it; `code` is its canonical row (width,)."""

    key: str
    configuration: Mapping[str, Any]
    costs: Mapping[str, float]
    code: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Proposal:
    """A candidate that is to be evaluated on a rung of the ladder; 0 is the lowest."""

    candidate: Candidate
    rung: int


@final
class Batch:
    """Proposals made together, and their entries as these come in."""

    def __init__(self, proposals: Sequence[Proposal]) -> None:
        self.proposals = tuple(proposals)
        self._entries: dict[int, Entry] = {}

    @staticmethod
    def of(ended: Sequence[tuple[Proposal, Entry]]) -> Batch:
        """A whole batch of whatever ended together."""
        batch = Batch([proposal for proposal, _ in ended])
        for place, (_, entry) in enumerate(ended):
            batch.settle(place, entry)
        return batch

    @property
    def whole(self) -> bool:
        return len(self._entries) == len(self.proposals)

    @property
    def ended(self) -> list[tuple[Proposal, Entry]]:
        """Proposals with their entries, in the order of the proposals."""
        return [(one, self._entries[i]) for i, one in enumerate(self.proposals)]

    def settle(self, place: int, entry: Entry) -> None:
        self._entries[place] = entry


@final
class Proposer:
    """The sampler's study and the ladder of fidelities, as one.

    On a ladder of fidelities each evaluation counts as one, whatever its rung: a batch begins with
    the candidates that are promoted and is filled up with new ones, evaluated on the lowest rung,
    the only one that the sampler is told of.
    """

    def __init__(
        self,
        study: Study,
        goals: Goals,
        rungs: Sequence[float],
        eta: int,
        screening: Screens | None = None,
    ) -> None:
        self._study, self._goals, self._rungs = study, goals, rungs
        self._ladder = Halving(len(rungs), eta, goals.objectives)
        self._screening = screening
        self._candidates: dict[str, Candidate] = {}

    def propose(self, count: int) -> Batch:
        """Up to `count` proposals; none where nothing is promoted and the space has no room."""
        due = self._ladder.promote(count)
        promoted = [Proposal(self._candidates[one.key], one.rung) for one in due]
        fresh = self._fresh(count - len(promoted))
        if len(self._rungs) > 1:
            self._candidates.update((one.key, one) for one in fresh)
        return Batch([*promoted, *(Proposal(one, 0) for one in fresh)])

    def learn(self, batch: Batch) -> None:
        """Tell ladder and sampler what came out."""
        fresh = [(one.candidate, entry) for one, entry in batch.ended if one.rung == 0]
        for one, entry in batch.ended:
            if one.rung:
                self._record(one.rung, [entry])
        if fresh:
            self._tell(np.array([one.code for one, _ in fresh]), [entry for _, entry in fresh])

    def recall(self, entries: Sequence[Entry]) -> None:
        """Tell everything that an earlier search found, at once."""
        lowest = [e for e in entries if e.fidelity in (None, self._rungs[0])]
        space = self._study.problem.space
        if lowest:
            codes = space.encode_all([entry.configuration for entry in lowest])
            if len(self._rungs) > 1:
                for entry, code in zip(lowest, codes, strict=True):
                    one = Candidate(entry.key, entry.configuration, entry.costs, code)
                    self._candidates[entry.key] = one
            self._tell(codes, lowest)
        for rung, share in enumerate(self._rungs[1:], 1):
            if found := [entry for entry in entries if entry.fidelity == share]:
                self._ladder.recall(rung - 1, [entry.key for entry in found])
                self._record(rung, found)

    def _tell(self, codes: Codes, entries: Sequence[Entry]) -> None:
        values, excess = self._record(0, entries)
        self._study.tell(codes, values, excess if self._goals.outcomes else None, entries)

    def _record(
        self, rung: int, entries: Sequence[Entry]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Values (n, objectives) and excess (n, outcomes), NaN where one failed."""
        values, excess = self._goals.table(entries)
        self._ladder.record(rung, [entry.key for entry in entries], values, excess)
        return values, excess

    def _fresh(self, count: int) -> list[Candidate]:
        """New candidates that passed the screening."""
        if not count:
            return []
        screening = self._screening
        every = self._asked(count * (1 if screening is None else screening.proposals))
        return every if screening is None else screening.kept(every, count)

    def _asked(self, count: int) -> list[Candidate]:
        codes = self._study.ask(count)
        return [
            Candidate(one.key, one.configuration, one.costs, row)
            for one, row in zip(self._study.candidates(codes), codes, strict=True)
        ]
