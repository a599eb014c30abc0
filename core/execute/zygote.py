"""The process that opens the work once and forks workers from it: they share its memory.

Started by `core.execute.nursery`, in a session of its own: a terminal's Ctrl-C does not reach it.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import selectors
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NoReturn, final

from stillhouse.core.errors import StillhouseError
from stillhouse.core.execute.job import Bench
from stillhouse.core.execute.opening import opened, set_threads
from stillhouse.core.execute.parentage import die_first, die_with
from stillhouse.core.execute.raised import told
from stillhouse.core.execute.wire import Frames, framed, messages
from stillhouse.core.execute.worker import serve

_PIECE: Final = 1 << 16
_MOST_ENDS: Final = 64


@final
class _Zygote:
    """Forks a worker where the driver asks for one, ends it where asked, and tells of each end."""

    def __init__(self, driver: socket.socket, work: Mapping[str, Any], bench: Bench | None) -> None:
        self._driver, self._work, self._bench = driver, work, bench
        self._frames, self._ends = Frames(), list[int]()
        self._children: dict[int, int] = {}
        self._alarm, self._bell = socket.socketpair()
        for end in (self._alarm, self._bell):
            end.setblocking(False)

    def run(self) -> None:
        """Until the driver closes its end."""
        signal.set_wakeup_fd(self._bell.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with selectors.DefaultSelector() as selector:
            selector.register(self._driver, selectors.EVENT_READ)
            selector.register(self._alarm, selectors.EVENT_READ)
            self._selector, going = selector, True
            while going:
                for key, _ in selector.select():
                    if key.fileobj is self._alarm:
                        self._alarm.recv(_PIECE)
                    else:
                        going = self._heed()
                self._reap()
        self._end(list(self._children))
        for pid in self._children:
            os.waitpid(pid, 0)

    def _heed(self) -> bool:
        """Do what the driver asks; whether there is one still."""
        piece, ends, _, _ = socket.recv_fds(self._driver, _PIECE, _MOST_ENDS)
        self._ends += ends
        for message in self._frames.fed(piece):
            if "bear" in message:
                self._bear(message["bear"], self._ends.pop(0), self._ends.pop(0))
            else:
                self._end([pid for pid, who in self._children.items() if who == message["end"]])
        return bool(piece)

    def _bear(self, who: int, connection: int, tickets: int) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            self._tell({"ended": who, "error": f"cannot be forked: {error.strerror}"})
        else:
            if not pid:
                self._become(connection, tickets)
            with suppress(OSError):
                os.setpgid(pid, pid)
            self._children[pid] = who
            self._tell({"born": who, "pid": pid})
        finally:
            os.close(connection)
            os.close(tickets)

    def _become(self, connection: int, tickets: int) -> NoReturn:
        """What a worker is: no part of the zygote goes on in it."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for mine in (self._selector, self._driver, self._alarm, self._bell):
                mine.close()
            _live(self._work, self._bench, socket.socket(fileno=connection), tickets)
            code = 0
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else int(left.code is not None)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            os._exit(code)

    def _reap(self) -> None:
        for pid in list(self._children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                with suppress(OSError):
                    os.killpg(pid, signal.SIGKILL)
                who = self._children.pop(pid)
                self._tell({"ended": who, "code": os.waitstatus_to_exitcode(status)})

    def _end(self, pids: Sequence[int]) -> None:
        for pid in pids:
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)

    def _tell(self, message: Mapping[str, Any]) -> None:
        with suppress(OSError):
            self._driver.sendall(framed(message))


def _live(
    work: Mapping[str, Any], bench: Bench | None, connection: socket.socket, tickets: int
) -> None:
    die_with(work["zygote"])
    die_first()
    if bench is None:
        set_threads(work["threads"])
        bench = _opened(connection, work)
    if bench is not None:
        serve(bench, connection, tickets)


def _opened(driver: socket.socket, work: Mapping[str, Any]) -> Bench | None:
    """The bench, or None when the driver was told why there is none."""
    try:
        return opened(work["opener"], work["spec"])
    except StillhouseError as error:
        driver.sendall(framed({"raised": told(error)}))
    except Exception as error:
        sys.excepthook(*sys.exc_info())
        driver.sendall(framed({"unopened": f"{type(error).__name__}: {error}"}))
    return None


def main(arguments: Sequence[str]) -> None:
    """`arguments`: the number of the open socket to the driver, and the driver's process."""
    driver, parent = socket.socket(fileno=int(arguments[0])), int(arguments[1])
    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    work = next(messages(driver), None)
    if work is None:
        return
    sys.path[:] = work["path"]
    bench = None
    if work["shared"]:
        set_threads(1)
        bench = _opened(driver, work)
        if bench is None:
            return
        set_threads(1)  # whatever the opener set: a fork with several hangs
        gc.collect()
        gc.freeze()
    driver.sendall(framed({"opened": True}))
    _Zygote(driver, {**work, "zygote": os.getpid()}, bench).run()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
