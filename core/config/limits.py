"""Limits as they are written: `2`, `"<= 2"`, `"0.1 .. 0.2"`, `">= 97%"`, or a list of these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from stillhouse.core.config.nodes import Items, Mark, Node, Scalar, Spot, located, shown
from stillhouse.core.config.records import Limit
from stillhouse.core.cost.limit_text import WrittenLimit, parse_limit
from stillhouse.core.cost.limits import COST_NAMES, Relation
from stillhouse.core.cost.names import is_cost
from stillhouse.core.errors import ConfigError, UserError
from stillhouse.core.plugin.metrics import Metric

_EXPECTED: Final = 'expected a bound such as 2, "<= 2", "0.1 .. 0.2" or "10%" (of the teacher\'s)'
_FORM: Final = "expected COST <= BOUND, for example 'latency_ms <= 2' or 'size_kb <= 10%'"
_LONGEST: Final = 100


def read_limits(spot: Spot, metrics: Sequence[Metric] | None) -> tuple[Limit, ...]:
    """The limits of a `limits:` mapping, in its order, of one name the lower bound first.

    `metrics` are what the task measures, None when only its code can tell: then any name may be
    limited, and the plan or the run checks it.
    """
    sides = _default_sides(metrics)
    written = spot.table().entries
    known = tuple(sides) if metrics is not None else (*sides, *written)
    known = (*known, *(name for name in written if is_cost(name)))
    return tuple(
        limit
        for name, bounds in spot.entries(known).items()
        for limit in _settled(name, bounds, "<=" if is_cost(name) else sides.get(name))
    )


def _default_sides(metrics: Sequence[Metric] | None) -> dict[str, Relation]:
    """On which side a bound without `<=` or `>=` limits, by name."""
    sides: dict[str, Relation] = dict.fromkeys(COST_NAMES, "<=")
    for metric in metrics or ():
        sides.setdefault(metric.name, ">=" if metric.better == "higher" else "<=")
    return sides


@dataclass(frozen=True)
class _Placed:
    limit: Limit
    spot: Spot


def _settled(name: str, spot: Spot, side: Relation | None) -> list[Limit]:
    """At most one lower and one upper bound; an option's replaces an earlier one of its side."""
    kept: dict[Relation, _Placed] = {}
    for found in _bounds(name, spot, side):
        other = kept.get(found.limit.relation)
        if other and other.spot.node.mark.source == found.spot.node.mark.source:
            both = f"{other.limit.text} and {found.limit.text}"
            raise found.spot.error(f"two bounds on one side, {both}; keep one")
        kept[found.limit.relation] = found
    _refuse_empty(kept)
    return [kept[relation].limit for relation in (">=", "<=") if relation in kept]


def _refuse_empty(kept: Mapping[Relation, _Placed]) -> None:
    if len(kept) < 2:
        return
    low, high = kept[">="].limit, kept["<="].limit
    if low.relative == high.relative and low.value > high.value:
        raise max(kept.values(), key=_lateness).spot.error(
            f"nothing is both {low.text} and {high.text}; expected the lower bound below the upper"
        )


def _lateness(placed: _Placed) -> tuple[bool, int, int]:
    """Order of places: options come after the file."""
    mark = placed.spot.node.mark
    return mark.line == 0, mark.line, mark.column


def _bounds(name: str, spot: Spot, side: Relation | None) -> Iterator[_Placed]:
    if not isinstance(spot.node, Items):
        yield from _written(name, spot, side)
        return
    if not spot.node.items:
        raise spot.error(f"{_EXPECTED}, got an empty list")
    for i, node in enumerate(spot.node.items):
        # An option's bound is shown under the key it was given for.
        inner = spot.under(str(i), node) if node.mark.line else replace(spot, node=node)
        yield from _written(name, inner, side)


def _written(name: str, spot: Spot, side: Relation | None) -> Iterator[_Placed]:
    value = spot.node.value if isinstance(spot.node, Scalar) else None
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    text = str(value)
    if not (number or isinstance(value, str)) or len(text) > _LONGEST:
        raise spot.error(f"{_EXPECTED}, got {shown(spot.node)}")
    try:
        found = parse_limit(text)
    except UserError as error:
        raise spot.error(str(error)) from None
    for bound in found:
        yield _Placed(_limit(name, bound, spot, _bare_side(text, side, spot)), spot)


def _bare_side(text: str, side: Relation | None, spot: Spot) -> Relation | None:
    """The side of a bound that stands alone; None where the text says it."""
    if "=" in text or ".." in text:
        return None
    if side is None:
        raise spot.error(f"expected <= or >= before the bound, got {shown(spot.node)}")
    return side


def _limit(name: str, bound: WrittenLimit, spot: Spot, side: Relation | None) -> Limit:
    relation = side or bound.relation
    if bound.cost not in ("", name):
        raise spot.error(f"expected a bound on {name}, got one on {bound.cost}")
    if is_cost(name) and (bound.number < 0 or (bound.number == 0 and relation == "<=")):
        raise spot.error(f"expected a finite bound above 0, got {shown(spot.node)}")
    text = f"{relation} {bound.text.removeprefix(bound.relation).strip()}"
    return Limit(name, relation, bound.number, bound.percent, text)


def option_bounds(option: str, mark: Mark) -> tuple[str, tuple[Node, ...]]:
    """What `--limit` text limits, and its one or two bounds.

    Raises ConfigError when the text has another form.
    """
    try:
        bounds = parse_limit(option)
    except UserError as error:
        raise ConfigError(located(mark, "", str(error))) from None
    if not bounds[0].cost:
        costs = f"costs are {', '.join(COST_NAMES)}; a metric of the task may be limited too"
        raise ConfigError(located(mark, "", f"{_FORM}; {costs}"))
    return bounds[0].cost, tuple(Scalar(mark, bound.text) for bound in bounds)


def appended(node: Node | None, bounds: tuple[Node, ...], mark: Mark) -> Node:
    """The bounds a name has with an option's after them, where `read_limits` lets them win."""
    if node is None or (isinstance(node, Scalar) and node.value is None):
        return Items(mark, bounds)
    before = node.items if isinstance(node, Items) else (node,)
    return Items(node.mark, (*before, *bounds))
