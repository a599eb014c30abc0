"""Messages between processes: JSON behind its length, over a stream socket."""

from __future__ import annotations

import json
import select
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Any, final

Message = dict[str, Any]

_LENGTH = struct.Struct(">Q")
_PIECE = 1 << 16


def framed(message: Mapping[str, Any]) -> bytes:
    """A message as it is sent; TypeError or ValueError for what JSON cannot hold."""
    text = json.dumps(message, separators=(",", ":")).encode()
    return _LENGTH.pack(len(text)) + text


@final
class Frames:
    """Cuts what arrives, in whatever pieces, into messages."""

    def __init__(self) -> None:
        self._held = bytearray()

    def fed(self, piece: bytes) -> Iterator[Message]:
        """The messages that this piece completes."""
        self._held += piece
        while len(self._held) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._held)[0]
            if len(self._held) < end:
                return
            text = self._held[_LENGTH.size : end]
            del self._held[:end]
            yield json.loads(text)


def messages(connection: socket.socket) -> Iterator[Message]:
    """What arrives on a blocking socket until the other side is closed."""
    frames = Frames()
    while piece := connection.recv(_PIECE):
        yield from frames.fed(piece)


def awaited(connection: socket.socket, mask: int, patience_s: float) -> bool:
    """Whether a socket is ready (`select.POLLIN`, `POLLOUT`) before patience ends."""
    ready = select.poll()
    ready.register(connection, mask)
    return bool(ready.poll(patience_s * 1000))


@final
class Channel:
    """One end of a socket that never blocks: what cannot be sent yet waits for `flush`."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection, self.over = connection, False
        self._frames, self._unsent = Frames(), bytearray()

    def send(self, data: bytes) -> None:
        self._unsent += data
        self.flush()

    def flush(self) -> None:
        """Send what the socket takes now; the other side's end is left for `received` to meet."""
        try:
            while self._unsent:
                del self._unsent[: self.connection.send(self._unsent)]
        except BlockingIOError:
            return
        except OSError:
            self._unsent.clear()

    @property
    def unsent(self) -> bool:
        return bool(self._unsent)

    def received(self) -> list[Message]:
        """Every message that is there; `over` once the other side has closed."""
        found: list[Message] = []
        try:
            while not self.over:
                piece = self.connection.recv(_PIECE)
                self.over = not piece
                found += self._frames.fed(piece)
        except BlockingIOError:
            pass
        except OSError:
            self.over = True
        return found

    def close(self) -> None:
        self.connection.close()
