"""Ctrl-C and SIGTERM: asked once, what is under way is finished; asked twice, it ends at once."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final, Self, final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_SAME_S: Final = 0.1
"""`timeout` and others send what ends a command to it and to its group: twice in a moment."""


@final
class Stopping:
    """Turns the first SIGINT or SIGTERM into `asked`, and a second one into KeyboardInterrupt.

    Hold it with `with` around the loop that polls `asked`; the handlers that were there come back
    afterwards. A signal that is ignored stays so (a shell does that to what runs in the
    background). Does nothing outside the main thread, where Python handles no signals. Inside
    another one, both are asked. What takes over the process's signals (Ray does when it starts)
    must have done so before.

    `say` is told what happens, once; it runs inside a signal handler, so it may take no lock that
    the interrupted code may hold. What it raises for want of an output is dropped.
    """

    def __init__(
        self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say, self._clock = say, clock
        self.running = 0
        """Evaluations under way, for what is said; kept by the loop."""
        self._before: dict[signal.Signals, Any] = {}
        self._asked_at: float | None = None

    @property
    def asked(self) -> bool:
        """Whether nothing new is to be begun."""
        return self._asked_at is not None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for one in _SIGNALS:
                if (before := signal.getsignal(one)) is not signal.SIG_IGN:
                    self._before[one] = before
                    signal.signal(one, self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        _restore(self._before)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        now = self._clock()
        if self._asked_at is not None:
            if now - self._asked_at < _SAME_S:
                return
            raise KeyboardInterrupt
        self._ask(now)
        with suppress(OSError, RuntimeError):
            self._say(_saying(self.running))

    def _ask(self, now: float) -> None:
        self._asked_at = now
        outer = getattr(self._before.get(signal.SIGINT), "__self__", None)
        if isinstance(outer, Stopping) and not outer.asked:
            outer._ask(now)


def _saying(running: int) -> str:
    ending = "finishing what is running"
    if running:
        ending = f"finishing {running} running evaluation{'s' if running > 1 else ''}"
    return f"{ending}; press Ctrl-C again to stop at once"


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt inside, as Ctrl-C does; outside the main thread, nothing."""
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        held = signal.getsignal(signal.SIGTERM)
        if held is not signal.SIG_IGN:
            before[signal.SIGTERM] = held
            signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        _restore(before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _restore(before: dict[signal.Signals, Any]) -> None:
    for one, handler in before.items():
        # None is a handler that was not set from Python; it cannot be set again.
        signal.signal(one, handler if handler is not None else signal.SIG_DFL)
    before.clear()
