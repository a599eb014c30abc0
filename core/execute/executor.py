"""The interface of everything that evaluates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from stillhouse.core.errors import StillhouseError
from stillhouse.core.execute.job import Job, Outcome


class ExecutionError(StillhouseError):
    """Workers cannot be had, or are all gone; says why and how to go on. Nothing is lost."""


@dataclass(frozen=True)
class WorkerState:
    """A worker as others see it: `job` is the number it works on, None when it waits.

    `since_s` are the seconds since that began. `place` is the host or node it runs on, `deaths`
    how many workers before it died in its place.
    """

    name: str
    place: str = ""
    job: int | None = None
    since_s: float = 0.0
    deaths: int = 0
    memory_bytes: int = 0


class Executor(ABC):
    """Takes jobs, gives outcomes in whatever order they end. One thread uses it.

    A worker that dies, hangs past the time limit or takes more memory than allowed costs its job an
    attempt; the job is begun again elsewhere, and after `retries` more attempts ends with an error.
    Jobs that merely waited on that worker lose no attempt. A `StillhouseError` of a bench is raised
    here, by `finished`, as the same kind of error with the same text.
    """

    dashboard: str = ""
    """Address of a page that shows the workers, where there is one."""

    @property
    @abstractmethod
    def capacity(self) -> int:
        """How many jobs keep all workers busy: submitting more only queues them."""

    @abstractmethod
    def submit(self, jobs: Sequence[Job]) -> None:
        """Take jobs; begins them in order as workers are free. Never blocks for long."""

    @abstractmethod
    def finished(self, timeout_s: float | None = None) -> list[Outcome]:
        """What ended since the last call; waits for the first of them up to `timeout_s`.

        Empty when the time is over or nothing is under way. Raises ExecutionError, and what a
        bench raised.
        """

    @abstractmethod
    def withdraw(self) -> list[int]:
        """Forget the jobs that no worker has begun; returns their numbers."""

    @abstractmethod
    def workers(self) -> Sequence[WorkerState]:
        """Every worker as it is now."""

    @abstractmethod
    def close(self) -> None:
        """End the workers at once, whatever they do. Leaves no process behind."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
