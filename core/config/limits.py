"""Limits on known costs as they are written: `2`, `"<= 2"`, `">= 1000"`, `10%`, `"<= 10%"`."""

from __future__ import annotations

import math
import re
from typing import Final

from stillhouse.core.config.nodes import Mark, Scalar, Spot, located, shown
from stillhouse.core.config.records import Limit
from stillhouse.core.cost.limits import COST_NAMES
from stillhouse.core.errors import ConfigError

_NUMBER: Final = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_BOUND: Final = re.compile(rf"(<=|>=)?\s*({_NUMBER})\s*(%)?")
_OPTION: Final = re.compile(r"\s*([A-Za-z_][\w-]*)\s*((?:<=|>=).*)")
_EXPECTED: Final = 'expected a bound such as 2, "<= 2", ">= 1000" or "10%" (of the teacher\'s)'


def read_limits(spot: Spot) -> tuple[Limit, ...]:
    """The limits of a `limits:` mapping, in its order."""
    return tuple(_limit(cost, bound) for cost, bound in spot.entries(COST_NAMES).items())


def _limit(cost: str, spot: Spot) -> Limit:
    value = spot.node.value if isinstance(spot.node, Scalar) else None
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    match = _BOUND.fullmatch(str(value).strip()) if number or isinstance(value, str) else None
    if match is None:
        raise spot.error(f"{_EXPECTED}, got {shown(spot.node)}")
    relation, digits, percent = match.groups()
    bound = float(digits)
    if not math.isfinite(bound) or (bound == 0 and relation != ">="):
        raise spot.error(f"expected a finite bound above 0, got {shown(spot.node)}")
    text = f"{relation or '<='} {digits}{percent or ''}"
    return Limit(cost, ">=" if relation == ">=" else "<=", bound, percent is not None, text)


def split_option(option: str, mark: Mark) -> tuple[str, str]:
    """`"latency_ms <= 2"` as cost and bound. Raises ConfigError when it has another form."""
    match = _OPTION.fullmatch(option)
    if match is None:
        form = "expected COST <= BOUND, for example 'latency_ms <= 2' or 'size_kb <= 10%'"
        raise ConfigError(located(mark, "", f"{form}; costs are {', '.join(COST_NAMES)}"))
    return match[1], match[2].strip()
