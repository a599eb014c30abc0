"""Who begins a job: a ticket that the worker takes, or that is taken back, never both."""

from __future__ import annotations

import os
import select
import struct
from contextlib import suppress
from typing import final

_NUMBER = struct.Struct(">q")


def taken(end: int) -> int | None:
    """The next ticket of a pipe, waited for; None when no more can come."""
    arrival = select.poll()
    arrival.register(end, select.POLLIN)
    while True:
        arrival.poll()
        with suppress(BlockingIOError):
            ticket = os.read(end, _NUMBER.size)
            return _NUMBER.unpack(ticket)[0] if ticket else None


@final
class Tickets:
    """Numbers of jobs that a worker may begin, in order.

    A pipe of which this side keeps both ends: the system gives each ticket to one reader, so a job
    that was handed to a worker early is taken back without asking it, or is surely begun.
    """

    def __init__(self) -> None:
        self.end, self._way_in = os.pipe()
        # Of both readers, as they share what was opened: none may hold up the other.
        os.set_blocking(self.end, False)

    def give(self, number: int) -> None:
        os.write(self._way_in, _NUMBER.pack(number))

    def take_back(self) -> int | None:
        """The first ticket that the worker has not taken; None where it took all."""
        with suppress(BlockingIOError):
            return int(_NUMBER.unpack(os.read(self.end, _NUMBER.size))[0])
        return None

    def close(self) -> None:
        os.close(self.end)
        os.close(self._way_in)
