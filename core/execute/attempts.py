"""Attempts at a job: what ends one, how many there are, and what is said when all are spent."""

from __future__ import annotations

import signal
from typing import final

OUT_OF_MEMORY = "ran out of memory; use fewer workers, or smaller models"


def signalled(number: int) -> str:
    """Why an attempt ended whose worker was ended by a signal."""
    try:
        name = f" ({signal.Signals(number).name})"
    except ValueError:
        name = ""
    hint = "; if memory was short, use fewer workers" if number == signal.SIGKILL else ""
    return f"ended by signal {number}{name}{hint}"


def left(code: int) -> str:
    """Why an attempt ended whose worker left of its own."""
    return f"ended with exit code {code}"


def hung(timeout_s: float) -> str:
    """Why an attempt ended that took too long."""
    return f"took longer than execute.timeout_s allows ({timeout_s:g} s)"


def overgrown(memory_mb: float) -> str:
    """Why an attempt ended that took too much memory."""
    return f"took more memory than execute.memory_mb allows ({memory_mb:g} MB)"


@final
class Attempts:
    """The attempts at one job that ended with their worker; `retries` more than one are made."""

    def __init__(self, retries: int) -> None:
        self._most, self._reasons = retries + 1, list[str]()

    @property
    def count(self) -> int:
        """How many came to an end so far."""
        return len(self._reasons)

    @property
    def spent(self) -> bool:
        """Whether no more are to be made."""
        return self.count >= self._most

    def ended(self, reason: str) -> None:
        """One more ended, and its worker with it."""
        self._reasons.append(reason)

    @property
    def error(self) -> str:
        """What the job's outcome says once they are spent; the same in every such run."""
        times = "once" if self.count == 1 else f"{self.count} times"
        reasons = ", then ".join(dict.fromkeys(self._reasons))
        return f"its worker died {times} during this job: {reasons}"
