"""What a sweep's status says: all trials, those of before an interruption too."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ray.tune", reason="needs the extra ray")

from stillhouse.core.run.watching import Watching
from stillhouse.core.sweep.outcomes import Outcome
from stillhouse.core.sweep.recording import Recording
from stillhouse.core.sweep.records import Records
from stillhouse.core.sweep.trial import Trials


class Quiet:
    def start(self, label: str, total: int) -> None: ...

    def advance(self, steps: int = 1, note: str = "") -> None: ...

    def finish(self) -> None: ...


def trial() -> Any:
    return SimpleNamespace(is_finished=lambda: True, status="TERMINATED", RUNNING="RUNNING")


def test_the_last_trials_are_counted_and_those_of_an_earlier_try(
    tmp_path: Path, made: Any, catalogue: Any
) -> None:
    directory = made()
    trials = Trials(directory, catalogue)
    with directory, Records(directory, trials.section, trials.base) as records:
        records.add(Outcome(0, 0, {"a": 1}, error="diverged"))
        watching = Watching(tmp_path / "status.json", Quiet(), name="waves", kind="sweep")
        recording = Recording(records, watching, trials.section, each=False, clock=lambda: 0.0)
        with recording:
            recording.on_step_end(1, [trial(), trial(), trial()])
            assert watching.status().work[0].done == 1
        pace = watching.status().evaluations
        assert pace is not None
        assert (pace.done, pace.total, pace.failed) == (4, 4, 1)
