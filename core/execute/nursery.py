"""The driver's side of the zygote: start it, ask it for workers, end it."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, final

from stillhouse.core.execute.executor import ExecutionError
from stillhouse.core.execute.job import Work
from stillhouse.core.execute.wire import Channel, Message, awaited, framed

_PATIENCE_S: Final = 5.0
_ZYGOTE: Final = "stillhouse.core.execute.zygote"


def shared(work: Work) -> bool:
    """Whether the work may be opened once, before workers are forked.

    CUDA does not survive a fork, nor do the threads of OpenMP once several have run; elsewhere
    than on Linux system libraries do not either.
    """
    on_cpu = str(work.spec.get("device", "cpu")) == "cpu"
    return sys.platform == "linux" and on_cpu and work.threads == 1


@final
class Nursery:
    """One zygote, alone in its session; workers come and go through it.

    `opened` once it takes requests. Raises ExecutionError where no process can be started.
    """

    def __init__(self, work: Work, words: int) -> None:
        mine, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            command = [sys.executable, "-P", "-u", "-m", _ZYGOTE, str(number), str(os.getpid())]
            try:
                self.process = subprocess.Popen(  # noqa: S603 - our own module
                    command, stdin=subprocess.DEVNULL, stdout=words, stderr=words,
                    pass_fds=[number], start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                mine.close()
                raise ExecutionError(
                    f"expected to start a process for the workers, got: {error.strerror}; end "
                    "other processes, or use execute: {kind: inline}"
                ) from error
        # All of it, however large; one that has ended already shows in what comes back.
        with suppress(OSError):
            mine.sendall(framed(_said(work)))
        self.channel, self.opened = Channel(mine), False

    def bear(self, life: int, connection: socket.socket, tickets: int) -> None:
        """Ask for a worker at the other end of these."""
        self._ask({"bear": life}, connection.fileno(), tickets)

    def end(self, life: int) -> None:
        """Ask for a worker's end, and that of all processes it started."""
        self._ask({"end": life})

    def received(self) -> list[Message]:
        return self.channel.received()

    def close(self) -> int:
        """End the zygote and its workers at once; its exit code as `subprocess` gives it."""
        self.channel.close()
        if not self.opened:
            return self.kill()
        try:
            return self.process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End a zygote that does not listen; the system then ends its workers."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()

    def _ask(self, request: Mapping[str, Any], *ends: int) -> None:
        """Whether it was heard shows in what comes back: a zygote may end at any time."""
        connection = self.channel.connection
        if not awaited(connection, select.POLLOUT, _PATIENCE_S):
            self.kill()
        with suppress(OSError):
            socket.send_fds(connection, [framed(request)], ends)


def _said(work: Work) -> dict[str, Any]:
    return {
        "opener": work.opener,
        "spec": dict(work.spec),
        "threads": work.threads,
        "path": sys.path,
        "shared": shared(work),
    }
