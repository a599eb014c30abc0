"""Unquoted words as values, by the core schema of YAML 1.2.

PyYAML follows YAML 1.1, where `1e-3` is text, `1:30` is 90 and `no` is false; here a number is
what looks like one, and only `true` and `false` are truth values.
"""

from __future__ import annotations

import math
import re
from typing import Final

from stillhouse.core.config.nodes import Plain

_WORDS: Final[dict[str, Plain]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_NUMBER: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LARGEST: Final = 2**63 - 1


def resolve(word: str) -> Plain:
    """The value of an unquoted word.

    Raises ValueError for infinity, not-a-number and numbers beyond 64 bits.
    """
    if word in _WORDS:
        return _WORDS[word]
    if _NOT_FINITE.fullmatch(word):
        raise ValueError(f"expected a finite number, got {word}")
    if _INTEGER.fullmatch(word):
        return _integer(word)
    return _real(word) if _NUMBER.fullmatch(word) else word


def _integer(word: str) -> int:
    # int() itself refuses thousands of digits.
    if len(word.lstrip("+-0")) > 19 or abs(int(word)) > _LARGEST:
        raise ValueError(f"expected a number of at most 64 bits, got {word[:24]}...")
    return int(word)


def _real(word: str) -> float:
    value = float(word)
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number, got {word[:24]}")
    return value
