"""The sweep's ledger: every rung once, whoever reports it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

import pytest

from stillhouse.core.errors import RunDirectoryError
from stillhouse.core.plugin import Catalogue
from stillhouse.core.sweep.directory import SweepDirectory
from stillhouse.core.sweep.outcomes import OUTCOME, Outcome
from stillhouse.core.sweep.records import Records
from stillhouse.core.sweep.trial import Trials

Made = Callable[..., SweepDirectory]
ASHA = (
    "sweep.scheduler=asha",
    "sweep.budget={parameter: recipe.supernet.epochs, rungs: [1, 3]}",
)


def outcome(number: int, step: int = 0, accuracy: float = 0.5, error: str = "") -> Outcome:
    measured = {} if error else {"accuracy": accuracy, "seconds": 2.0}
    costs = {} if error else {"size_kb": 10.0}
    return Outcome(number, step, {"rate": 0.1 * number}, "", costs, measured, error)


def opened(directory: SweepDirectory, catalogue: Catalogue) -> Records:
    trials = Trials(directory, catalogue)
    return Records(directory, trials.section, trials.base)


def test_without_rungs_the_order_is_that_of_the_proposals(made: Made, catalogue: Catalogue) -> None:
    directory = made()
    with opened(directory, catalogue) as records:
        assert records.add(outcome(1))
        assert records.add(outcome(0, error="LimitError: no"))
        assert not records.add(outcome(1))
        assert [(e.number, e.key, e.error) for e in records.entries] == [
            (0, "0000", "LimitError: no"),
            (1, "0001", ""),
        ]
        assert records.entries[1].values == {"accuracy": 0.5, "seconds": 2.0}
        assert (records.entries[1].seconds, records.entries[1].fidelity) == (2.0, None)


def test_with_rungs_lines_come_as_results_do(made: Made, catalogue: Catalogue) -> None:
    with opened(made(*ASHA), catalogue) as records:
        for found in (outcome(1), outcome(0), outcome(1, step=1)):
            assert records.add(found)
        assert [(e.number, e.key, e.fidelity) for e in records.entries] == [
            (0, "0001", 1.0),
            (1, "0000", 1.0),
            (2, "0001", 3.0),
        ]


def test_what_nobody_heard_of_is_taken_in(made: Made, catalogue: Catalogue) -> None:
    directory = made()
    with opened(directory, catalogue) as records:
        records.add(outcome(0))
    for number in (0, 2, 1):
        place = directory.trial(number, None)
        place.mkdir(parents=True)
        (place / OUTCOME).write_text(json.dumps(asdict(outcome(number))))
    with opened(directory, catalogue) as records:
        assert [entry.key for entry in records.entries] == ["0000", "0001", "0002"]


def test_more_at_a_time_go_on_and_other_parameters_do_not(made: Made, catalogue: Catalogue) -> None:
    directory = made()
    with opened(directory, catalogue) as records:
        records.add(outcome(0))
    text = directory.run_file.read_text()
    directory.run_file.write_text(text.replace("concurrent: 1", "concurrent: 9"))
    with opened(directory, catalogue) as records:
        assert len(records.entries) == 1
    directory.run_file.write_text(text.replace("high: 0.01", "high: 0.02"))
    with pytest.raises(RunDirectoryError, match="expected the ledger of this run"):
        opened(directory, catalogue)
