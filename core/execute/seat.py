"""A worker as the driver sees it: the way to its process, and the jobs it was handed."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Final, final

from stillhouse.core.execute.attempts import Attempts
from stillhouse.core.execute.tickets import Tickets
from stillhouse.core.execute.wire import Channel

_MOST_AHEAD_BYTES: Final = 1 << 16


@dataclass(eq=False)
class Task:
    """A job on its way through attempts; `order` is the place at which it was submitted."""

    order: int
    number: int
    frame: bytes
    attempts: Attempts


@final
class Seat:
    """One of the workers' places, empty until a process takes it and after that has died.

    It holds the task that runs and, behind it, the one to begin next. `life` tells this place's
    processes, and all others', apart. `doom` is why the present one is being ended.
    """

    def __init__(self, number: int) -> None:
        self.name, self.deaths = f"worker {number}", 0
        self.running: Task | None = None
        self.behind: Task | None = None
        self.began_s = self.behind_since_s = 0.0
        self._channel: Channel | None = None
        self._vacate()

    def _vacate(self) -> None:
        self.life = self.pid = 0
        self.called = self.ready = False
        self.doom, self.doomed_s = "", 0.0
        self.weighed_s = self.told_s = float("-inf")
        self.private_bytes = 0

    @property
    def channel(self) -> Channel:
        """The way to the process. Raises RuntimeError where there is none."""
        if self._channel is None:
            raise RuntimeError(f"{self.name} has no process")
        return self._channel

    @property
    def idle(self) -> bool:
        return self.ready and self.running is None and not self.doom

    def take(self, life: int) -> tuple[socket.socket, int]:
        """A process is on its way; what to give it: its end of the channel, and of the tickets."""
        mine, theirs = socket.socketpair()
        self.life, self._channel, self.tickets = life, Channel(mine), Tickets()
        return theirs, self.tickets.end

    def hand(self, task: Task, now_s: float) -> None:
        """A task to begin now, or after the one that runs."""
        self.channel.send(task.frame)
        self.tickets.give(task.number)
        if self.running is None:
            self.running, self.began_s = task, now_s
        else:
            self.behind, self.behind_since_s = task, now_s

    def takes_ahead(self, task: Task, now_s: float, patience_s: float) -> bool:
        """Whether a task may wait behind the one that runs, as that should end soon."""
        return (
            self.running is not None
            and self.behind is None
            and not self.doom
            and len(task.frame) <= _MOST_AHEAD_BYTES
            and now_s - self.began_s <= patience_s
        )

    def finish(self, number: int, now_s: float) -> Task:
        """The task of this number has ended; the one behind it runs."""
        ended, self.running, self.behind = self.running, self.behind, None
        if ended is None or ended.number != number:
            raise RuntimeError(f"{self.name} answered job {number}, which it was not given")
        self.began_s = now_s
        return ended

    def take_back(self) -> Task | None:
        """A task that it has not begun, if there are two of which it has begun one at most."""
        if self.running is None or self.behind is None:
            return None
        number = self.tickets.take_back()
        if number is None:
            return None
        task = self.behind
        if number == self.running.number:  # it has not begun even that one
            task, self.running = self.running, self.behind
        self.behind = None
        return task

    def leave(self) -> tuple[Task | None, list[Task]]:
        """The process is gone: the task that it had begun, and those that it had not."""
        left = [task for task in (self.running, self.behind) if task is not None]
        untaken = set[int]()
        if self._channel is not None:
            while (number := self.tickets.take_back()) is not None:
                untaken.add(number)
            self._channel.close()
            self.tickets.close()
            self.deaths += 1
        self.running = self.behind = self._channel = None
        self._vacate()
        dead = next((task for task in left if task.number not in untaken), None)
        return dead, [task for task in left if task is not dead]
