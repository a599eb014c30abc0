"""Leases on work, for machines that share nothing but files: who makes what, for how long."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final, Protocol, final

from stillhouse.core import plain_json
from stillhouse.core.errors import StoreError
from stillhouse.core.evaluate.artefact_locks import Waiting

_LARGEST: Final = 4096
_BEATS: Final = 4
"""Heartbeats within the time after which a lease is over."""


class Files(Protocol):
    """Small files that every machine sees; each method raises StoreError."""

    def read(self, name: str, largest: int) -> bytes | None: ...
    def write(self, name: str, content: bytes) -> None: ...
    def remove(self, name: str) -> None: ...


@final
@dataclass(frozen=True)
class Leases:
    """Files with their holder's token and a heartbeat.

    A lease whose beat has not changed for `lease_s` seconds on the waiting one's own clock is over:
    its holder died. Leases are advice. Two that ask within `settle_s` of each other may both get
    one, and a holder that was halted for `lease_s` loses it unawares: both then do the same work.
    """

    files: Files
    lease_s: float
    settle_s: float
    clock: Callable[[], float]
    sleep: Callable[[float], object]

    @contextmanager
    def held(self, name: str, there: Callable[[], bool], waiting: Waiting) -> Iterator[None]:
        """Hold a lease, or none when what it is for is `there` before one is free."""
        token = secrets.token_hex(8)
        if not self._awaited(name, token, there, waiting):
            yield
            return
        over = threading.Event()
        beat = threading.Thread(target=self._beat, args=(name, token, over), daemon=True)
        beat.start()
        try:
            yield
        finally:
            over.set()
            beat.join()
            self._let_go(name, token)

    def _awaited(self, name: str, token: str, there: Callable[[], bool], waiting: Waiting) -> bool:
        began = since = self.clock()
        last: bytes | None = None
        while not there():
            found, now = self.files.read(name, _LARGEST), self.clock()
            if found is not None and found != last:
                last, since = found, now
            if found is None or now - since > self.lease_s:
                if self._taken(name, token):
                    return True
                continue
            waiting(now - began)
            self.sleep(min(2 * self.settle_s, self.lease_s / _BEATS))
        return False

    def _taken(self, name: str, token: str) -> bool:
        """Whether the lease is still ours when others that asked at once have written theirs."""
        self.files.write(name, _content(token, 0))
        self.sleep(self.settle_s)
        return _holder(self.files.read(name, _LARGEST)) == token

    def _beat(self, name: str, token: str, over: threading.Event) -> None:
        number = 0
        while not over.wait(self.lease_s / _BEATS):
            number += 1
            # A beat that is missed costs at most that another does the same work.
            with suppress(StoreError):
                self.files.write(name, _content(token, number))

    def _let_go(self, name: str, token: str) -> None:
        """A lease that cannot be removed runs out."""
        with suppress(StoreError):
            if _holder(self.files.read(name, _LARGEST)) == token:
                self.files.remove(name)


def _content(token: str, number: int) -> bytes:
    return f'{{"holder": "{token}", "beat": {number}}}'.encode()


def _holder(content: bytes | None) -> str:
    try:
        return str(plain_json.parsed(content or b"{}")["holder"])
    except (ValueError, KeyError, TypeError):
        return ""
