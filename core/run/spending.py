"""Spending the evaluations: propose, have them evaluated, write down, tell; in whatever order.

Two orders of learning. **In the order of proposals**: batch k is proposed with the results of the
batches up to k - 1 - `ahead`, no more and no less, so the outcome follows from seed, `batch` and
`ahead` alone; workers only wait for each other where one is `ahead` batches late. **As they come**:
every result is told at once, and what is proposed next depends on who was first.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, final, runtime_checkable

from stillhouse.core.evaluate import Progress, Silent
from stillhouse.core.execute import ExecutionError, Executor, Job, Outcome, WorkerState
from stillhouse.core.run.best_so_far import BestSoFar
from stillhouse.core.run.goals import Goals
from stillhouse.core.run.ledger import Entry, Ledger
from stillhouse.core.run.proposing import Batch, Proposal, Proposer, Screens
from stillhouse.core.search import Study

_POLL_S: Final = 0.5
_MOMENT_S: Final = 0.05
_WATCHED_S: Final = 0.25
_HOPELESS: Final = 5
"""Evaluations whose workers all died, and none that came to an end: it is not the candidates."""


@dataclass(frozen=True)
class Policy:
    """How evaluations are proposed; see `SearchSettings` and `ExecuteSection`."""

    evaluations: int
    batch: int = 10
    ahead: int = 0
    rungs: tuple[float, ...] = (0.0,)
    eta: int = 3
    deterministic: bool = True

    @property
    def window(self) -> int:
        """The most evaluations under way at a time."""
        return self.batch * (1 + self.ahead)


class Stop(Protocol):
    """Whether the user wants the search to end after what is `running`, which the search says."""

    running: int

    @property
    def asked(self) -> bool: ...


@runtime_checkable
class Watch(Protocol):
    """Who is told how it goes; see `core.run.watching`."""

    def evaluations(
        self,
        *,
        done: int,
        total: int,
        failed: int,
        repeated: int,
        workers: Sequence[WorkerState],
        dashboard: str = "",
    ) -> None: ...


@dataclass
class _Never:
    running: int = 0
    asked: bool = False


def spend(
    study: Study,
    executor: Executor,
    ledger: Ledger,
    goals: Goals,
    policy: Policy,
    *,
    screening: Screens | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
    stop: Stop | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Sequence[Entry]:
    """Spend the evaluations, every one on a candidate whose known costs meet the limits.

    What the ledger holds is not evaluated again: sampler and ladder are led through it, so they
    end where an undisturbed search ends. Where results are told as they come, all that it holds is
    told at once instead.

    Raises:
        KeyboardInterrupt: `stop` was asked for, and what was running is in the ledger.
        StillhouseError: of the executor, the sampler or the ledger; what ended before is kept.
    """
    proposer = Proposer(study, goals, policy.rungs, policy.eta, screening)
    told = _Told(executor, policy.evaluations, goals, progress or Silent(), watch, clock)
    desk = _Desk(executor, ledger, policy, told, stop or _Never())
    order = _in_order if policy.deterministic else _as_they_come
    order(proposer, desk, policy)
    told.now(due=True)
    desk.heed()
    return ledger.entries


def _in_order(proposer: Proposer, desk: _Desk, policy: Policy) -> None:
    untold: deque[Batch] = deque()
    left, empty = policy.evaluations, 0
    while left and empty <= policy.ahead:
        while len(untold) > policy.ahead and not untold[0].whole:
            desk.wait()
        if len(untold) > policy.ahead:
            proposer.learn(untold.popleft())
        desk.heed()
        batch = proposer.propose(min(policy.batch, left))
        desk.take(batch)
        untold.append(batch)
        left -= len(batch.proposals)
        empty = 0 if batch.proposals else empty + 1
    for batch in untold:
        while not batch.whole:
            desk.wait()
        proposer.learn(batch)


def _as_they_come(proposer: Proposer, desk: _Desk, policy: Policy) -> None:
    proposer.recall(desk.recalled())
    left = policy.evaluations - len(desk.known)
    while left or desk.under_way:
        while (count := min(policy.batch, left, desk.room - desk.under_way)) > 0:
            desk.heed()
            batch = proposer.propose(count)
            left -= len(batch.proposals)
            desk.take(batch)
            if not batch.proposals:
                break
        if not desk.under_way:
            return
        ended = desk.wait()
        if ended:
            proposer.learn(Batch.of(ended))


@final
class _Told:
    """What those who watch are told: never so often that it costs anything."""

    def __init__(
        self,
        executor: Executor,
        total: int,
        goals: Goals,
        progress: Progress,
        watch: Watch | None,
        clock: Callable[[], float],
    ) -> None:
        self._executor, self._total, self._best = executor, total, BestSoFar(goals)
        self._progress, self._watch, self._clock = progress, watch, clock
        self._done = self._failed = self.repeated = 0
        self._last = -math.inf

    def count(self, entry: Entry) -> None:
        """One more evaluation is done."""
        self._done += 1
        self._failed += not entry.values
        self._progress.advance(1, self._best.after(entry))

    def recall(self, entries: Sequence[Entry]) -> None:
        """Evaluations of an earlier search, perhaps a million."""
        self._done += len(entries)
        self._failed += sum(not entry.values for entry in entries)
        if entries:
            self._progress.advance(len(entries), self._best.among(entries))

    def now(self, *, due: bool = False) -> None:
        """Show the workers, if it is time to or `due`."""
        if self._watch is None or not (due or self._clock() - self._last >= _WATCHED_S):
            return
        self._last = self._clock()
        self._watch.evaluations(
            done=self._done,
            total=self._total,
            failed=self._failed,
            repeated=self.repeated,
            workers=self._executor.workers(),
            dashboard=self._executor.dashboard,
        )


@final
class _Desk:
    """Hands proposals to the executor, and what comes back to the ledger."""

    def __init__(
        self, executor: Executor, ledger: Ledger, policy: Policy, told: _Told, stop: Stop
    ) -> None:
        self._executor, self._ledger, self._policy = executor, ledger, policy
        self._told, self._stop = told, stop
        self._open: dict[int, tuple[Batch, int]] = {}
        self._number = 0
        self._seconds = 0.0  # of an evaluation, of late
        self._held: list[Outcome] = []
        # Deaths are written behind what came to an end: see `_hoped`.
        self._hopeful = bool(ledger.entries or ledger.ahead)

    @property
    def known(self) -> Sequence[Entry]:
        return self._ledger.entries

    @property
    def under_way(self) -> int:
        return len(self._open)

    @property
    def room(self) -> int:
        """How many evaluations to have under way where each is told as it comes.

        One for each worker, and behind these what all of them do in a moment: what is proposed
        later knows more.
        """
        capacity = self._executor.capacity
        spare = capacity * _MOMENT_S / self._seconds if self._seconds > 0.0 else 0.0
        return capacity + min(self._policy.batch, math.ceil(spare))

    def recalled(self) -> Sequence[Entry]:
        """What the ledger holds, counted as done."""
        self._ledger.close_gaps()
        self._told.recall(self._ledger.entries)
        return self._ledger.entries

    def take(self, batch: Batch) -> None:
        """Answer proposals from the ledger, or have them evaluated."""
        jobs = []
        for place, proposal in enumerate(batch.proposals):
            number, self._number = self._number, self._number + 1
            entry = self._ledger.kept(proposal.candidate.key, self._fidelity(proposal))
            if entry is not None:
                batch.settle(place, entry)
                self._told.count(entry)
                continue
            self._open[number] = (batch, place)
            jobs.append(Job(number, self._payload(proposal)))
        self._executor.submit(jobs)

    def heed(self) -> None:
        """Raise KeyboardInterrupt, with what runs in the ledger, once the user wants the end."""
        if self._stop.asked:
            self._finish()

    def wait(self) -> list[tuple[Proposal, Entry]]:
        """What ended by now, after a wait for the first; it is in the ledger and in its batch."""
        self.heed()
        self._stop.running = min(len(self._open), self._executor.capacity)
        self._told.now()
        return self._written(self._hoped(self._executor.finished(_POLL_S)))

    def _hoped(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Outcomes to be written: deaths of workers only once some evaluation came to an end.

        Before that they say nothing of their candidates: a limit is too low for any of them, or
        the machine is too small. Raises ExecutionError where that is so.
        """
        held = [*self._held, *outcomes]
        self._hopeful |= any(outcome.result is not None for outcome in outcomes)
        self._held = [] if self._hopeful else held
        if self._hopeful or not held:
            return held
        if len(held) < min(_HOPELESS, len(self._open)):
            return []
        raise ExecutionError(
            f"none of the first {len(held)} evaluations came to an end: {held[0].error}. Nothing "
            "of them is written down; raise the limits in the run's execute: section, use fewer "
            "workers, or look into workers.log, then resume"
        )

    def _finish(self) -> None:
        held, self._held = [outcome.number for outcome in self._held], []
        for number in (*self._executor.withdraw(), *held):
            del self._open[number]
        while self._open:
            self._told.now()
            ended = self._executor.finished(_POLL_S)
            # What cannot be judged any more is left to the search that goes on from here.
            sure = [one for one in ended if self._hopeful or one.result is not None]
            self._written(sure)
            for one in ended:
                self._open.pop(one.number, None)
        self._told.now(due=True)
        raise KeyboardInterrupt

    def _written(self, outcomes: Sequence[Outcome]) -> list[tuple[Proposal, Entry]]:
        pairs, written = [], len(self._ledger.entries)
        for i, outcome in enumerate(outcomes):
            batch, place = self._open.pop(outcome.number)
            # As they come, proposals that were lost with an interrupted search leave no gap.
            number = outcome.number if self._policy.deterministic else written + i
            pairs.append((batch, place, self._entry(number, batch.proposals[place], outcome)))
            self._told.repeated += outcome.attempts - 1
            self._seconds += (outcome.seconds - self._seconds) / 8
        if pairs:
            self._ledger.finish([entry for _, _, entry in pairs])
        for batch, place, entry in pairs:
            batch.settle(place, entry)
            self._told.count(entry)
        return [(batch.proposals[place], entry) for batch, place, entry in pairs]

    def _entry(self, number: int, proposal: Proposal, outcome: Outcome) -> Entry:
        one, result = proposal.candidate, outcome.result or {}
        error = outcome.error or str(result.get("error", ""))
        facts = (one.key, one.configuration, one.costs, dict(result.get("values", {})))
        return Entry(number, *facts, outcome.seconds, error, self._fidelity(proposal))

    def _payload(self, proposal: Proposal) -> dict[str, Any]:
        share = self._policy.rungs[proposal.rung]
        return {"configuration": proposal.candidate.configuration, "share": share}

    def _fidelity(self, proposal: Proposal) -> float | None:
        rungs = self._policy.rungs
        return rungs[proposal.rung] if len(rungs) > 1 else None
