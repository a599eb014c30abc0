"""What goes into a trial and what comes out of it, and the one number that a scheduler sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from stillhouse.core import plain_json
from stillhouse.core.errors import DataError, RunDirectoryError, StillhouseError
from stillhouse.core.run.goals import Goals
from stillhouse.core.typed import typed

OUTCOME: Final = "trial.json"
WORST: Final = -1e30
"""The score of a trial that failed: finite, for quantiles."""


@dataclass(frozen=True)
class Point:
    """What a trial runs: its `number`, its rung (`step`, from 0), its parameters by key path.

    `start` is the artefact of an earlier rung whose weights it goes on with, "" for none.
    """

    number: int
    step: int
    values: Mapping[str, Any]
    start: str = ""


@dataclass(frozen=True)
class Outcome:
    """What came out of a trial on one rung; `error` says why nothing did.

    `costs` and `measured` are those of the best candidate; `measured` holds its metrics on the
    validation split and the `seconds` that the trial took here. `artefact` is the folder that a
    next rung may go on with.
    """

    number: int
    step: int
    values: Mapping[str, Any]
    start: str = ""
    costs: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    artefact: str = ""

    @staticmethod
    def read(path: Path) -> Outcome:
        """From a file. FileNotFoundError where there is none, RunDirectoryError for another."""
        try:
            return typed(Outcome, plain_json.read(path))
        except FileNotFoundError:
            raise
        except (OSError, ValueError, TypeError) as error:
            raise RunDirectoryError(
                f"{path}: damaged ({error}); remove it and resume, the trial's run has its ledger"
            ) from None


def is_fault(error: StillhouseError) -> bool:
    """Whether an error is the machine's or the setup's, and not what a trial can be blamed for."""
    if isinstance(error, (RunDirectoryError, DataError)):
        return True
    return isinstance(error.__cause__, (OSError, MemoryError))


def known(found: Outcome) -> dict[str, float]:
    """Costs and measured values of an outcome by name; nothing of one that failed."""
    return {} if found.error else {**found.costs, **found.measured}


def score(found: Outcome, goals: Goals) -> float:
    """What a scheduler sees: the first objective, higher better.

    Of a trial that breaks the sweep's limits, by how much it does, below all others.
    """
    values = known(found)
    over = goals.violation(values)
    first = -goals.objectives[0].sign * values.get(goals.objectives[0].name, float("nan"))
    if not values or first != first or over == float("inf"):
        return WORST
    return float(first) if over == 0 else max(WORST / 10 * (1 + over), WORST)
