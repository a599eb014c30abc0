"""What the driver writes down of Tune's results as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self, final

from ray.tune import Callback

from stillhouse.core.config.sweep import SweepSection
from stillhouse.core.evaluate.context import Progress
from stillhouse.core.execute import WorkerState
from stillhouse.core.run.watching import Watching
from stillhouse.core.sweep.outcomes import Outcome, known
from stillhouse.core.sweep.records import Records
from stillhouse.core.sweep.space import goals_of
from stillhouse.core.sweep.trainable import FAULT, OUTCOME
from stillhouse.core.typed import typed

SWEEP: Final = "sweep"
"""The piece of work that the trials are."""


class StoppedError(Exception):
    """Ends Tune's loop; `Recording.raise_fault` says why."""


@final
class Recording(Callback):
    """Writes every outcome to the ledger and moves the progress on; `each` for every rung."""

    def __init__(
        self,
        records: Records,
        progress: Progress,
        section: SweepSection,
        *,
        each: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        rungs = len(section.budget.rungs) if section.budget and each else 1
        self._records, self._progress, self._clock = records, progress, clock
        self._trials, self._total = section.trials, section.trials * rungs
        self._since: dict[str, float] = {}
        self._seen: Sequence[Any] = ()
        # Without a scheduler, trials that are done are not proposed to Tune again.
        told = records.entries if section.scheduler.name == "none" else ()
        self._before = len({entry.key for entry in told})
        self._told_at, goals = clock(), goals_of(section)
        self._goals, self._each, self._best = goals, each, float("nan")
        self.fault: Mapping[str, str] | None = None

    def __enter__(self) -> Self:
        self._progress.start(SWEEP, self._total)
        if self._before:
            self._progress.advance(self._before)
        return self

    def __exit__(self, *_: object) -> None:
        self._tell([])
        self._progress.finish()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune stores its callbacks, and what it stores is not read again."""
        return {}

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: Mapping[str, Any], **info: Any
    ) -> None:
        if FAULT in result:
            self.fault = result[FAULT]
            raise StoppedError(self.fault["text"])
        found = typed(Outcome, result[OUTCOME])
        self._records.add(found)
        if self._each:
            self._progress.advance(1, self._note(found))
        elif values := self._note(found):
            self._progress.advance(0, values)

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        if not self._each:
            self._progress.advance(1)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        config = trial.config.get("point", trial.config)
        names = (name for name in config if name not in ("number", "sweep"))
        error = f"its worker died {trial.num_failures} times"
        number = int(str(trial))
        self._records.add(Outcome(number, 0, {name: config[name] for name in names}, error=error))
        self._progress.advance(1)

    def on_step_end(self, iteration: int, trials: Sequence[Any], **info: Any) -> None:
        """Tell whoever watches which trials run, at most once a second."""
        now, self._seen = self._clock(), trials
        if now - self._told_at >= 1.0:
            self._told_at = now
            self._tell([self._state(one, now) for one in trials if one.status == one.RUNNING])

    def _tell(self, running: Sequence[WorkerState]) -> None:
        if isinstance(self._progress, Watching):
            # A trial that ended while the sweep was killed may be told by the ledger and by Tune.
            ended = self._before + sum(trial.is_finished() for trial in self._seen)
            done = min(ended, self._trials)
            failed = len({entry.key for entry in self._records.entries if entry.error})
            self._progress.evaluations(
                done=done, total=self._trials, failed=failed, repeated=0, workers=running
            )

    def _state(self, trial: Any, now: float) -> WorkerState:
        since = self._since.setdefault(str(trial), now)
        return WorkerState(f"trial {trial}", trial.node_ip or "", int(str(trial)), now - since)

    def raise_fault(self) -> None:
        """Raise what ended the sweep, if a machine's fault did."""
        if self.fault is not None:
            from stillhouse.core.sweep.running import SweepError

            raise SweepError(f"{self.fault['text']} ({self.fault['kind']} in a trial)")

    def _note(self, found: Outcome) -> str:
        values = known(found)
        first = self._goals.objectives[0]
        if not values or self._goals.violation(values) > 0 or first.name not in values:
            return ""
        value = values[first.name]
        if not first.sign * value >= first.sign * self._best:
            self._best = value
        return f"best {first.name} {self._best:.4f}"
