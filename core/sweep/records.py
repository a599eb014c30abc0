"""A sweep's ledger: one line for what came out of a trial, on each rung that it reached."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Self, final

from stillhouse.core.config.sweep import SECONDS, SweepSection
from stillhouse.core.evaluate.artefacts import fingerprint
from stillhouse.core.run.ledger import Entry, Ledger
from stillhouse.core.sweep.directory import SweepDirectory
from stillhouse.core.sweep.outcomes import OUTCOME, Outcome


def fingerprint_of(section: SweepSection, run: str) -> str:
    """What a sweep's results depend on; `run` is the run file without the sweep."""
    plain = section.plain()
    for setting in ("concurrent", "address", "finalists", "retries"):
        del plain[setting]
    return fingerprint("sweep", json.dumps(plain), run)


def key_of(number: int) -> str:
    """A trial's key in the ledger, the same on all rungs."""
    return f"{number:04d}"


@final
class Records:
    """The ledger of a sweep. Each trial's rung is written once, however often it is reported.

    Without rungs a line's number is its trial's, so the order is that of the proposals; with them
    lines are numbered as results come.
    """

    def __init__(self, directory: SweepDirectory, section: SweepSection, run: str) -> None:
        self._section = section
        self._ledger = Ledger(directory.ledger, fingerprint_of(section, run))
        self._recover(directory)

    @property
    def entries(self) -> list[Entry]:
        """Everything on record, by number."""
        rest = self._ledger.ahead
        return [*self._ledger.entries, *(rest[number] for number in sorted(rest))]

    def add(self, found: Outcome) -> bool:
        """Write an outcome through to the disk; False if it was there."""
        key, rung = key_of(found.number), self.rung(found.step)
        if self._ledger.kept(key, rung) is not None:
            return False
        values = {} if found.error else dict(found.measured)
        number = found.number if rung is None else len(self._ledger.entries)
        entry = Entry(
            number, key, dict(found.values), dict(found.costs), values,
            values.get(SECONDS, 0.0), found.error, rung,
        )  # fmt: skip
        self._ledger.append(entry)
        return True

    def rung(self, step: int) -> float | None:
        """The budget of a rung, None in a sweep without."""
        return float(self._section.budget.rungs[step]) if self._section.budget else None

    def close(self) -> None:
        self._ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _recover(self, directory: SweepDirectory) -> None:
        """Take in what trials finished without this process having heard of it."""
        for found in sorted(kept_outcomes(directory), key=lambda one: (one.number, one.step)):
            self.add(found)


def kept_outcomes(directory: SweepDirectory) -> Iterable[Outcome]:
    """Every outcome that lies in the trials' folders."""
    return [Outcome.read(path) for path in sorted(directory.trials.glob(f"*/{OUTCOME}"))]


def values_of(entry: Entry) -> Mapping[str, float]:
    """Everything that came out of a trial by name; nothing of one that failed."""
    return {**entry.costs, **entry.values} if entry.values else {}
