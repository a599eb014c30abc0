"""The evaluations of a run, judged by limits that it did not have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.limits import Limit, Table, column
from stillhouse.core.run.goals import known_of, latest
from stillhouse.core.run.ledger import Entry
from stillhouse.core.run.stored import Stored
from stillhouse.core.search.feasible import fingerprints
from stillhouse.core.search.sampler import Codes

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Evaluated:
    """A candidate of the ledger. `certified`: it is the exported model in `best/`.

    Costs are predicted ones but where the candidate, exported, was measured.
    """

    number: int
    key: str
    configuration: Mapping[str, Any]
    costs: Mapping[str, float]
    values: Mapping[str, float]
    certified: bool = False


@final
class Known:
    """The ledger as arrays over its candidates, and which of them meet the limits."""

    def __init__(self, stored: Stored) -> None:
        space, goals = stored.plan.space, stored.goals
        self.entries = [_measured(entry, stored.measured) for entry in latest(stored.entries)]
        """One a candidate, on the highest rung it reached; costs as measured where they were."""
        rows = [space.encode(entry.configuration) for entry in self.entries]
        self.codes: Codes = np.array(rows).reshape(len(rows), space.width)
        self.table = _table(self.entries)
        self.names = [*(o.name for o in goals.objectives), *(li.cost for li in goals.outcomes)]
        """Objectives, then values with a limit."""
        self.told = _first_values(stored.entries, self.entries, self.names)
        """Values (n, names) on the lowest rung, where all candidates compare; NaN: it failed."""
        exported = np.array([entry.key in stored.measured for entry in self.entries], np.bool_)
        measured = among(self.codes, stored.profiled) | exported
        self.met = within(stored.limits, self.table, measured, len(rows))
        """Which meet the limits on known costs."""
        found = [known_of(entry) for entry in self.entries]
        sound = [bool(one) and goals.violation(one) == 0 for one in found]
        self.sound = self.met & np.array(sound, np.bool_)
        """Which meet every limit, and did not fail."""
        self._returned = stored.returned

    def row(self, entry: Entry) -> Evaluated:
        """One candidate, with what is known of it."""
        facts = (entry.number, entry.key, entry.configuration, entry.costs, entry.values)
        return Evaluated(*facts, self._returned is not None and entry.key == self._returned.key)

    def returned(self, stored: Stored) -> Evaluated | None:
        """The model in `best/` where it meets the limits, with its own values on validation."""
        for entry, met in zip(self.entries, self.met, strict=True):
            if self._returned is not None and entry.key == self._returned.key and met:
                own = entry.with_known(values=self._returned.values)
                return self.row(own) if stored.goals.violation(known_of(own)) == 0 else None
        return None


def among(codes: Codes, others: Codes) -> Flags:
    """Which of the candidates are among the others."""
    return np.asarray(np.isin(fingerprints(codes), fingerprints(others)))


def within(limits: Sequence[Limit], table: Table, measured: Flags, count: int) -> Flags:
    """Which of `count` candidates meet the limits; a measured latency needs no margin."""
    met = np.ones(count, dtype=np.bool_)
    for limit in limits if count else ():
        values = column(table, limit.cost)
        exact = replace(limit, margin=0.0).excess(values)
        met &= np.where(measured, exact, limit.excess(values)) <= 0
    return met


def _measured(entry: Entry, found: Mapping[str, Mapping[str, float]]) -> Entry:
    own = {n: v for n, v in found.get(entry.key, {}).items() if n in entry.costs}
    return entry.with_known(own)


def _table(entries: Sequence[Entry]) -> dict[str, Array]:
    names = entries[0].costs if entries else ()
    return {name: np.array([entry.costs[name] for entry in entries]) for name in names}


def _first_values(
    entries: Sequence[Entry], candidates: Sequence[Entry], names: Sequence[str]
) -> Array:
    lowest: dict[str, Entry] = {}
    for entry in entries:
        lowest.setdefault(entry.key, entry)
    known = [known_of(lowest[candidate.key]) for candidate in candidates]
    rows = [[one.get(name, np.nan) for name in names] for one in known]
    return np.array(rows, np.float64).reshape(-1, len(names))
