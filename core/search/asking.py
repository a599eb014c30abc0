"""Ask and tell without the rest: a space, known costs, limits, a sampler, and any evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self, final

import numpy as np

from stillhouse.core.cost.limits import Limit
from stillhouse.core.errors import UserError
from stillhouse.core.search.ledger import StudyLedger, Told
from stillhouse.core.search.results import Given, Measurements
from stillhouse.core.search.sampler import Codes, Problem, Sampler
from stillhouse.core.search.study import Study, Trial


@final
class AskTell:
    """A study for any evaluator; made by `open_study`.

    With a ledger every tell is on disk before it returns, and a study opened on the ledger of an
    earlier one goes on where that one stopped, as if nothing had happened. What was asked but not
    told before the end of the earlier one is asked again, first.
    """

    def __init__(
        self,
        problem: Problem,
        sampler: Sampler,
        limits: Sequence[Limit],
        measurements: Measurements,
        ledger: StudyLedger | None = None,
    ) -> None:
        self.problem = problem
        self.limits = tuple(limits)
        """The limits on known costs; those on measured values are the problem's outcomes."""
        self._measurements = measurements
        self._study = Study(problem, sampler, self._written)
        self.asked: list[Codes] = []
        """Every candidate (width,) that was asked, in order, those before a continuation too."""
        self._open: dict[bytes, Codes] = {}
        self._again: list[Codes] = []
        self._ledger: StudyLedger | None = None
        if ledger is not None:
            self._replay(ledger)
            self._ledger = ledger

    def ask(self, count: int = 1) -> Codes:
        """Up to `count` candidates to evaluate, (n, width), every one within the known limits.

        Fewer at the end of the budget and of the feasible configurations; none when one of them
        is spent. What was asked and not told yet counts as spent.
        """
        if count < 1:
            raise UserError(f"ask: expected to be asked for at least one candidate, got {count}")
        if self._again:
            out, self._again = self._again[:count], self._again[count:]
            return np.stack(out)
        if self.problem.budget is not None:
            spent = len(self.trials) + len(self._open)
            count = min(count, max(self.problem.budget - spent, 0))
        return self._asked(count) if count else np.empty((0, self.problem.space.width))

    def tell(self, codes: Codes, values: Given) -> None:
        """What was measured of candidates (n, width): by name, each (n,), NaN where it failed.

        An array (n, objectives) will do where no other value is limited; it has a column for each
        objective that is no known cost. Candidates that were never asked may be told too. Raises
        UserError for anything else, ValueError for a candidate that was told before.
        """
        codes = np.array(codes, dtype=np.float64, ndmin=2)
        costs = [candidate.costs for candidate in self._study.candidates(codes)]
        names = [o.name for o in self.problem.objectives if o.name in self._measurements.known]
        known = {name: np.array([cost[name] for cost in costs]) for name in names}
        self._tell(Told(codes, *self._measurements.read(values, known, len(codes))))

    @property
    def measured(self) -> Sequence[str]:
        """Names of the values that `tell` takes of a candidate."""
        return self._measurements.names

    @property
    def trials(self) -> Sequence[Trial]:
        """Every candidate that was told, in order."""
        return self._study.trials

    def best(self) -> Trial | None:
        """See `Study.best`."""
        return self._study.best()

    def front(self) -> list[Trial]:
        """See `Study.front`."""
        return self._study.front()

    @property
    def fallbacks(self) -> int:
        """See `Sampler.fallbacks`."""
        return self._study.fallbacks

    @property
    def notes(self) -> Sequence[str]:
        """See `Sampler.notes`."""
        return self._study.notes

    def close(self) -> None:
        """Let go of the ledger; another study may be opened on it."""
        if self._ledger is not None:
            self._ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _asked(self, count: int) -> Codes:
        codes = self._study.ask(count)
        self.asked.extend(codes)
        self._open.update((row.tobytes(), row) for row in codes)
        if self._ledger is not None:
            self._ledger.asked(count, codes)
        return codes

    def _tell(self, told: Told) -> None:
        excess = told.excess if self.problem.outcomes else None
        self._study.tell(told.codes, told.values, excess)
        for row in told.codes:
            self._open.pop(row.tobytes(), None)

    def _written(self, trials: Sequence[Trial]) -> None:
        if self._ledger is not None:
            self._ledger.told(trials)

    def _replay(self, ledger: StudyLedger) -> None:
        for event in ledger.events:
            if not isinstance(event, Told):
                if not np.array_equal(self._asked(event.count), event.codes):
                    raise ledger.refusal("the sampler proposes other candidates than it holds")
                continue
            try:
                self._tell(event)
            except ValueError as error:
                raise ledger.refusal(f"it tells what cannot be ({error})") from error
        self._again = list(self._open.values())
