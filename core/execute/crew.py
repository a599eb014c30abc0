"""The processes of a pool: born on demand, watched, ended, replaced; knows no job's meaning."""

from __future__ import annotations

import select
import selectors
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final, final

from stillhouse.core.errors import StillhouseError
from stillhouse.core.execute.attempts import left, signalled
from stillhouse.core.execute.executor import ExecutionError
from stillhouse.core.execute.job import Work
from stillhouse.core.execute.nursery import Nursery
from stillhouse.core.execute.raised import retold
from stillhouse.core.execute.seat import Seat, Task
from stillhouse.core.execute.wire import Message, awaited
from stillhouse.core.execute.words import Words

Clock = Callable[[], float]

_TRIES: Final = 3
_GONE_S: Final = 2.0


@dataclass(frozen=True)
class Answer:
    """A worker's message about the job it runs."""

    seat: Seat
    message: Message


@dataclass(frozen=True)
class Death:
    """A worker's process is gone, with the task that it had begun and those that it had not.

    `seconds` since it began that. `charged` unless it merely went with the zygote.
    """

    worker: str
    dead: Task | None
    unbegun: Sequence[Task]
    seconds: float
    reason: str
    charged: bool


@dataclass(frozen=True)
class Refusal:
    """No worker can be had."""

    error: StillhouseError


Event = Answer | Death | Refusal


