"""Ordering a recipe by what its methods need, leave and spend."""

from __future__ import annotations

from collections.abc import Sequence

from stillhouse.core.errors import PlanError
from stillhouse.core.plugin.capabilities import STUDENT
from stillhouse.core.plugin.records import MethodInfo

GIVEN = frozenset({"teacher", "data"})
"""Capabilities that every run starts with."""


def ordered(methods: Sequence[MethodInfo]) -> tuple[MethodInfo, ...]:
    """Order methods so that each finds what it needs and nothing is left unspent.

    The run file's order is kept wherever capabilities allow it. A method waits while something it
    spends can still be added to, so loss terms precede what trains on them; those between two
    methods that train are the second's alone.

    Raises:
        PlanError: a name stands twice; a need that nothing leaves in time; or loss terms (or
            another spendable capability) that no later method spends. Says which and why.
    """
    _refuse_twice(methods)
    _refuse_two_students(methods)
    available, waiting = set(GIVEN), _strays_ahead(methods)
    placed: list[MethodInfo] = []
    while waiting:
        ready = next((m for m in waiting if _ready(m, available, waiting)), None)
        if ready is None:
            raise PlanError(_stuck(waiting, available, placed))
        waiting.remove(ready)
        placed.append(ready)
        available |= ready.leaves
        available -= _taken(ready)
    _refuse_unspent(placed)
    return tuple(placed)


def _taken(method: MethodInfo) -> frozenset[str]:
    """What is gone once the method ran: what it spends, loss terms excepted.

    Loss terms are read, not used up: a later method may train on the same terms again.
    """
    return method.spends - {"loss terms"} - method.leaves


def _ready(method: MethodInfo, available: set[str], waiting: Sequence[MethodInfo]) -> bool:
    others = [m for m in waiting if m is not method]
    unfinished = any(
        method.spends & other.leaves and other.needs <= available and not other.spends
        for other in waiting[: waiting.index(method)]
    )
    starves = any(_taken(method) & other.needs and other.needs <= available for other in others)
    return method.needs <= available and not unfinished and not starves


def _strays_ahead(methods: Sequence[MethodInfo]) -> list[MethodInfo]:
    """The run file's order; what stands behind all that would spend it goes before the first."""
    order = [m for place, m in enumerate(methods) if not _stray(methods, place)]
    for place, method in enumerate(methods):
        if _stray(methods, place):
            spenders = (i for i, m in enumerate(order) if m.spends & method.leaves)
            order.insert(next(spenders, len(order)), method)
    return order


def _stray(methods: Sequence[MethodInfo], place: int) -> bool:
    own = methods[place].leaves
    spent = any(own & m.spends for m in methods)
    late = not any(own & m.spends for m in methods[place:])
    return STUDENT not in own and spent and late


def _refuse_twice(methods: Sequence[MethodInfo]) -> None:
    names = [m.name for m in methods]
    for name in names:
        if names.count(name) > 1:
            raise PlanError(f"recipe: method '{name}' stands twice; give each method once")


def _refuse_two_students(methods: Sequence[MethodInfo]) -> None:
    makers = [m.name for m in methods if STUDENT in m.leaves - m.needs]
    if len(makers) > 1:
        raise PlanError(
            f"recipe: {_named(makers)} each make a student, so that all but the last would be "
            "thrown away; keep one of them"
        )


def _named(names: Sequence[str]) -> str:
    return " and ".join(f"'{name}'" for name in names)


def _stuck(waiting: Sequence[MethodInfo], available: set[str], placed: Sequence[MethodInfo]) -> str:
    lines = []
    for method in waiting:
        for need in sorted(method.needs - available):
            givers = [m.name for m in waiting if need in m.leaves and m is not method]
            takers = [m.name for m in placed if need in _taken(m)]
            source = f"only {', '.join(givers)} leaves it" if givers else "nothing before leaves it"
            source = f"{_named(takers)} used it up" if takers else source
            lines.append(f"'{method.name}' needs {need}, but {source}")
    return "recipe cannot be ordered: " + "; ".join(lines or _rivals(waiting, available))


def _rivals(waiting: Sequence[MethodInfo], available: set[str]) -> list[str]:
    """Which methods use up what others of them need, so that none may go first."""
    lines = []
    for method in waiting:
        for other in (m for m in waiting if m is not method and m.needs <= available):
            lost = " and ".join(sorted(_taken(method) & other.needs))
            lines += [f"'{method.name}' uses up {lost}, which '{other.name}' needs"] if lost else []
    return [f"{'; '.join(lines)}; keep one of them"]


def _refuse_unspent(placed: Sequence[MethodInfo]) -> None:
    spendable = "loss terms"
    for i, method in enumerate(placed):
        if spendable in method.leaves and not any(spendable in m.spends for m in placed[i + 1 :]):
            raise PlanError(
                f"recipe: '{method.name}' adds loss terms that nothing after it trains on; "
                "add a method that trains, such as 'supernet' or 'distil'"
            )
