"""What a user sees while another process makes the artefact that this one needs."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Final, Self, final

from stillhouse.core.evaluate.context import Progress

_QUIET_S: Final = 1.0
_log = logging.getLogger(__name__)


@final
class Told:
    """Says on a `Progress` that an artefact is waited for, once that takes a second."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress, self._name, self._open = progress, name, False

    def __call__(self, seconds: float) -> None:
        if seconds < _QUIET_S:
            return
        if not self._open:
            self._open = True
            _log.info("waiting for %s, which another process makes", self._name)
            self._progress.start(f"waiting for {self._name}", 1)
        self._progress.advance(0, f"another process makes it ({seconds:.0f} s)")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.over()

    def over(self) -> None:
        """Nothing is waited for any more."""
        if self._open:
            self._open = False
            self._progress.advance(1)
            self._progress.finish()