@final
class Crew:
    """Seats, and the zygote that fills them.

    A zygote that dies is replaced, as is a worker that dies before it begins anything. After three
    in a row of the first, or three a seat of the second, without an answer in between, it is a
    `Refusal`.
    """

    def __init__(self, work: Work, workers: int, words: Words, clock: Clock) -> None:
        self.seats = [Seat(number) for number in range(1, workers + 1)]
        self._work, self._words, self._clock = work, words, clock
        self._selector = selectors.DefaultSelector()
        self._nursery: Nursery | None = None
        self._lives, self._zygotes_lost, self._workers_lost = count(1), 0, 0

    def call(self, seat: Seat) -> None:
        """Have an empty seat filled. Raises ExecutionError where no process can be started."""
        seat.called = True
        if self._nursery is None:
            self._words.mark()
            self._nursery = Nursery(self._work, self._words.file)
            connection = self._nursery.channel.connection
            self._selector.register(connection, selectors.EVENT_READ, self._nursery)
        elif self._nursery.opened:
            self._bear(self._nursery, seat)

    def hand(self, seat: Seat, task: Task, now_s: float) -> None:
        """Give a worker a task, to begin when it has ended the one that runs."""
        seat.hand(task, now_s)
        self._watch(seat)

    def end(self, seat: Seat, reason: str, now_s: float) -> None:
        """End a seat's process, for this reason; its death is met by `events`."""
        seat.doom, seat.doomed_s = reason, now_s
        if self._nursery is not None:
            self._nursery.end(seat.life)

    def abandon(self) -> None:
        """End a zygote that does not do what it is asked, and with it all workers."""
        if self._nursery is not None:
            self._nursery.kill()

    def events(self, wait_s: float | None) -> Iterator[Event]:
        """What happened since, after a wait for the first."""
        for key, _ in self._selector.select(wait_s):
            if isinstance(key.data, Nursery):
                yield from self._heard(key.data)
            elif key.data.life and key.data.channel.connection is key.fileobj:
                yield from self._read(key.data)

    def close(self) -> None:
        """End all processes and empty the seats."""
        if self._nursery is not None:
            self._nursery.close()
        for seat in self.seats:
            seat.leave()
        self._selector.close()

    def _bear(self, nursery: Nursery, seat: Seat) -> None:
        try:
            connection, tickets = seat.take(next(self._lives))
        except OSError as error:
            raise ExecutionError(
                f"expected to open three files for {seat.name}, got: {error.strerror}; allow more "
                "with ulimit -n, or use fewer workers"
            ) from error
        with connection:
            nursery.bear(seat.life, connection, tickets)
        self._selector.register(seat.channel.connection, selectors.EVENT_READ, seat)

    def _watch(self, seat: Seat) -> None:
        """Wait for what a worker says, and for room where it was sent more than its socket holds.

        One that has closed its end is waited for no more: the zygote tells why it did.
        """
        connection = seat.channel.connection
        listened = self._selector.get_map().get(connection)
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if seat.channel.unsent else 0)
        if listened is not None and seat.channel.over:
            self._selector.unregister(connection)
        elif listened is not None and listened.events != wanted:
            self._selector.modify(connection, wanted, seat)

    def _read(self, seat: Seat) -> Iterator[Event]:
        seat.channel.flush()
        for message in seat.channel.received():
            if "ready" in message:
                seat.ready = True
            elif "number" in message:
                self._zygotes_lost = self._workers_lost = 0
                yield Answer(seat, message)
            else:
                yield Refusal(_unopened(message))
        self._watch(seat)

    def _heard(self, nursery: Nursery) -> Iterator[Event]:
        for message in nursery.channel.received():
            if "opened" in message:
                nursery.opened = True
                for seat in self.seats:
                    if seat.called:
                        self._bear(nursery, seat)
            elif "born" in message:
                self._living(message["born"]).pid = message["pid"]
            elif "ended" in message:
                yield from self._died(self._living(message["ended"]), _way(message))
            else:
                self._forget(nursery)
                yield Refusal(_unopened(message))
                return
        if nursery.channel.over:
            yield from self._lost(nursery)

    def _living(self, life: int) -> Seat:
        return next(seat for seat in self.seats if seat.life == life)

    def _died(self, seat: Seat, way: str) -> Iterator[Event]:
        happened = seat.doom or f"was {way}"
        yield from self._gone(seat, seat.doom or way, charged=True)
        if self._workers_lost >= _TRIES * len(self.seats):
            yield Refusal(self._hopeless(f"a worker {happened}", self._workers_lost))

    def _lost(self, nursery: Nursery) -> Iterator[Event]:
        """The zygote is gone and all workers with it, no job's fault but of one to be ended."""
        way = _way({"code": self._forget(nursery)})
        for seat in self.seats:
            if seat.life:
                yield from self._gone(seat, seat.doom or way, charged=bool(seat.doom))
        self._zygotes_lost += 1
        if self._zygotes_lost >= _TRIES:
            what = f"the process that opens it was {way}"
            yield Refusal(self._hopeless(what, self._zygotes_lost))

    def _gone(self, seat: Seat, reason: str, *, charged: bool) -> Iterator[Event]:
        """All that a worker said before it died, and its death."""
        connection = seat.channel.connection
        while not seat.channel.over and awaited(connection, select.POLLIN, _GONE_S):
            yield from self._read(seat)
        seat.channel.over = True
        self._watch(seat)
        seconds = self._clock() - seat.began_s
        dead, unbegun = seat.leave()
        self._workers_lost += charged and dead is None
        yield Death(seat.name, dead, unbegun, seconds, reason, charged)

    def _forget(self, nursery: Nursery) -> int:
        """No more zygote, so nobody is on the way; its exit code."""
        self._nursery = None
        for seat in self.seats:
            seat.called = False
        self._selector.unregister(nursery.channel.connection)
        return nursery.close()

    def _hopeless(self, what: str, times: int) -> ExecutionError:
        return ExecutionError(
            f"expected workers for '{self._work.opener}', got: {what}, {times} times "
            f"without a result in between; {self._words.last()}\n"
            "What was evaluated is kept: mend this and resume"
        )


def _way(message: Message) -> str:
    """How a process ended."""
    code = message.get("code", 0)
    return str(message.get("error", signalled(-code) if code < 0 else left(code)))


def _unopened(message: Message) -> StillhouseError:
    """Why a bench cannot be opened."""
    if "raised" in message:
        return retold(message["raised"])
    return ExecutionError(
        f"expected every worker to open its bench, got: {message['unopened']}; what was evaluated "
        "is kept: mend this and resume"
    )
