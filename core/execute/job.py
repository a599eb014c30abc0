"""What is sent to a worker, and what comes back: plain data both ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Bench = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Evaluates a job's payload; both sides are what JSON can hold.

It answers for everything that a candidate can be blamed for, and raises what it cannot be blamed
for: a `StillhouseError` ends the whole search (a full disk, data that differ, another plugin), a
`MemoryError` ends this attempt as the death of a worker does, and any other exception is the job's
own failure.
"""


@dataclass(frozen=True)
class Work:
    """How a worker opens its bench: `opener` ("module:function") is called with `spec`.

    `spec` is what JSON can hold. `files` are needed under these names where the workers do not
    share a file system with this process: an executor that starts workers elsewhere brings them,
    and tells the opener their folder as `spec["brought"]` (absent where nothing was brought).
    `threads` are the CPU threads of one worker, set before the bench is opened.
    """

    opener: str
    spec: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    threads: int = 1


@dataclass(frozen=True)
class Job:
    """One evaluation to do; `number` is its own among all that an executor is given."""

    number: int
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """How a job ended, after however many attempts.

    `result` is what the bench returned, None where no attempt came to an end; `error` then says
    why. `seconds` are those of the last attempt, on the worker's clock.
    """

    number: int
    result: Mapping[str, Any] | None
    seconds: float
    error: str = ""
    worker: str = ""
    attempts: int = 1
