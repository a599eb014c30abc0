"""CTranslate2's model files, version 6: named arrays, little-endian, one behind the other.

u32 version; text specification; u32 revision; u32 count; then for each variable text name, u8 rank,
u32 of each axis, u8 type, u32 bytes, bytes; then u32 count of aliases, two texts each. A text is
u16 length and as many bytes, a zero at the end.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import UserError

VERSION: Final = 6
_TYPES: Final[tuple[type[np.generic], ...]] = (
    np.float32,
    np.int8,
    np.int16,
    np.int32,
    np.float16,
)


def read_variables(
    content: bytes, source: str, wanted: Callable[[str], bool] = lambda name: True
) -> dict[str, NDArray[Any]]:
    """The wanted variables by name, as views of `content`.

    Raises `UserError`, naming `source` and the byte, for a file of another version and for one
    that ends early, says impossible sizes, or goes on behind its last entry.
    """
    cursor = _Cursor(content, source)
    version = cursor.number("I")
    if version != VERSION:
        raise cursor.error(f"expected a CTranslate2 file of version {VERSION}, came {version}")
    cursor.text()
    cursor.number("I")
    found = {}
    for _ in range(cursor.number("I")):
        name, array = cursor.variable()
        if wanted(name):
            found[name] = array
    for _ in range(2 * cursor.number("I")):
        cursor.text()
    cursor.finish()
    return found


@final
class _Cursor:
    """A place in a file, which never moves beyond its end."""

    def __init__(self, content: bytes, source: str) -> None:
        self._content, self._source, self._at = memoryview(content), source, 0

    def error(self, fact: str) -> UserError:
        return UserError(f"{self._source}, byte {self._at}: {fact}; copy the file again")

    def _take(self, count: int) -> memoryview:
        left = len(self._content) - self._at
        if count > left:
            raise self.error(f"expected {count} more bytes, the file has {left}")
        self._at += count
        return self._content[self._at - count : self._at]

    def number(self, code: str) -> int:
        (value,) = struct.unpack(f"<{code}", self._take(struct.calcsize(f"<{code}")))
        return int(value)

    def text(self) -> str:
        raw = bytes(self._take(self.number("H")))
        try:
            return raw.removesuffix(b"\0").decode("ascii")
        except UnicodeDecodeError:
            raise self.error("expected a name in ASCII") from None

    def variable(self) -> tuple[str, NDArray[Any]]:
        name = self.text()
        shape = [self.number("I") for _ in range(self.number("B"))]
        code, size = self.number("B"), self.number("I")
        if code >= len(_TYPES):
            raise self.error(f"expected a type below {len(_TYPES)} for '{name}', came {code}")
        kind = np.dtype(_TYPES[code]).newbyteorder("<")
        if math.prod(shape) * kind.itemsize != size:
            raise self.error(f"expected {size} bytes for '{name}', its shape {shape} says others")
        return name, np.frombuffer(self._take(size), kind).reshape(shape)

    def finish(self) -> None:
        if self._at != len(self._content):
            raise self.error(f"expected the end, {len(self._content) - self._at} bytes follow")
