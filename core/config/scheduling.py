"""Which trials of a sweep go on, and what that rations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from stillhouse.core.config.nodes import Items, Node, Scalar, Spot, Table, shown, unknown_word
from stillhouse.core.config.records import SearchRange
from stillhouse.core.config.swept import number, refuse_path
from stillhouse.core.config.values import Setting, read_values
from stillhouse.core.errors import nearest
from stillhouse.core.plugin.params import Params, declared, param


class AshaSettings(Params):
    """Asynchronous successive halving (Li et al., 2020)."""

    eta: int = param(
        3, low=2, high=100, searchable=False, help="of each rung the best 1/eta go on to the next"
    )


class PbtSettings(Params):
    """Population-based training (Jaderberg et al., 2017)."""

    share: float = param(
        0.25,
        low=0.0,
        high=0.5,
        searchable=False,
        help="of the trials the worst that take over the weights of the best, after each rung",
    )
    resample: float = param(
        0.25,
        low=0.0,
        high=1.0,
        searchable=False,
        help="probability that a parameter is drawn anew then; else it moves to a neighbour",
    )


SCHEDULERS: Final[Mapping[str, type[Params]]] = {
    "none": Params, "asha": AshaSettings, "pbt": PbtSettings,
}  # fmt: skip


@dataclass(frozen=True)
class Scheduler:
    """Which trials go on: `name` out of `SCHEDULERS`, and its settings."""

    name: str = "none"
    settings: Mapping[str, Any] | None = None

    def plain(self) -> Any:
        return {self.name: dict(self.settings)} if self.settings else self.name


@dataclass(frozen=True)
class Budget:
    """What a scheduler rations: a parameter, and the rising values it takes from rung to rung."""

    parameter: str
    rungs: tuple[int | float, ...]


def read_scheduler(spot: Spot | None, setting: Setting) -> Scheduler:
    """A scheduler's name, or one name with its settings; none where nothing is given."""
    if spot is None:
        return Scheduler()
    node = spot.node
    name, inner = (node.value, Spot(Table(node.mark))) if isinstance(node, Scalar) else (None, spot)
    if isinstance(node, Table) and len(node.entries) == 1:
        name = next(iter(node.entries))
        inner = spot.under(str(name), node.entries[str(name)])
    if name not in SCHEDULERS:
        close = nearest(str(name), SCHEDULERS)
        known = ", ".join(SCHEDULERS)
        raise spot.error(f"expected a scheduler ({known}), got {shown(node)}{close}")
    params = declared(SCHEDULERS[str(name)])
    given = inner.entries(tuple(p.name for p in params))
    return Scheduler(str(name), read_values(inner, given, params, setting).fixed or None)


def read_budget(spot: Spot, parameters: Mapping[str, SearchRange], root: Node) -> Budget:
    """What is rationed: a key path that is not swept, and rising numbers."""
    given = spot.entries(("parameter", "rungs"))
    if len(given) < 2:
        raise spot.error(
            f"expected {{parameter: KEY.PATH, rungs: [2, 6, 18]}}, got {shown(spot.node)}"
        )
    node = given["parameter"].node
    path = node.value if isinstance(node, Scalar) else None
    if not isinstance(path, str):
        raise given["parameter"].error(f"expected a key path, got {shown(node)}")
    if path in parameters:
        raise given["parameter"].error(f"{unknown_word(path)} is swept; it cannot be the budget")
    refuse_path(path, given["parameter"], root)
    rungs = given["rungs"].node
    found = [
        number(given["rungs"].under(str(i), one))
        for i, one in enumerate(rungs.items if isinstance(rungs, Items) else ())
    ]
    if len(found) < 2 or found != sorted(set(found)):
        fact = "expected at least two rising numbers, such as [2, 6, 18]"
        raise given["rungs"].error(f"{fact}, got {shown(rungs)}")
    return Budget(path, tuple(found))


def refuse_without_budget(spot: Spot, scheduler: Scheduler, budget: Budget | None) -> None:
    """Raise ConfigError for a scheduler with nothing to ration, or a budget without one."""
    if (scheduler.name == "none") == (budget is None):
        return
    if budget is None:
        raise spot.error(
            f"scheduler {scheduler.name} needs to know what it rations: add budget: "
            "{parameter: recipe.supernet.epochs, rungs: [2, 6, 18]}"
        )
    raise spot.error("a budget is for the schedulers asha and pbt; name one, or leave it out")
