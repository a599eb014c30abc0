"""A study's ledger: its asks and tells in order, so that it can be led through them again."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import UserError
from stillhouse.core.jsonlines import Appending, LinesFile
from stillhouse.core.search.sampler import Codes, Problem
from stillhouse.core.search.study import Trial

FORMAT = 1
_MOST = 10_000_000
_MEND = "restore the file from a copy, or start a new study in another file"


@dataclass(frozen=True, eq=False)
class Asked:
    """`count` candidates were asked for and `codes` (n, width) were proposed."""

    count: int
    codes: Codes


@dataclass(frozen=True, eq=False)
class Told:
    """One tell: `codes` (n, width), `values` (n, objectives), `excess` (n, outcomes)."""

    codes: Codes
    values: NDArray[np.float64]
    excess: NDArray[np.float64]


@final
class StudyLedger:
    """Append-only; a tell is on disk when `told` returns, and every ask before it.

    The first line is the study's `identity`, made of what JSON can hold. A torn last line is cut
    off; a damaged line, another study's file and one that is open already are a UserError.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], problem: Problem) -> None:
        self._where = LinesFile(path, UserError, _MEND)
        self._widths = (problem.space.width, len(problem.objectives), len(problem.outcomes))
        self._lines = Appending(self._where, exclusive=True)
        try:
            self.events = self._open(json.loads(json.dumps({"format": FORMAT, **identity})))
            """What the file held when it was opened, in order."""
        except BaseException:
            self.close()
            raise

    def asked(self, count: int, codes: Codes) -> None:
        """Write an ask: the end of the process loses nothing of it, a power failure may."""
        self._lines.append({"ask": count, "codes": codes.tolist()}, durable=False)

    def told(self, trials: Sequence[Trial]) -> None:
        """Write the trials of one tell; keys and costs go along for readers of the file."""
        costs = trials[0].costs if trials else ()
        self._lines.append(
            {
                "tell": [trial.key for trial in trials],
                "codes": [trial.codes.tolist() for trial in trials],
                "values": [_finite(trial.values) for trial in trials],
                "excess": [_finite(trial.excess) for trial in trials],
                "costs": {name: _finite(trial.costs[name] for trial in trials) for name in costs},
            }
        )

    def refusal(self, fact: str) -> UserError:
        """The error for the file as a whole."""
        return self._where.refusal(fact)

    def close(self) -> None:
        self._lines.close()

    def _open(self, header: Mapping[str, Any]) -> list[Asked | Told]:
        records = self._lines.records
        if not records:
            self._lines.append(header)
            return []
        if records[0] != header:
            fact = _difference(header, records[0])
            raise self.refusal(f"is the ledger of another study: {fact}")
        return [self._event(number, record) for number, record in enumerate(records[1:], 2)]

    def _event(self, number: int, record: Mapping[str, Any]) -> Asked | Told:
        try:
            if "ask" in record:
                return Asked(_count(record["ask"]), _table(record["codes"], self._widths[0]))
            fields = zip(("codes", "values", "excess"), self._widths, strict=True)
            codes, values, excess = (_table(record[field], width) for field, width in fields)
            if not len(codes) == len(values) == len(excess):
                raise ValueError(f"{len(codes)} candidates, {len(values)} values")
            return Told(codes, values, excess)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise self._where.damaged(number, repr(error)) from None


def _count(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= _MOST:
        raise ValueError(f"expected 1 to {_MOST} candidates to be asked for, got {value!r}")
    return value


def _finite(values: Iterable[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]


def _table(rows: Sequence[Sequence[float | None]], width: int) -> NDArray[np.float64]:
    """Rows of numbers (n, width), NaN for null."""
    table = np.array(rows, dtype=np.float64)
    return table.reshape(len(rows), width)


def _difference(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """What differs, the first of it."""
    name = next(n for n in [*wanted, *found] if _at(wanted, n) != _at(found, n))
    return f"expected {name} {wanted.get(name)}, got {found.get(name)}"


def _at(header: Mapping[str, Any], name: str) -> tuple[bool, Any]:
    """What is absent is not null."""
    return name in header, header.get(name)
