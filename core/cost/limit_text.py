"""Limits as people write them: `latency_ms <= 2`, `1 <= size_kb <= 9`, `>= 10%`, `0.1 .. 0.2`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from stillhouse.core.cost.limits import Relation
from stillhouse.core.errors import UserError

_NUMBER: Final = r"[-+]?(?:[0-9]+(?:\.[0-9]+|\.(?!\.))?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_BOUND: Final = rf"({_NUMBER})\s*(%)?"
_NAME: Final = r"([A-Za-z_][\w.-]*(?:@[0-9]+)?)"
_SIDE: Final = r"(<=|>=)"
_ONE: Final = re.compile(rf"(?:{_NAME}(?=\s*[<>]))?\s*{_SIDE}?\s*{_BOUND}")
_REVERSED: Final = re.compile(rf"{_BOUND}\s*{_SIDE}\s*{_NAME}")
_BETWEEN: Final = re.compile(rf"{_BOUND}\s*{_SIDE}\s*{_NAME}\s*{_SIDE}\s*{_BOUND}")
_RANGE: Final = re.compile(rf"(?:{_NAME}\s*[:=]?\s+)?{_BOUND}\s*\.\.\s*{_BOUND}")
_OTHER: Final[Mapping[str, Relation]] = {"<=": ">=", ">=": "<="}


class WrittenLimit(NamedTuple):
    """One bound as it was written; `cost` is "" where the text names none.

    `number` is in percent of the teacher's cost where `percent` is set. `text` is the bound in
    the writer's own digits, such as `<= 10%`.
    """

    cost: str
    relation: Relation
    number: float
    percent: bool
    text: str


def parse_limit(text: str) -> list[WrittenLimit]:
    """One bound, or the lower and the upper one of a range, in that order.

    Without `<=` or `>=` a single bound is an upper one. Raises UserError, which says nothing of
    the place, for any other form, a bound that is not finite, and a range that nothing can meet.
    """
    limits = _single(text.strip()) or _reversed(text.strip()) or _range(text.strip())
    if not limits:
        raise UserError(
            'expected a limit such as "latency_ms <= 2", "1 <= size_kb <= 9", ">= 1000", '
            f'"0.1 .. 0.2" or "<= 10%", got "{text}"'
        )
    for limit in limits:
        if not math.isfinite(limit.number):
            raise UserError(f'expected a finite bound, got "{text}"')
    _check_range(limits, text)
    return limits


def _single(text: str) -> list[WrittenLimit]:
    match = _ONE.fullmatch(text)
    if match is None:
        return []
    cost, side, digits, percent = match.groups()
    return [_limit(cost, ">=" if side == ">=" else "<=", digits, percent)]


def _reversed(text: str) -> list[WrittenLimit]:
    match = _REVERSED.fullmatch(text)
    if match is None:
        return []
    digits, percent, side, cost = match.groups()
    return [_limit(cost, _OTHER[side], digits, percent)]


def _range(text: str) -> list[WrittenLimit]:
    if match := _RANGE.fullmatch(text):
        cost, *ends = match.groups()
        return [_limit(cost, ">=", *ends[:2]), _limit(cost, "<=", *ends[2:])]
    match = _BETWEEN.fullmatch(text)
    if match is None or match[3] != match[5]:
        return []
    first, cost, last = match.groups()[:2], match[4], match.groups()[5:]
    low, high = (first, last) if match[3] == "<=" else (last, first)
    return [_limit(cost, ">=", *low), _limit(cost, "<=", *high)]


def _limit(cost: str | None, relation: Relation, digits: str, percent: str | None) -> WrittenLimit:
    text = f"{relation} {digits}{percent or ''}"
    return WrittenLimit(cost or "", relation, float(digits), percent is not None, text)


def _check_range(limits: list[WrittenLimit], text: str) -> None:
    if len(limits) < 2:
        return
    low, high = limits
    if low.percent != high.percent:
        raise UserError(f'expected both bounds in percent or neither, got "{text}"')
    if low.number > high.number:
        raise UserError(f'expected the lower bound first and no larger, got "{text}"')
