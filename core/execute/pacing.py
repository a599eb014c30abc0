"""How many jobs a worker is sent at a time, where every call to it costs about a millisecond."""

from __future__ import annotations

from collections import deque
from typing import Final, final

_SHORT_S: Final = 0.05
_CALL_S: Final = 0.02
_MOST: Final = 100
_SEEN: Final = 32


@final
class Pace:
    """Watches how long jobs take: long ones go one at a time, short ones several in a call.

    Only while none of the last jobs was long does a worker get a second call behind its first, so
    that hardly ever a job waits behind a long one while another worker is idle.
    """

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=_SEEN)

    def took(self, seconds: float) -> None:
        """A job was done in that time."""
        self._recent.append(seconds)

    @property
    def calls(self) -> int:
        """How many calls a worker has at a time: the running one, and perhaps a queued one."""
        return 2 if self._recent and max(self._recent) < _SHORT_S else 1

    def jobs(self, waiting: int, workers: int) -> int:
        """How many of the `waiting` jobs make up a call, so that all workers have some."""
        if self.calls == 1:
            return 1
        mean_s = sum(self._recent) / len(self._recent)
        fits = _CALL_S / max(mean_s, _CALL_S / _MOST)
        return max(1, min(int(fits), waiting // (2 * workers)))

    @property
    def depth(self) -> int:
        """How many jobs keep one worker busy."""
        return self.calls * self.jobs(_MOST * 2, 1)
