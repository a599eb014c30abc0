"""JSON that may come from a stranger: bounded in size and depth, numbers finite, text printable."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
from pathlib import Path
from typing import IO, Any, Final, NoReturn

LARGEST_BYTES: Final = 256_000_000
DEEPEST: Final = 100
_LARGEST_NUMBER: Final = 2**64
_SUSPECT: Final = re.compile(r"NaN|Infinity|[eE]\+?[0-9]{3}|[0-9]{20}|\\u")
"""What every text has that needs a closer look; most that have it are sound."""


def parsed(text: str | bytes, *, finite: bool = True) -> Any:
    """The value of a JSON text.

    Raises ValueError for what is no JSON in UTF-8, and for what JSON has but no file of ours:
    numbers that are not finite, or whole ones beyond 64 bits; more than `DEEPEST` levels; half a
    surrogate pair, which cannot be written, in a text. Unless `finite`, NaN and infinities pass:
    what a training left may hold them.
    """
    if isinstance(text, bytes):
        text = text.decode()
    try:
        # Without hooks it is three times as fast, which a ledger of many lines feels.
        if not _SUSPECT.search(text):
            value = json.loads(text)
        else:
            value = json.loads(
                text,
                parse_float=_real if finite else float,
                parse_int=_whole,
                parse_constant=_not_finite if finite else float,
            )
            _check(value)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if text.count("[") + text.count("{") > DEEPEST:
        _check(value)
    return value


def read(path: Path, *, finite: bool = True) -> Any:
    """The value in a file of UTF-8 text.

    Raises OSError for a file that cannot be read or is no plain file, ValueError as `parsed`.
    """
    return parsed(content(path), finite=finite)


def content(path: Path, largest: int = LARGEST_BYTES) -> bytes:
    """The bytes of a plain file; a pipe or a device, which may never end, is an OSError.

    Raises ValueError for a file of more than `largest` bytes.
    """
    with opened(path) as file:
        found = file.read(largest + 1)
    if len(found) > largest:
        raise ValueError(f"expected at most {largest} bytes, got more")
    return found


def opened(path: Path) -> IO[bytes]:
    """A plain file to read; a pipe or a device, which may never end, is an OSError."""
    # Without O_NONBLOCK a pipe blocks before it can be told from a file.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    kind = os.fstat(handle).st_mode
    if stat.S_ISREG(kind):
        return os.fdopen(handle, "rb")
    os.close(handle)
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "Not a plain file", str(path))


_TOO_DEEP: Final = f"nested more than {DEEPEST} levels deep"


def _check(value: Any) -> None:
    """By hand, not by recursion: depth is what is in question."""
    level, depth = [value], 0
    while level:
        if depth > DEEPEST:
            raise ValueError(_TOO_DEEP)
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below += (*one, *one.values())
            elif isinstance(one, list):
                below += one
            elif isinstance(one, str) and not one.isprintable():
                _check_text(one)
        level, depth = below, depth + 1


def _check_text(text: str) -> None:
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise ValueError("text with half a surrogate pair in it")


def _real(word: str) -> float:
    value = float(word)
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number, got {word[:24]}")
    return value


def _whole(word: str) -> int:
    # int() takes quadratic time, and refuses thousands of digits by itself.
    if len(word) > 21 or abs(int(word)) >= _LARGEST_NUMBER:
        raise ValueError(f"expected a number of at most 64 bits, got {word[:24]}...")
    return int(word)


def _not_finite(word: str) -> NoReturn:
    raise ValueError(f"expected a finite number, got {word}")
