"""The parameters that a sweep varies, by key path: their ranges, and whether a run takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from stillhouse.core.config.nodes import Items, Mark, Node, Scalar, Spot, Table, located, shown
from stillhouse.core.config.overrides import at_path, put_at
from stillhouse.core.config.records import SearchRange
from stillhouse.core.errors import ConfigError

if TYPE_CHECKING:
    from stillhouse.core.config.sweep import SweepSection

_OWN: Final = ("name", "plugins", "sweep", "execute")
_RANGE: Final = ("low", "high", "log", "choices")


def read_parameters(spot: Spot, given: bool, root: Node) -> dict[str, SearchRange]:
    """Ranges by key path; `root` is the run file that they are about."""
    table = spot.table().entries if given else {}
    if not table:
        raise spot.error(
            "expected parameters to sweep over, such as parameters: "
            "{recipe.supernet.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}}"
        )
    return {path: _range(path, spot.under(path, node), root) for path, node in table.items()}


def _range(path: str, spot: Spot, root: Node) -> SearchRange:
    refuse_path(path, spot, root)
    given = spot.entries(_RANGE) if isinstance(spot.node, Table) else {}
    if "choices" in given and len(given) == 1:
        return SearchRange(choices=_choices(given["choices"]))
    if not {"low", "high"} <= given.keys() or "choices" in given:
        expected = "{choices: [...]} or {low: A, high: B, log: true}"
        raise spot.error(f"expected {expected}, got {shown(spot.node)}")
    low, high = (number(given[end]) for end in ("low", "high"))
    log = given["log"].node if "log" in given else None
    if isinstance(log, Scalar) and not isinstance(log.value, bool):
        raise given["log"].error(f"expected true or false, got {shown(log)}")
    if low >= high:
        raise given["high"].error(f"expected a high above the low of {low:g}, got {high:g}")
    if (rising := isinstance(log, Scalar) and log.value is True) and low <= 0:
        raise given["low"].error(f"expected a low above 0 for a logarithmic range, got {low:g}")
    return SearchRange(low, high, rising)


def refuse_path(path: str, spot: Spot, root: Node) -> None:
    """Raise ConfigError for a key that is the same for all trials, or that the run searches."""
    first = path.partition(".")[0]
    if first in _OWN:
        raise spot.error(f"a sweep cannot vary {first}: it is the same for all trials")
    node = at_path(root, path)
    if isinstance(node, Table) and {"low", "choices", "taps", "simplex"} & node.entries.keys():
        raise spot.error(
            f"the run itself searches this parameter ({node.mark}); give it one value there, or "
            "leave it out of the sweep"
        )


def _choices(spot: Spot) -> tuple[Any, ...]:
    nodes = spot.node.items if isinstance(spot.node, Items) else ()
    if not nodes:
        raise spot.error(f"expected a list of at least one choice, got {shown(spot.node)}")
    found: list[Any] = []
    for i, node in enumerate(nodes):
        value = node.value if isinstance(node, Scalar) else None
        if value is None:
            fact = f"expected text, a number, true or false, got {shown(node)}"
            raise spot.under(str(i), node).error(fact)
        if any(value == other and type(value) is type(other) for other in found):
            raise spot.under(str(i), node).error(f"the choice {shown(node)} is given twice")
        found.append(value)
    return tuple(found)


def number(spot: Spot) -> int | float:
    """A number that a float holds exactly where it is whole."""
    value = spot.node.value if isinstance(spot.node, Scalar) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 2**53:
        raise spot.error(f"expected a number, got {shown(spot.node)}")
    return value


def refuse_unfit(root: Table, section: SweepSection, read: Callable[[Node], object]) -> None:
    """Read the run file at every end of the sweep's ranges, each choice and each rung.

    `read` gives a run file's record from its tree. Raises ConfigError, with the place of the value
    in the sweep, for one that the run file does not take.
    """
    for path, node, mark in _ends(root, section):
        try:
            read(put_at(without_sweep(root), path, node, mark))
        except ConfigError as error:
            said = str(error)
            if said.startswith(f"{mark.source}:"):
                raise
            raise ConfigError(located(mark, f"sweep.parameters.{path}", said)) from None


def without_sweep(root: Table) -> Table:
    """The run file that a sweep's section stands in."""
    entries = {key: node for key, node in root.entries.items() if key != "sweep"}
    return Table(root.mark, entries, root.marks)


def _ends(root: Table, section: SweepSection) -> Iterator[tuple[str, Node, Mark]]:
    sweep = root.entries["sweep"]
    table = sweep.entries["parameters"] if isinstance(sweep, Table) else None
    for path in section.parameters:
        inner = table.entries[path] if isinstance(table, Table) else None
        if not isinstance(inner, Table):
            continue
        choices = inner.entries.get("choices")
        ends = choices.items if isinstance(choices, Items) else ()
        ends = ends or (inner.entries["low"], inner.entries["high"])
        for node in ends:
            yield path, node, node.mark
    if section.budget is not None and isinstance(sweep, Table):
        mark = sweep.entries["budget"].mark
        for rung in section.budget.rungs:
            yield section.budget.parameter, Scalar(mark, rung), mark
