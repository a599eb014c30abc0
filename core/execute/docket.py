"""Jobs that wait for a worker, and what is known of each: attempts, and whether it is suspected."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, final

from stillhouse.core.execute.attempts import Attempts
from stillhouse.core.execute.job import Job, Outcome


@final
class Docket:
    """Jobs in the order in which they are to begin; `retries` as of `Attempts`.

    A job is suspected after a worker died with it and others, or with it alone: it goes to a worker
    that has nothing else, so that the next death can be laid to it, or to nobody.
    """

    def __init__(self, retries: int) -> None:
        self._retries = retries
        self._waiting: deque[Job] = deque()
        self._suspects: set[int] = set()
        self._attempts: dict[int, Attempts] = {}

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def add(self, jobs: Sequence[Job]) -> None:
        """Jobs to begin after all others."""
        self._waiting.extend(jobs)

    def again(self, jobs: Sequence[Job]) -> None:
        """Jobs to begin again, before all others; nothing is held against them."""
        self._waiting.extendleft(reversed(jobs))

    def suspect(self, jobs: Sequence[Job]) -> None:
        """Jobs with which a worker died, nobody knows of which: each again, alone."""
        self._suspects.update(job.number for job in jobs)
        self.again(jobs)

    def withdraw(self) -> list[int]:
        """Forget all; their numbers."""
        numbers = [job.number for job in self._waiting]
        self._waiting.clear()
        return numbers

    def take(self, most: int, before: Job | None = None) -> list[Job]:
        """Up to `most` jobs for one worker, which has `before` still to do."""
        if not self._waiting or (before is not None and self._alone(before, self._waiting[0])):
            return []
        jobs = [self._waiting.popleft()]
        while self._waiting and len(jobs) < most and not self._alone(jobs[0], self._waiting[0]):
            jobs.append(self._waiting.popleft())
        return jobs

    def done(self, job: Job, answer: Mapping[str, Any], worker: str) -> Outcome:
        """A job came to its end, with a `result` or an `error` of its own, after `seconds`."""
        spent = self._attempts.pop(job.number, None)
        self._suspects.discard(job.number)
        return Outcome(
            job.number,
            answer.get("result"),
            answer["seconds"],
            answer.get("error", ""),
            worker,
            1 + (0 if spent is None else spent.count),
        )

    def charge(self, job: Job, reason: str, worker: str, seconds: float) -> Outcome | None:
        """A worker died of a job: it waits again, or this is its outcome."""
        spent = self._attempts.setdefault(job.number, Attempts(self._retries))
        spent.ended(reason)
        if not spent.spent:
            self.suspect([job])
            return None
        del self._attempts[job.number]
        self._suspects.discard(job.number)
        return Outcome(job.number, None, seconds, spent.error, worker, spent.count)

    def _alone(self, *jobs: Job) -> bool:
        """Whether one of them must be the only one of its worker."""
        return any(job.number in self._suspects for job in jobs)
